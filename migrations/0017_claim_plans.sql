-- A plan may not depend on what the statistics last saw. Right after a million jobs have come into an empty table, the join
-- of a few ids with it was planned the wrong way round: the whole primary key was read for each claim, 47 seconds long.
-- Every join by id also names the ids as a condition of the index, so that either way round it is a look-up.

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
            where j.id = any (wanted)
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
        where j.id = any (wanted)
          and j.state || '' = 'available'
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
          and j.id = any (wanted)
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

-- Completes jobs whose claims are still held: each row moves to the history, and what needed only it becomes available.
-- Answers the claims that were held. With p_workspace, only jobs of that workspace.
create or replace function carrel.finish_jobs(
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
              and j.id = any (p_ids)
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
