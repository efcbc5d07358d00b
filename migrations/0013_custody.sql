-- Custody: a chain over the audit trail, labels that are scanned, legal holds, and erasure with its proof.
--
-- The entries of the trail are written as before, each by the transaction of what it tells of. A seal chains those that
-- were committed since the seal before: each gets its place and the digest of its predecessor, and the batch a Merkle root
-- that is signed. So no transaction ever waits for another one's entry.

-- Which transaction wrote the entry: a seal takes those whose transactions had not ended at the one before.
alter table carrel.audit_entry add column transaction_id xid8 not null default pg_current_xact_id();
create index audit_entry_transaction on carrel.audit_entry (workspace_id, transaction_id);
create index audit_entry_subject on carrel.audit_entry (workspace_id, subject, seq) where subject is not null;

-- A signed batch. `payload` is the signed text, byte for byte; the columns beside it are for queries.
create table carrel.audit_seal (
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    number bigint not null check (number >= 1),
    first_position bigint not null check (first_position >= 1),
    last_position bigint not null check (last_position >= first_position),
    payload text not null,
    signature text not null,
    -- Oldest transaction that had not ended when the entries were looked for.
    horizon xid8 not null,
    sealed_at timestamptz not null,
    primary key (workspace_id, number)
);

-- An entry's place in the chain.
create table carrel.audit_link (
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    position bigint not null check (position >= 1),
    seq bigint not null,
    previous bytea not null check (octet_length(previous) = 32),
    digest bytea not null check (octet_length(digest) = 32),
    seal bigint not null,
    primary key (workspace_id, position),
    constraint audit_link_entry unique (workspace_id, seq)
);

-- Appended by whoever may insert; changed and removed by nobody, the owner included. (Who may drop a trigger can do what
-- he likes; the chain is there to show it.)
create function carrel.refuse_removal() returns trigger language plpgsql as $$
begin
    raise exception '% rows are never changed or removed', tg_table_name using errcode = 'restrict_violation';
end
$$;
do $$
declare
    name text;
begin
    foreach name in array array['audit_entry', 'audit_link', 'audit_seal'] loop
        execute format('create trigger %I before update or delete on carrel.%I for each row execute function carrel.refuse_removal()',
                       name || '_append_only', name);
        execute format('create trigger %I before truncate on carrel.%I for each statement execute function carrel.refuse_removal()',
                       name || '_not_emptied', name);
    end loop;
end
$$;

-- Workspaces with entries that no seal covers, as far as can be told without reading what is sealed.
create function carrel.workspaces_to_seal() returns setof uuid
    language sql stable security definer set search_path = carrel, pg_temp as $$
    select w.id
    from workspace w
    left join lateral (
        select s.horizon from audit_seal s where s.workspace_id = w.id order by s.number desc limit 1
    ) last on true
    where exists (
        select from audit_entry e
        where e.workspace_id = w.id
          -- A database that was restored from a dump counts its transactions from the start again.
          and (last.horizon is null or last.horizon > pg_snapshot_xmin(pg_current_snapshot()) or e.transaction_id >= last.horizon)
          and not exists (select from audit_link l where l.workspace_id = e.workspace_id and l.seq = e.seq)
    );
$$;
revoke all on function carrel.workspaces_to_seal() from public;
grant execute on function carrel.workspaces_to_seal() to carrel_app;

-- What happened to the paper: written when a label is scanned.
create table carrel.custody_event (
    id uuid primary key,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    document_id uuid not null references carrel.document (id) on delete cascade,
    kind text not null
        check (kind in ('received', 'stored', 'moved', 'handed_over', 'returned', 'inspected', 'copied', 'disposed')),
    place text check (length(place) between 1 and 200),
    note text check (length(note) between 1 and 2000),
    at timestamptz not null,
    by jsonb not null
);
create index custody_event_page on carrel.custody_event (document_id, at, id);

-- What must not be deleted, and why. Released, never removed.
create table carrel.legal_hold (
    id uuid primary key,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    -- No foreign keys: a released hold outlives what it held.
    document_id uuid,
    collection_id uuid,
    reason text not null check (length(reason) between 1 and 2000),
    placed_at timestamptz not null,
    placed_by jsonb not null,
    released_at timestamptz,
    released_by jsonb,
    release_reason text check (length(release_reason) between 1 and 2000),
    constraint legal_hold_subject check (num_nonnulls(document_id, collection_id) = 1),
    constraint legal_hold_release check (num_nonnulls(released_at, released_by, release_reason) in (0, 3))
);
create index legal_hold_document on carrel.legal_hold (document_id) where document_id is not null and released_at is null;
create index legal_hold_collection on carrel.legal_hold (collection_id)
    where collection_id is not null and released_at is null;
