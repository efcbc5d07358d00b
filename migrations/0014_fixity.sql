-- Fixity: when an original was last read again, and whether it still had its digests. And how much lies inside of an upload.

-- A verdict belongs to the bytes, once per workspace and content, as the bytes themselves do.
create table carrel.fixity (
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    sha256 bytea not null,
    verdict text not null check (verdict in ('sound', 'damaged', 'missing')),
    -- What was found instead; never a byte of the content.
    problem text,
    checked_at timestamptz not null,
    -- Since when it is not sound; kept while later checks say the same.
    damaged_since timestamptz,
    primary key (workspace_id, sha256),
    constraint fixity_original foreign key (workspace_id, sha256)
        references carrel.original (workspace_id, sha256) on delete cascade,
    constraint fixity_problem check ((verdict = 'sound') = (damaged_since is null))
);
create index fixity_damaged on carrel.fixity (workspace_id, sha256) where verdict <> 'sound';

alter table carrel.fixity enable row level security;
create policy workspace_wall on carrel.fixity to carrel_app
    using (workspace_id = (select carrel.current_workspace()))
    with check (workspace_id = (select carrel.current_workspace()));
grant select, insert, update, delete on carrel.fixity to carrel_app;

-- Documents found inside of this version, once they are counted; and, at the version that was uploaded itself, those found
-- at any depth below it. An archive of archives is bounded by the second.
alter table carrel.document_version
    add column children integer check (children >= 0),
    add column descendants integer not null default 0 check (descendants >= 0);
