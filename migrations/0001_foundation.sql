-- Roles, the workspace wall, and who may enter.
--
-- Three roles: the owner of the schema (whoever runs the migrations), carrel_app (what the services connect as; sees one
-- workspace at a time) and carrel_queue (the job machinery; sees the jobs of every workspace and nothing else).
-- Neither of the last two owns a table or may bypass row-level security.

create extension if not exists vector;

do $$
begin
    if not exists (select from pg_roles where rolname = 'carrel_app') then
        begin
            create role carrel_app nologin;
        exception when duplicate_object or unique_violation then
            null; -- another database of this cluster was migrated at the same moment
        end;
    end if;
    if not exists (select from pg_roles where rolname = 'carrel_queue') then
        begin
            create role carrel_queue nologin;
        exception when duplicate_object or unique_violation then
            null;
        end;
    end if;
end
$$;

create schema carrel;
grant usage on schema carrel to carrel_app, carrel_queue;

-- The workspace of the current transaction; null outside of one, so that every policy refuses.
create function carrel.current_workspace() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('carrel.workspace', true), '')::uuid;

create table carrel.workspace (
    id uuid primary key,
    name text not null check (length(name) between 1 and 100),
    created_at timestamptz not null,
    constraint workspace_name_unique unique (name)
);
alter table carrel.workspace enable row level security;
create policy workspace_wall on carrel.workspace to carrel_app
    using (id = carrel.current_workspace()) with check (id = carrel.current_workspace());
grant select on carrel.workspace to carrel_app;

create table carrel.oauth_client (
    id uuid primary key,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    name text not null check (length(name) between 1 and 100),
    secret_digest bytea not null check (octet_length(secret_digest) = 32),
    scopes text not null,
    created_at timestamptz not null,
    revoked_at timestamptz
);
create index oauth_client_workspace on carrel.oauth_client (workspace_id);
alter table carrel.oauth_client enable row level security;
create policy workspace_wall on carrel.oauth_client to carrel_app
    using (workspace_id = carrel.current_workspace()) with check (workspace_id = carrel.current_workspace());
grant select on carrel.oauth_client to carrel_app;

-- A client presents itself before its workspace is known, so this one look-up stands in front of the wall.
create function carrel.find_client(client uuid)
    returns table (workspace_id uuid, name text, secret_digest bytea, scopes text, revoked boolean)
    language sql stable security definer set search_path = carrel, pg_temp
begin atomic
    select c.workspace_id, c.name, c.secret_digest, c.scopes, c.revoked_at is not null
    from carrel.oauth_client c
    where c.id = client;
end;
revoke all on function carrel.find_client(uuid) from public;
grant execute on function carrel.find_client(uuid) to carrel_app;

-- Answers to POST requests that carried an Idempotency-Key, kept for a day.
create table carrel.idempotency (
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    client_id uuid not null,
    key text not null check (length(key) between 1 and 255),
    fingerprint bytea not null,
    status smallint,
    reply jsonb,
    created_at timestamptz not null,
    primary key (workspace_id, client_id, key)
);
create index idempotency_age on carrel.idempotency (created_at);
alter table carrel.idempotency enable row level security;
create policy workspace_wall on carrel.idempotency to carrel_app
    using (workspace_id = carrel.current_workspace()) with check (workspace_id = carrel.current_workspace());
grant select, insert, update, delete on carrel.idempotency to carrel_app;

-- One entry for every change; appended, never changed.
create table carrel.audit_entry (
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    seq bigint generated always as identity,
    at timestamptz not null,
    actor jsonb not null,
    action text not null,
    subject uuid,
    request_id uuid not null,
    details jsonb not null default '{}',
    primary key (workspace_id, seq)
);
alter table carrel.audit_entry enable row level security;
create policy workspace_wall on carrel.audit_entry to carrel_app
    using (workspace_id = carrel.current_workspace()) with check (workspace_id = carrel.current_workspace());
grant select, insert on carrel.audit_entry to carrel_app;