create index legal_hold_page on carrel.legal_hold (workspace_id, placed_at, id);

-- Operations ask first and say who holds; this is for everything that forgets to ask. Past the wall, because a removed
-- collection hides its documents from whoever does not say that he sees them.
create function carrel.refuse_held_document() returns trigger
    language plpgsql security definer set search_path = carrel, pg_temp as $$
begin
    if exists (
        select from legal_hold h
        where h.released_at is null and h.workspace_id = old.workspace_id
          and (h.document_id = old.id or h.collection_id = old.collection_id)
    ) then
        raise exception 'document % is under legal hold', old.id
            using errcode = 'restrict_violation', constraint = 'legal_hold', table = 'document';
    end if;
    return old;
end
$$;
create trigger document_held before delete on carrel.document
    for each row execute function carrel.refuse_held_document();

create function carrel.refuse_held_collection() returns trigger
    language plpgsql security definer set search_path = carrel, pg_temp as $$
begin
    if exists (
        select from legal_hold h
        where h.released_at is null and h.workspace_id = old.workspace_id and h.collection_id = old.id
    ) or exists (
        select from legal_hold h
        join document d on d.id = h.document_id
        where h.released_at is null and h.workspace_id = old.workspace_id and d.collection_id = old.id
    ) then
        raise exception 'collection % is under legal hold', old.id
            using errcode = 'restrict_violation', constraint = 'legal_hold', table = 'collection';
    end if;
    return case tg_op when 'DELETE' then old else new end;
end
$$;
create trigger collection_held_removal before update of removed_at on carrel.collection
    for each row when (old.removed_at is null and new.removed_at is not null)
    execute function carrel.refuse_held_collection();
create trigger collection_held before delete on carrel.collection
    for each row execute function carrel.refuse_held_collection();

-- An erasure: asked for, done by a job, proved by its receipt.
create table carrel.erasure (
    id uuid primary key,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    document_id uuid not null,
    reason text not null check (length(reason) between 1 and 2000),
    state text not null check (state in ('requested', 'clearing', 'completed')),
    job_id uuid not null,
    requested_at timestamptz not null,
    requested_by jsonb not null,
    -- What the job found and what it has cleared so far: ids, digests and counts. While it runs also some words to look for
    -- afterwards; these go with the last step.
    progress jsonb not null default '{}',
    probes text[],
    -- The receipt's text, byte for byte, and its signature.
    receipt text,
    signature text,
    completed_at timestamptz,
    constraint erasure_document unique (document_id),
    constraint erasure_completed check (
        (state = 'completed') = (completed_at is not null and receipt is not null) and (state <> 'completed' or probes is null)
    )
);
create index erasure_page on carrel.erasure (workspace_id, requested_at, id);

-- Every document that an erasure takes: the one that was named, and what was found inside of it.
create table carrel.erasure_target (
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    document_id uuid not null,
    erasure_id uuid not null references carrel.erasure (id) on delete cascade,
    primary key (document_id)
);
create index erasure_target_erasure on carrel.erasure_target (erasure_id);

-- What is being erased takes nothing new: neither a version, nor a document that was found inside of it.
create function carrel.refuse_erased_version() returns trigger
    language plpgsql security definer set search_path = carrel, pg_temp as $$
begin
    if exists (select from erasure_target t where t.document_id = new.document_id) then
        raise exception 'document % is being erased', new.document_id
            using errcode = 'restrict_violation', constraint = 'document_erased', table = 'document_version';
    end if;
    return new;
end
$$;
create function carrel.refuse_erased_child() returns trigger
    language plpgsql security definer set search_path = carrel, pg_temp as $$
declare
    parent text := new.metadata -> 'found_in' ->> 'document_id';
begin
    -- Senders may write into metadata what they like.
    if pg_input_is_valid(parent, 'uuid') and exists (
        select from erasure_target t where t.workspace_id = new.workspace_id and t.document_id = parent::uuid
    ) then
        raise exception 'document % is being erased', parent
            using errcode = 'restrict_violation', constraint = 'document_erased', table = 'document';
    end if;
    return new;
end
$$;
revoke all on function carrel.refuse_erased_version() from public;
revoke all on function carrel.refuse_erased_child() from public;
create trigger version_erased before insert on carrel.document_version
    for each row execute function carrel.refuse_erased_version();
create trigger document_erased before insert on carrel.document
    for each row when (new.metadata ? 'found_in') execute function carrel.refuse_erased_child();

-- A citation holds on to its text until it is committed, so that an erasure sees it or it sees the erasure.
create or replace function carrel.verify_citation() returns trigger
    language plpgsql security definer set search_path = carrel, pg_temp as $$
