-- Collections, documents, immutable versions, their renditions and passages.

create table carrel.collection (
    id uuid primary key,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    name text not null check (length(name) between 1 and 200),
    description text not null default '' check (length(description) <= 2000),
    created_at timestamptz not null,
    constraint collection_name_unique unique (workspace_id, name)
);
create index collection_page on carrel.collection (workspace_id, created_at, id);

-- The bytes of an original, once per workspace and content. A row that is being released cannot be referenced again
-- until the release has finished; that keeps a late upload from pointing at bytes that are about to go.
create table carrel.original (
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    sha256 bytea not null check (octet_length(sha256) = 32),
    blake3 bytea not null check (octet_length(blake3) = 32),
    size bigint not null check (size >= 0),
    releasing boolean not null default false,
    created_at timestamptz not null,
    primary key (workspace_id, sha256)
);

create table carrel.document (
    id uuid primary key,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    collection_id uuid not null references carrel.collection (id) on delete cascade,
    external_id text not null check (length(external_id) between 1 and 1024),
    name text not null check (length(name) between 1 and 1024),
    metadata jsonb not null default '{}',
    current_version_id uuid,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint document_external_id_unique unique (collection_id, external_id)
);
create index document_page on carrel.document (collection_id, created_at, id);
create index document_metadata on carrel.document using gin (metadata jsonb_path_ops);

create table carrel.document_version (
    id uuid primary key,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    document_id uuid not null references carrel.document (id) on delete cascade,
    number integer not null check (number >= 1),
    file_name text not null,
    title text,
    declared_media_type text,
    sha256 bytea not null,
    state text not null check (state in ('received', 'extracted', 'searchable', 'failed')),
    failure_code text,
    failure_message text,
    created_at timestamptz not null,
    created_by jsonb not null,
    searchable_at timestamptz,
    constraint document_version_number_unique unique (document_id, number),
    constraint document_version_original foreign key (workspace_id, sha256) references carrel.original (workspace_id, sha256),
    constraint document_version_failure check ((state = 'failed') = (failure_code is not null))
);
create index document_version_digest on carrel.document_version (workspace_id, sha256);
alter table carrel.document
    add constraint document_current_version foreign key (current_version_id)
    references carrel.document_version (id) on delete set null deferrable initially deferred;

create table carrel.rendition (
    version_id uuid primary key references carrel.document_version (id) on delete cascade,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    media_type text not null,
    title text,
    language text not null,
    characters integer not null check (characters >= 0),
    sha256 bytea not null check (octet_length(sha256) = 32),
    text text not null,
    map jsonb not null,
    warnings text[] not null default '{}',
    created_at timestamptz not null
);

-- Renditions never change: what a citation was checked against stays what it is.
create function carrel.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% rows are immutable', tg_table_name using errcode = 'restrict_violation';
end
$$;
create trigger rendition_immutable before update on carrel.rendition
    for each row execute function carrel.refuse_change();

-- What search returns. Numbers are short, because postings and vectors repeat them.
create table carrel.passage (
    no integer generated always as identity primary key,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    collection_id uuid not null references carrel.collection (id) on delete cascade,
    document_id uuid not null references carrel.document (id) on delete cascade,
    version_id uuid not null references carrel.document_version (id) on delete cascade,
    ordinal integer not null,
    span_start integer not null,
    span_end integer not null check (span_end > span_start),
    page integer,
    headings text[] not null,
    language text not null,
    text text not null,
    searchable boolean not null default false,
    constraint passage_ordinal_unique unique (version_id, ordinal)
);
create index passage_document on carrel.passage (document_id);
create index passage_collection on carrel.passage (collection_id) where searchable;

do $$
declare
    name text;
begin
    foreach name in array array['collection', 'original', 'document', 'document_version', 'rendition', 'passage'] loop
        execute format('alter table carrel.%I enable row level security', name);
        execute format(
            'create policy workspace_wall on carrel.%I to carrel_app
             using (workspace_id = (select carrel.current_workspace()))
             with check (workspace_id = (select carrel.current_workspace()))', name);
        execute format('grant select, insert, update, delete on carrel.%I to carrel_app', name);
    end loop;
end
$$;
revoke update on carrel.rendition from carrel_app;
