-- Baselines: frozen lists of document versions, and what it takes to search in one: the words of versions that search no
-- longer answers from.

create table carrel.baseline (
    id uuid primary key,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    name text not null check (length(name) between 1 and 200),
    description text not null default '' check (length(description) <= 2000),
    -- SHA-256 of the manifest: one line of JSON for each member, by document.
    digest bytea not null check (octet_length(digest) = 32),
    documents integer not null check (documents >= 0),
    collections uuid[] not null,
    filter jsonb not null default '{}',
    created_at timestamptz not null,
    created_by jsonb not null,
    constraint baseline_name_unique unique (workspace_id, name)
);
create index baseline_page on carrel.baseline (workspace_id, created_at, id);

create table carrel.baseline_member (
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    baseline_id uuid not null references carrel.baseline (id) on delete cascade,
    -- No foreign keys: a baseline goes on to say what it held after a document was erased.
    document_id uuid not null,
    collection_id uuid not null,
    external_id text not null,
    name text not null,
    version_id uuid not null,
    number integer not null check (number >= 1),
    size bigint not null,
    sha256 bytea not null check (octet_length(sha256) = 32),
    blake3 bytea not null check (octet_length(blake3) = 32),
    rendition_sha256 bytea not null check (octet_length(rendition_sha256) = 32),
    primary key (baseline_id, document_id)
);
create index baseline_member_version on carrel.baseline_member (version_id);

-- Frozen means frozen: whoever may write rows may not change or remove them.
create trigger baseline_immutable before update on carrel.baseline
    for each row execute function carrel.refuse_change();
create trigger baseline_member_immutable before update on carrel.baseline_member
    for each row execute function carrel.refuse_change();

-- Length in terms, for BM25 over a part of the archive.
alter table carrel.passage add column tokens integer check (tokens >= 0);

-- The words of versions that were replaced, once a merge has taken them out of the segments that answer.
create table carrel.posting_history (
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    collection_id uuid not null,
    version_id uuid not null references carrel.document_version (id) on delete cascade,
    term text collate "C" not null,
    passages integer[] not null,
    impacts smallint[] not null,
    primary key (version_id, term)
);
create index posting_history_term on carrel.posting_history (collection_id, term);

do $$
declare
    name text;
begin
    foreach name in array array['baseline', 'baseline_member', 'posting_history'] loop
        execute format('alter table carrel.%I enable row level security', name);
        execute format(
            'create policy workspace_wall on carrel.%I to carrel_app
             using (workspace_id = (select carrel.current_workspace()))
             with check (workspace_id = (select carrel.current_workspace()))', name);
    end loop;
end
$$;
grant select, insert on carrel.baseline, carrel.baseline_member to carrel_app;
grant select, insert, update, delete on carrel.posting_history to carrel_app;
