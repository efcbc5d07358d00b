-- The path of a job that just runs, made short. A claim changes no indexed column any more, so it is a heap-only update
-- that writes one row version and no index entry. What runs, and what is on its way to a worker, is listed in tables that
-- are not logged: they are indexes in disguise, made again from the jobs themselves when a crash has emptied them.

drop index carrel.job_available;
drop index carrel.job_running;
drop index carrel.job_blocked;
-- A page of unfinished jobs is read by id; that one workspace may have to look past another's backlog for it costs less
-- than an index entry for every job.
drop index carrel.job_list;
drop index carrel.job_unique_key;

-- What could start or has, workspace by workspace in its order. Few of its rows run, and these are skipped.
create index job_ready on carrel.job (queue, workspace_id, priority, run_at, id)
    where waits_for = 0 and finished_at is null;
-- Room on the page for the row version of the claim.
alter table carrel.job set (fillfactor = 50);

grant usage on schema carrel_jobs to carrel_queue;

-- Jobs that run. The row with the nil id says that the list is complete.
create unlogged table carrel_jobs.running (
    job_id uuid primary key,
    queue text,
    workspace_id uuid,
    limit_key text
);
grant select, delete on carrel_jobs.running to carrel_queue;

-- Jobs whose ids were sent on their way to a worker, and when.
create unlogged table carrel_jobs.dispatched (
    job_id uuid primary key,
    at timestamptz not null
);
grant select, insert, update, delete on carrel_jobs.dispatched to carrel_queue;

create function carrel.list_running() returns void
    language plpgsql volatile security definer set search_path = carrel, pg_temp as $$
begin
    if exists (select from carrel_jobs.running r where r.job_id = '00000000-0000-0000-0000-000000000000') then
        return;
    end if;
    perform pg_advisory_xact_lock(5511);
    insert into carrel_jobs.running (job_id, queue, workspace_id, limit_key)
    select j.id, j.queue, j.workspace_id, j.limit_key
    from job j
    where j.state = 'running'
    union all
    select '00000000-0000-0000-0000-000000000000', null, null, null
    on conflict (job_id) do nothing;
end
$$;
revoke all on function carrel.list_running() from public;
grant execute on function carrel.list_running() to carrel_queue;

-- An ended job with a key leaves the table at once, so that it does not hold its key.
create function carrel.archive_keyed_job() returns trigger
    language plpgsql security definer set search_path = carrel, pg_temp as $$
begin
    with gone as (delete from job j where j.id = new.id returning j.*)
    insert into job_history select g.* from gone g;
    return null;
end
$$;
revoke all on function carrel.archive_keyed_job() from public;
create trigger job_leaves_with_its_key after update of state on carrel.job
    for each row when (new.finished_at is not null and new.unique_key is not null)
    execute function carrel.archive_keyed_job();
-- Those that ended before.
with gone as (
    delete from carrel.job j where j.finished_at is not null and j.unique_key is not null returning j.*
)
insert into carrel.job_history select g.* from gone g;
create unique index job_unique_key on carrel.job (workspace_id, kind, unique_key) where unique_key is not null;

-- Due jobs of a queue that a worker knowing these kinds could run, best first: by priority, then the workspace that
-- holds the fewest of the queue's slots, then by lot between workspaces and by age within one. With dispatched_before,
-- those believed on their way are left out. Looks at the front of each priority of each workspace only, whatever waits
-- behind or lies ahead in time.
create or replace function carrel.due_jobs(
    p_queue text, p_kinds text[], p_versions smallint[], p_limit integer, p_dispatched_before timestamptz default null
) returns table (id uuid, limit_key text)
    language sql stable
    rows 20
    set enable_seqscan = off
    set enable_bitmapscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set search_path = carrel, pg_temp
as $$
    with recursive shelf (workspace_id, priority) as (
        (select j.workspace_id, j.priority
         from carrel.job j
         where j.queue = p_queue and j.waits_for = 0 and j.finished_at is null
         order by j.workspace_id, j.priority
         limit 1)
        union all
        select n.workspace_id, n.priority
        from shelf s
        cross join lateral (
            select j.workspace_id, j.priority
            from carrel.job j
            where j.queue = p_queue and j.waits_for = 0 and j.finished_at is null
              and (j.workspace_id, j.priority) > (s.workspace_id, s.priority)
            order by j.workspace_id, j.priority
            limit 1
        ) n
    ),
    busy as (
        select r.workspace_id, count(*) as slots
        from carrel_jobs.running r
        where r.queue = p_queue
        group by r.workspace_id
    ),
    full_key as (
        select l.key
        from carrel.job_limit l
        where l.max <= (select count(*) from carrel_jobs.running r where r.limit_key = l.key)
    ),
    due as (
        select d.id, d.limit_key, s.priority, d.run_at, s.workspace_id
        from shelf s
        cross join lateral (
            select j.id, j.limit_key, j.run_at
            from carrel.job j
            where j.queue = p_queue
              and j.workspace_id = s.workspace_id
              and j.priority = s.priority
              and j.waits_for = 0
              and j.finished_at is null
              and j.run_at <= clock_timestamp()
              and j.state || '' = 'available'
              and j.attempt < j.max_attempts
              and j.payload_version <= p_versions[array_position(p_kinds, j.kind)]
              and (p_dispatched_before is null or not exists (
                  select from carrel_jobs.dispatched s where s.job_id = j.id and s.at >= p_dispatched_before
              ))
              and (j.limit_key is null or j.limit_key not in (select f.key from full_key f))
            order by j.run_at, j.id
            limit p_limit
        ) d
    )
    select t.id, t.limit_key
    from (
        select d.id, d.limit_key, d.priority, d.run_at, d.workspace_id,
               row_number() over (partition by d.workspace_id order by d.priority, d.run_at, d.id) as turn
        from due d
    ) t
    left join busy b on b.workspace_id = t.workspace_id
    left join (select w.workspace_id, random() as lot from (select distinct s.workspace_id from shelf s) w) l
        on l.workspace_id = t.workspace_id
    order by t.priority, coalesce(b.slots, 0) + t.turn, l.lot, t.run_at, t.id
    limit p_limit;
