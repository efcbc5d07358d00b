-- Jobs: PostgreSQL decides what runs; whatever carries a job's id to a worker may lose, repeat or reorder it.
--
-- Stored states: blocked -> available -> running -> completed | discarded | cancelled. "Scheduled" and "retryable" are
-- available jobs whose run_at lies ahead. Every time in these tables is the database's own.

create table carrel.job (
    id uuid primary key,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    kind text not null check (length(kind) between 1 and 100),
    queue text not null check (length(queue) between 1 and 40),
    state text not null
        check (state in ('blocked', 'available', 'running', 'completed', 'discarded', 'cancelled')),
    priority smallint not null default 0,
    payload jsonb not null,
    payload_version smallint not null check (payload_version > 0),
    run_at timestamptz not null,
    attempt smallint not null default 0 check (attempt >= 0),
    max_attempts smallint not null check (max_attempts > 0),
    crashes smallint not null default 0,
    timeout_ms integer not null check (timeout_ms > 0),
    -- The fence: a random token per execution. Random and not counted, because a claim may be lost with an
    -- unsynchronised commit, and must then never be issued again.
    claim uuid,
    worker_id uuid,
    started_at timestamptz,
    lease_until timestamptz,
    -- When its id was last sent on its way to a worker, if it was.
    dispatched_at timestamptz,
    -- Needed jobs that have not completed.
    waits_for smallint not null default 0 check (waits_for >= 0),
    has_dependents boolean not null default false,
    unique_key text check (length(unique_key) between 1 and 300),
    limit_key text check (length(limit_key) between 1 and 300),
    parent_id uuid,
    replay_of uuid,
    cancel_requested_at timestamptz,
    progress jsonb,
    result jsonb,
    error_code text,
    error_message text,
    traceparent text check (length(traceparent) <= 100),
    created_by jsonb not null,
    created_at timestamptz not null,
    finished_at timestamptz,
    constraint job_attempts_bounded check (attempt <= max_attempts),
    constraint job_blocked_waits check ((state = 'blocked') <= (waits_for > 0)),
    constraint job_running_is_held check ((state = 'running') <= (claim is not null and lease_until is not null)),
    constraint job_final_has_time check ((state in ('completed', 'discarded', 'cancelled')) = (finished_at is not null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

-- What could start, workspace by workspace in its order.
create index job_available on carrel.job (queue, workspace_id, priority, run_at, id) where state = 'available';
-- Not over lease_until: renewing must stay a heap-only update. The running rows are few; the sweeper reads them all.
create index job_running on carrel.job (queue, workspace_id) where state = 'running';
create index job_blocked on carrel.job (queue) where state = 'blocked';
create unique index job_unique_key on carrel.job (workspace_id, kind, unique_key)
    where unique_key is not null and state in ('blocked', 'available', 'running');
create index job_list on carrel.job (workspace_id, id);
create index job_parent on carrel.job (parent_id) where parent_id is not null;
create index job_replay on carrel.job (replay_of) where replay_of is not null;

-- Executions that did not complete. One that did is told by its job's row.
create table carrel.job_attempt (
    id bigint generated always as identity primary key,
    job_id uuid not null references carrel.job (id) on delete cascade,
    workspace_id uuid not null,
    attempt smallint not null,
    worker_id uuid,
    started_at timestamptz not null,
    ended_at timestamptz not null,
    outcome text not null
        check (outcome in ('failed', 'discarded', 'snoozed', 'released', 'cancelled', 'crashed')),
    error_code text,
    error_message text
);
create index job_attempt_job on carrel.job_attempt (job_id, id);

create table carrel.job_dep (
    job_id uuid not null references carrel.job (id) on delete cascade,
    needs_id uuid not null references carrel.job (id) on delete cascade,
    workspace_id uuid not null,
    primary key (job_id, needs_id)
);
create index job_dep_needs on carrel.job_dep (needs_id);

-- How many jobs with one limit_key may run at once, over all workspaces.
create table carrel.job_limit (
    key text primary key check (length(key) between 1 and 300),
    max integer not null check (max >= 0)
);

-- Queues that the operator has paused.
create table carrel.queue (
    name text primary key check (length(name) between 1 and 40),
    paused_at timestamptz,
    paused_reason text
);

-- Worker processes, one row per start; gone or stale when they are.
create table carrel.worker (
    id uuid primary key,
    host text not null,
    version text not null,
    queues jsonb not null,
    kinds jsonb not null,
    started_at timestamptz not null,
    last_seen timestamptz not null,
    draining boolean not null default false
);

-- Due jobs of a queue that a worker knowing these kinds could run, best first: by priority, then the workspace that
-- holds the fewest of the queue's slots, then by lot between workspaces and by age within one. With dispatched_before,
-- those believed on their way are left out.
-- The planner must not fall for a sequential scan while the statistics still speak of an empty table.
create function carrel.due_jobs(
    p_queue text, p_kinds text[], p_versions smallint[], p_limit integer, p_dispatched_before timestamptz default null
) returns table (id uuid, limit_key text)
    language sql stable
    set enable_seqscan = off
    set enable_bitmapscan = off
    set search_path = carrel, pg_temp
as $$
    with recursive tenant (workspace_id) as (
        (select j.workspace_id
         from carrel.job j
         where j.queue = p_queue and j.state = 'available'
         order by j.workspace_id
         limit 1)
        union all
        select (select j.workspace_id
                from carrel.job j
                where j.queue = p_queue and j.state = 'available' and j.workspace_id > t.workspace_id
                order by j.workspace_id
                limit 1)
        from tenant t
        where t.workspace_id is not null
    ),
    busy as (
        select j.workspace_id, count(*) as slots
        from carrel.job j
        where j.queue = p_queue and j.state = 'running'
        group by j.workspace_id
    ),
    full_key as (
        select l.key
        from carrel.job_limit l
        where l.max <= (select count(*) from carrel.job j where j.state = 'running' and j.limit_key = l.key)
    )
    select c.id, c.limit_key
    from (select n.workspace_id, random() as lot from tenant n where n.workspace_id is not null) t
    left join busy b on b.workspace_id = t.workspace_id
    cross join lateral (
        select d.id, d.limit_key, d.priority, d.run_at,
               row_number() over (order by d.priority, d.run_at, d.id) as turn
        from (
            select j.id, j.limit_key, j.priority, j.run_at
            from carrel.job j
            where j.queue = p_queue
              and j.workspace_id = t.workspace_id
              and j.state = 'available'
              and j.run_at <= clock_timestamp()
              and j.attempt < j.max_attempts
              and j.payload_version <= p_versions[array_position(p_kinds, j.kind)]
              and (p_dispatched_before is null or j.dispatched_at is null or j.dispatched_at < p_dispatched_before)
              and (j.limit_key is null or j.limit_key not in (select f.key from full_key f))
            order by j.priority, j.run_at, j.id
            limit p_limit
        ) d
    ) c
    order by c.priority, coalesce(b.slots, 0) + c.turn, t.lot, c.run_at, c.id
    limit p_limit;
$$;

-- Takes up to p_limit jobs for a worker: the given ones, or the next. A job that is not there, not due, held, paused,
-- unknown to the worker or over its limit is left out. One call, but several snapshots: the count of a limit's running
-- jobs is read after its lock is held.
create function carrel.claim_jobs(
    p_queue text, p_kinds text[], p_versions smallint[], p_ids uuid[], p_limit integer, p_worker uuid, p_lease_ms integer
) returns setof carrel.job
    language plpgsql volatile
    set search_path = carrel, pg_temp
as $$
declare
    wanted uuid[];
    keys text[];
    key text;
begin
    if exists (select from carrel.queue q where q.name = p_queue and q.paused_at is not null) then
        return;
    end if;
    if p_ids is null then
        -- More than asked for, so that a neighbour who holds the first ones does not leave us empty-handed.
        select array_agg(d.id), array_agg(distinct d.limit_key) filter (where d.limit_key is not null)
        into wanted, keys
        from carrel.due_jobs(p_queue, p_kinds, p_versions, p_limit * 2 + 8) d;
    else
        wanted := p_ids;
        select array_agg(distinct j.limit_key)
        into keys
        from carrel.job j
        where j.id = any (p_ids) and j.limit_key is not null;
    end if;
    if wanted is null then
        return;
    end if;
    if keys is not null then
        foreach key in array keys loop
            perform pg_advisory_xact_lock(hashtextextended(key, 5501));
        end loop;
        select array_agg(c.id order by c.place)
        into wanted
        from (
            select w.id, w.place, l.max,
                   row_number() over (partition by j.limit_key order by w.place) as turn,
                   (select count(*) from carrel.job r where r.state = 'running' and r.limit_key = j.limit_key) as running
            from unnest(wanted) with ordinality w (id, place)
            join carrel.job j on j.id = w.id
            left join carrel.job_limit l on l.key = j.limit_key
        ) c
        where c.max is null or c.turn + c.running <= c.max;
        if wanted is null then
            return;
        end if;
    end if;
    -- Losing a claim in a crash of the database loses nothing: the job is available again.
    perform set_config('synchronous_commit', 'off', true);
    return query
    with free as (
        select j.id
        from unnest(wanted) with ordinality w (id, place)
        join carrel.job j on j.id = w.id
        where j.state = 'available'
          and j.queue = p_queue
          and j.run_at <= clock_timestamp()
          and j.attempt < j.max_attempts
          and j.payload_version <= p_versions[array_position(p_kinds, j.kind)]
        order by w.place
        limit p_limit
        for update of j skip locked
    )
    update carrel.job j
    set state = 'running',
        claim = gen_random_uuid(),
        worker_id = p_worker,
        started_at = clock_timestamp(),
        lease_until = clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0),
        dispatched_at = null,
        attempt = j.attempt + 1,
        progress = null
    from free
    where j.id = free.id
    returning j.*;
end
$$;

alter table carrel.job enable row level security;
alter table carrel.job_attempt enable row level security;
alter table carrel.job_dep enable row level security;

create policy workspace_wall on carrel.job to carrel_app
    using (workspace_id = carrel.current_workspace()) with check (workspace_id = carrel.current_workspace());
create policy workspace_wall on carrel.job_attempt to carrel_app
    using (workspace_id = carrel.current_workspace()) with check (workspace_id = carrel.current_workspace());
-- Foreign keys look past the wall, so the policy itself asks whether both ends are on this side.
create policy workspace_wall on carrel.job_dep to carrel_app
    using (workspace_id = carrel.current_workspace())
    with check (
        workspace_id = carrel.current_workspace()
        and exists (select from carrel.job j where j.id = job_id)
        and exists (select from carrel.job j where j.id = needs_id)
    );
create policy job_machinery on carrel.job to carrel_queue using (true) with check (true);
create policy job_machinery on carrel.job_attempt to carrel_queue using (true) with check (true);
create policy job_machinery on carrel.job_dep to carrel_queue using (true);

grant select, insert on carrel.job to carrel_app;
grant update (state, run_at, waits_for, has_dependents, unique_key, cancel_requested_at, lease_until, result,
              error_code, error_message, finished_at) on carrel.job to carrel_app;
grant select on carrel.job_attempt to carrel_app;
grant select, insert on carrel.job_dep to carrel_app;
grant select on carrel.job_limit, carrel.queue, carrel.worker to carrel_app;

-- The machinery moves jobs along; it can neither make one nor change what it is or whose it is.
grant select, delete on carrel.job to carrel_queue;
grant update (state, run_at, attempt, crashes, claim, worker_id, started_at, lease_until, dispatched_at, progress,
              error_code, error_message, finished_at)
    on carrel.job to carrel_queue;
grant select, insert on carrel.job_attempt to carrel_queue;
grant select on carrel.job_dep to carrel_queue;
grant select, insert, update, delete on carrel.job_limit, carrel.queue, carrel.worker to carrel_queue;

revoke all on function carrel.due_jobs(text, text[], smallint[], integer, timestamptz) from public;
revoke all on function carrel.claim_jobs(text, text[], smallint[], uuid[], integer, uuid, integer) from public;
grant execute on function carrel.due_jobs(text, text[], smallint[], integer, timestamptz) to carrel_queue;
grant execute on function carrel.claim_jobs(text, text[], smallint[], uuid[], integer, uuid, integer) to carrel_queue;
