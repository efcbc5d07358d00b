-- Near-duplicates: a MinHash signature of each version's text, and its bands for finding others by equality alone.

create table carrel.similarity (
    version_id uuid primary key references carrel.document_version (id) on delete cascade,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    document_id uuid not null references carrel.document (id) on delete cascade,
    -- Word shingles that the signature was made of; a text of few says little.
    shingles integer not null check (shingles >= 0),
    -- 128 numbers of 32 bits, least significant byte first.
    signature bytea not null check (octet_length(signature) = 512),
    -- 32 bands of four numbers each, hashed together with the band's place.
    bands bigint[] not null
);
create index similarity_document on carrel.similarity (document_id);
create index similarity_bands on carrel.similarity using gin (bands);
alter table carrel.similarity alter column signature set storage plain;

alter table carrel.similarity enable row level security;
create policy workspace_wall on carrel.similarity to carrel_app
    using (workspace_id = (select carrel.current_workspace()))
    with check (workspace_id = (select carrel.current_workspace()));
grant select, insert, update, delete on carrel.similarity to carrel_app;

-- Row-level security does not let an index be asked before the wall, because "overlaps" could tell of rows behind it. So the
-- look-up stands in front of the wall and keeps to the workspace itself.
create function carrel.similar_versions(wanted bigint[], most integer)
    returns table (version_id uuid, document_id uuid, shingles integer, signature bytea)
    language sql stable security definer set search_path = carrel, public, pg_temp as $$
    select s.version_id, s.document_id, s.shingles, s.signature
    from similarity s
    where s.bands && wanted and s.workspace_id = (select current_workspace())
    limit most
$$;
revoke all on function carrel.similar_versions(bigint[], integer) from public;
grant execute on function carrel.similar_versions(bigint[], integer) to carrel_app;