$$;

-- How long until the next job of the queue that a worker knowing these kinds could run is due; null when none waits or
-- the queue is paused. Looks at the front of each priority of each workspace only.
create function carrel.next_due(p_queue text, p_kinds text[], p_versions smallint[]) returns interval
    language sql stable
    set enable_seqscan = off
    set enable_bitmapscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set search_path = carrel, pg_temp
as $$
    with recursive shelf (workspace_id, priority) as (
        (select j.workspace_id, j.priority
         from carrel.job j
         where j.queue = p_queue and j.waits_for = 0 and j.finished_at is null
         order by j.workspace_id, j.priority
         limit 1)
        union all
        select n.workspace_id, n.priority
        from shelf s
        cross join lateral (
            select j.workspace_id, j.priority
            from carrel.job j
            where j.queue = p_queue and j.waits_for = 0 and j.finished_at is null
              and (j.workspace_id, j.priority) > (s.workspace_id, s.priority)
            order by j.workspace_id, j.priority
            limit 1
        ) n
    )
    select min(d.run_at) - clock_timestamp()
    from shelf s
    cross join lateral (
        select j.run_at
        from carrel.job j
        where j.queue = p_queue
          and j.workspace_id = s.workspace_id
          and j.priority = s.priority
          and j.waits_for = 0
          and j.finished_at is null
          and j.state || '' = 'available'
          and j.payload_version <= p_versions[array_position(p_kinds, j.kind)]
        order by j.run_at
        limit 1
    ) d
    where not exists (select from carrel.queue q where q.name = p_queue and q.paused_at is not null);
$$;
revoke all on function carrel.next_due(text, text[], smallint[]) from public;
grant execute on function carrel.next_due(text, text[], smallint[]) to carrel_queue;

-- Takes up to p_limit jobs for a worker: the given ones, or the next. A job that is not there, not due, held, paused,
-- unknown to the worker or over its limit is left out. One call, but several snapshots: the count of a limit's running
-- jobs is read after its lock is held.
create or replace function carrel.claim_jobs(
    p_queue text, p_kinds text[], p_versions smallint[], p_ids uuid[], p_limit integer, p_worker uuid, p_lease_ms integer
) returns setof carrel.job
    language plpgsql volatile security definer
    set enable_hashjoin = off
    set enable_mergejoin = off
    set enable_seqscan = off
    set search_path = carrel, pg_temp
as $$
declare
    wanted uuid[];
    keys text[];
    key text;
    taken uuid[];
begin
    if exists (select from carrel.queue q where q.name = p_queue and q.paused_at is not null) then
        return;
    end if;
    perform carrel.list_running();
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
                   (select count(*) from carrel_jobs.running r where r.limit_key = j.limit_key) as running
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
        -- By primary key: the empty strings keep every other index out of the plan.
        where j.state || '' = 'available'
          and j.queue || '' = p_queue
          and j.run_at <= clock_timestamp()
          and j.attempt < j.max_attempts
          and j.payload_version <= p_versions[array_position(p_kinds, j.kind)]
        order by w.place
        limit p_limit
        for update of j skip locked
    ),
    held as (
        update carrel.job j
        set state = 'running',
            claim = gen_random_uuid(),
            worker_id = p_worker,
            started_at = clock_timestamp(),
            lease_until = clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0),
            attempt = j.attempt + 1,
            progress = null
        from free
        where j.id = free.id
        returning j.*
    ),
    listed as (
        insert into carrel_jobs.running (job_id, queue, workspace_id, limit_key)
        select h.id, h.queue, h.workspace_id, h.limit_key
        from held h
        on conflict (job_id) do nothing
    )
    select h.* from held h;
    if p_ids is not null then
        delete from carrel_jobs.dispatched s where s.job_id = any (p_ids);
    end if;
end
$$;