declare
    found_quote text;
begin
    select substring(r.text from new.span_start + 1 for new.span_end - new.span_start) into found_quote
    from rendition r
    where r.version_id = new.version_id and r.workspace_id = new.workspace_id
    for key share;
    if found_quote is null or convert_to(found_quote, 'UTF8') <> convert_to(new.quote, 'UTF8') then
        raise exception 'the quote does not stand at [%, %) of version %', new.span_start, new.span_end, new.version_id
            using errcode = 'check_violation', constraint = 'citation_quote_verified', table = 'research_citation';
    end if;
    return new;
end
$$;
revoke all on function carrel.verify_citation() from public;

-- Cancels what waits for these versions, asks what runs for them to stop, and answers how many of them still run.
create function carrel.stop_jobs_of(p_versions uuid[]) returns bigint
    language plpgsql volatile security definer set search_path = carrel, pg_temp as $$
declare
    names text[] := array(select v::text from unnest(p_versions) v);
    running bigint;
begin
    update job j
    set state = 'cancelled', finished_at = clock_timestamp(), error_code = 'erased', error_message = 'its document is being erased'
    where j.workspace_id = current_workspace()
      and j.state in ('blocked', 'available')
      and j.payload ->> 'version' = any (names);
    update job j
    set cancel_requested_at = coalesce(j.cancel_requested_at, clock_timestamp())
    where j.workspace_id = current_workspace()
      and j.state = 'running'
      and j.payload ->> 'version' = any (names);
    select count(*) into running
    from job j
    where j.workspace_id = current_workspace() and j.state = 'running' and j.payload ->> 'version' = any (names);
    return running;
end
$$;
revoke all on function carrel.stop_jobs_of(uuid[]) from public;
grant execute on function carrel.stop_jobs_of(uuid[]) to carrel_app;

-- Removes ended jobs that were about these versions, with their attempts, needs and refusals, and effects that name one
-- of the ids; answers how many rows of each.
create function carrel.erase_jobs_of(p_versions uuid[], p_ids uuid[])
    returns table (place text, removed bigint)
    language plpgsql volatile security definer set search_path = carrel, pg_temp as $$
declare
    names text[] := array(select v::text from unnest(p_versions) v);
    patterns text[] := array(select '%' || v::text || '%' from unnest(p_ids) v);
    jobs uuid[];
    found bigint;
begin
    with gone as (
        delete from job j
        where j.workspace_id = current_workspace() and j.payload ->> 'version' = any (names) and j.finished_at is not null
        returning j.id
    )
    select array_agg(g.id) into jobs from gone g;
    place := 'job'; removed := coalesce(cardinality(jobs), 0); return next;
    with gone as (
        delete from job_history h
        where h.workspace_id = current_workspace() and h.payload ->> 'version' = any (names)
        returning h.id
    )
    select jobs || array_agg(g.id), count(*) into jobs, found from gone g;
    place := 'job_history'; removed := found; return next;
    delete from job_attempt a where a.workspace_id = current_workspace() and a.job_id = any (jobs);
    get diagnostics found = row_count;
    place := 'job_attempt'; removed := found; return next;
    delete from job_dep d
    where d.workspace_id = current_workspace() and (d.job_id = any (jobs) or d.needs_id = any (jobs));
    get diagnostics found = row_count;
    place := 'job_dep'; removed := found; return next;
    delete from job_refusal r where r.workspace_id = current_workspace() and r.job_id = any (jobs);
    get diagnostics found = row_count;
    place := 'job_refusal'; removed := found; return next;
    delete from outbox_effect o where o.workspace_id = current_workspace() and o.payload::text like any (patterns);
    get diagnostics found = row_count;
    place := 'outbox_effect'; removed := found; return next;
end
$$;
revoke all on function carrel.erase_jobs_of(uuid[], uuid[]) from public;
grant execute on function carrel.erase_jobs_of(uuid[], uuid[]) to carrel_app;

do $$
declare
    name text;
begin
    foreach name in array array['audit_seal', 'audit_link', 'custody_event', 'legal_hold', 'erasure', 'erasure_target'] loop
        execute format('alter table carrel.%I enable row level security', name);
        execute format(
            'create policy workspace_wall on carrel.%I to carrel_app
             using (workspace_id = (select carrel.current_workspace()))
             with check (workspace_id = (select carrel.current_workspace()))', name);
        execute format('grant select, insert on carrel.%I to carrel_app', name);
    end loop;
end
$$;
grant delete on carrel.custody_event to carrel_app;
grant update (released_at, released_by, release_reason) on carrel.legal_hold to carrel_app;
grant update (state, progress, probes, receipt, signature, completed_at) on carrel.erasure to carrel_app;