-- Chooses up to p_limit due jobs to be carried to workers, best first, and notes that they are on their way. One whose
-- note is older than p_before is chosen again. Null when a neighbour is choosing.
create function carrel.dispatch_jobs(
    p_queue text, p_kinds text[], p_versions smallint[], p_limit integer, p_before timestamptz
) returns uuid[]
    language plpgsql volatile security definer
    set search_path = carrel, pg_temp
as $$
declare
    chosen uuid[];
begin
    if exists (select from carrel.queue q where q.name = p_queue and q.paused_at is not null) then
        return array[]::uuid[];
    end if;
    -- One at a time: the window would otherwise be filled once per worker.
    if not pg_try_advisory_xact_lock(hashtextextended(p_queue, 5502)) then
        return null;
    end if;
    select coalesce(array_agg(d.id), array[]::uuid[])
    into chosen
    from carrel.due_jobs(p_queue, p_kinds, p_versions, p_limit, p_before) d;
    perform set_config('synchronous_commit', 'off', true);
    insert into carrel_jobs.dispatched (job_id, at)
    select c, clock_timestamp() from unnest(chosen) c
    on conflict (job_id) do update set at = excluded.at;
    return chosen;
end
$$;
revoke all on function carrel.dispatch_jobs(text, text[], smallint[], integer, timestamptz) from public;
grant execute on function carrel.dispatch_jobs(text, text[], smallint[], integer, timestamptz) to carrel_queue;

-- Removes notes that say nothing any more: of jobs that ended or run, and of running ones that do not.
create function carrel.tidy_lists() returns void
    language sql volatile security definer set search_path = carrel, pg_temp as $$
    delete from carrel_jobs.dispatched s
    where s.at < clock_timestamp() - interval '1 minute'
      and not exists (select from job j where j.id = s.job_id and j.state = 'available');
    delete from carrel_jobs.running r
    where r.queue is not null
      and not exists (select from job j where j.id = r.job_id and j.state = 'running');
$$;
revoke all on function carrel.tidy_lists() from public;
grant execute on function carrel.tidy_lists() to carrel_queue;

-- Completes jobs whose claims are still held: each row moves to the history, and what needed only it becomes available.
-- Answers the claims that were held. With p_workspace, only jobs of that workspace.
create function carrel.finish_jobs(
    p_ids uuid[], p_claims uuid[], p_results jsonb[], p_workspace uuid default null
) returns setof uuid
    language plpgsql volatile security definer
    set enable_hashjoin = off
    set enable_mergejoin = off
    set enable_seqscan = off
    set search_path = carrel, pg_temp
as $$
declare
    done record;
    needed uuid[];
    ended uuid[];
begin
    for done in
        with gone as (
            delete from job j
            using unnest(p_ids, p_claims, p_results) w (id, claim, result)
            where j.id = w.id
              and j.claim = w.claim
              -- The empty string keeps every index but the primary key out of the plan.
              and j.state || '' = 'running'
              and (p_workspace is null or j.workspace_id = p_workspace)
            returning j.*, w.result as answer
        ),
        kept as (
            insert into job_history (
                id, workspace_id, kind, queue, state, priority, payload, payload_version, run_at, attempt, max_attempts,
                crashes, timeout_ms, claim, worker_id, started_at, waits_for, has_dependents, unique_key, limit_key,
                parent_id, replay_of, cancel_requested_at, progress, result, traceparent, created_by, created_at, finished_at
            )
            select g.id, g.workspace_id, g.kind, g.queue, 'completed', g.priority, g.payload, g.payload_version, g.run_at,
                   g.attempt, g.max_attempts, g.crashes, g.timeout_ms, g.claim, g.worker_id, g.started_at, g.waits_for,
                   g.has_dependents, g.unique_key, g.limit_key, g.parent_id, g.replay_of, g.cancel_requested_at,
                   g.progress, g.answer, g.traceparent, g.created_by, g.created_at, clock_timestamp()
            from gone g
        )
        select g.id, g.claim, g.has_dependents from gone g
    loop
        if done.has_dependents then
            needed := array_append(needed, done.id);
        end if;
        ended := array_append(ended, done.id);
        return next done.claim;
    end loop;
    delete from carrel_jobs.running r where r.job_id = any (ended);
    if needed is not null then
        perform carrel.unblock_jobs(needed);
    end if;
end
$$;

-- The same for one job of the current workspace, inside the transaction that holds what it did.
create function carrel.complete_job(p_id uuid, p_claim uuid, p_result jsonb) returns boolean
    language sql volatile security definer set search_path = carrel, pg_temp as $$
    select carrel.current_workspace() is not null
       and exists (
           select from carrel.finish_jobs(array[p_id], array[p_claim], array[p_result], carrel.current_workspace())
       );
$$;

revoke all on function carrel.finish_jobs(uuid[], uuid[], jsonb[], uuid) from public;
revoke all on function carrel.complete_job(uuid, uuid, jsonb) from public;
grant execute on function carrel.finish_jobs(uuid[], uuid[], jsonb[], uuid) to carrel_queue;
grant execute on function carrel.complete_job(uuid, uuid, jsonb) to carrel_app;
