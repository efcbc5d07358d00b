-- Finished jobs leave the table that workers read, so that it stays as small as what waits: a completion moves its row to
-- job_history, which has a partition per day of the end, and retention drops partitions. Also the record of refused
-- completions, effects that leave the system through an outbox, and schedules.

-- A job's needs and attempts outlive its row in job.
alter table carrel.job_attempt drop constraint job_attempt_job_id_fkey;
alter table carrel.job_dep drop constraint job_dep_job_id_fkey;
alter table carrel.job_dep drop constraint job_dep_needs_id_fkey;

create table carrel.job_history (like carrel.job) partition by range (finished_at);
-- One index for both questions, which job and which jobs, because every reader stands in a workspace.
create index job_history_list on carrel.job_history (workspace_id, id);
create index job_history_parent on carrel.job_history (parent_id) where parent_id is not null;
create index job_history_replay on carrel.job_history (replay_of) where replay_of is not null;
create index job_history_dead on carrel.job_history (workspace_id, id) where state = 'discarded';

alter table carrel.job_history enable row level security;
create policy workspace_wall on carrel.job_history to carrel_app
    using (workspace_id = carrel.current_workspace()) with check (workspace_id = carrel.current_workspace());
create policy job_machinery on carrel.job_history to carrel_queue using (true);
grant select on carrel.job_history to carrel_app, carrel_queue;

-- Every job, ended or not.
create view carrel.job_all with (security_invoker = true) as
    select * from carrel.job union all select * from carrel.job_history;
grant select on carrel.job_all to carrel_app, carrel_queue;

-- Rows that ended in job and stay there for an hour, as dead letters do.
create index job_finished on carrel.job (finished_at) where finished_at is not null;

-- Both ends of a need may have ended.
drop policy workspace_wall on carrel.job_dep;
create policy workspace_wall on carrel.job_dep to carrel_app
    using (workspace_id = carrel.current_workspace())
    with check (
        workspace_id = carrel.current_workspace()
        and exists (select from carrel.job j where j.id = job_id)
        and (exists (select from carrel.job j where j.id = needs_id)
             or exists (select from carrel.job_history h
                        where h.workspace_id = carrel.current_workspace() and h.id = needs_id))
    );

-- Partitions lie in a schema of their own, which nobody but the owner enters: rows are reached through the parent.
create schema carrel_jobs;
-- What no other partition takes: nothing, unless nobody has made partitions for a week.
create table carrel_jobs.rest partition of carrel.job_history default;
alter table carrel_jobs.rest enable row level security;

-- Makes the partitions of today and the coming week.
create function carrel.prepare_job_history() returns integer
    language plpgsql security definer set search_path = carrel, pg_temp as $$
declare
    day date;
    made integer := 0;
    name text;
begin
    -- One at a time; whoever comes second finds the work done.
    if not pg_try_advisory_xact_lock(5510) then
        return 0;
    end if;
    -- Attaching a partition locks the others for a moment; better late than in the way.
    perform set_config('lock_timeout', '2s', true);
    for day in
        select d::date from generate_series((now() at time zone 'UTC')::date, (now() at time zone 'UTC')::date + 7, interval '1 day') d
    loop
        name := 'job_' || to_char(day, 'YYYYMMDD');
        continue when to_regclass('carrel_jobs.' || name) is not null;
        begin
            execute format('create table carrel_jobs.%I (like carrel.job_history)', name);
            execute format('alter table carrel_jobs.%I enable row level security', name);
            execute format(
                'alter table carrel.job_history attach partition carrel_jobs.%I for values from (%L) to (%L)',
                name, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC'
            );
            made := made + 1;
        exception when check_violation then
            -- The rest holds rows of that day already; they stay there until they are old.
            null;
        end;
    end loop;
    return made;
end
$$;

-- Drops the partitions whose jobs all ended before p_before, with the attempts, needs and refusals of these jobs; answers
-- how many jobs. A partition with a job that something unfinished still needs stays, so that it can be told why that waits.
create function carrel.drop_job_history(p_before timestamptz) returns bigint
    language plpgsql security definer set search_path = carrel, pg_temp as $$
declare
    part record;
    jobs bigint;
    dropped bigint := 0;
    needed boolean;
begin
    if not pg_try_advisory_xact_lock(5510) then
        return 0;
    end if;
    perform set_config('lock_timeout', '2s', true);
    for part in
        select c.relname, format('%I.%I', n.nspname, c.relname) as name
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        join pg_namespace n on n.oid = c.relnamespace
        where i.inhparent = 'carrel.job_history'::regclass
          and n.nspname = 'carrel_jobs'
          and c.relname ~ '^job_\d{8}$'
          and ((to_date(substring(c.relname from 5), 'YYYYMMDD') + 1)::timestamp at time zone 'UTC') <= p_before
        order by c.relname
    loop
        execute format(
            'select exists (select from carrel.job w
                            join carrel.job_dep d on d.job_id = w.id
                            join %s p on p.id = d.needs_id
                            where w.finished_at is null)', part.name) into needed;
        continue when needed;
        execute format('delete from carrel.job_attempt a using %s p where a.job_id = p.id', part.name);
        execute format('delete from carrel.job_dep d using %s p where d.job_id = p.id', part.name);
        execute format('delete from carrel.job_refusal r using %s p where r.job_id = p.id', part.name);
        execute format('select count(*) from %s', part.name) into jobs;
        execute format('drop table %s', part.name);
        dropped := dropped + jobs;
    end loop;
    return dropped;
end
$$;

-- Deletes up to p_limit ended jobs older than p_before one by one: for a retention shorter than a day, and for what the
-- rest holds.
create function carrel.delete_job_history(p_before timestamptz, p_limit integer) returns bigint
    language plpgsql security definer set search_path = carrel, pg_temp as $$
declare
    gone uuid[];
begin
    with old as (
        select h.id, h.finished_at
        from job_history h
        where h.finished_at < p_before
          and not exists (
              select from job_dep d
              join job w on w.id = d.job_id
              where d.needs_id = h.id and w.finished_at is null
          )
        limit p_limit
    ),
    deleted as (
        delete from job_history h using old o where h.id = o.id and h.finished_at = o.finished_at returning h.id
    )
    select array_agg(d.id) into gone from deleted d;
    delete from job_attempt a where a.job_id = any (gone);
    delete from job_dep d where d.job_id = any (gone);
    delete from job_refusal r where r.job_id = any (gone);
    return coalesce(cardinality(gone), 0);
end
$$;

-- Moves jobs that ended before p_before into the history, up to p_limit; answers how many.
create function carrel.archive_jobs(p_before timestamptz, p_limit integer) returns bigint
    language sql security definer set search_path = carrel, pg_temp as $$
    with old as (
        select j.id
        from job j
        where j.finished_at < p_before
        order by j.finished_at
        limit p_limit
        for update skip locked
    ),
    gone as (
        delete from job j using old o where j.id = o.id and j.finished_at is not null returning j.*
    ),
    kept as (
        insert into job_history select g.* from gone g returning 1
    )
    select count(*) from kept;
$$;

-- Counts the completed jobs off from what their dependents wait for. A call of its own, so that it sees dependents that
-- were committed while the completion waited for the row.
create function carrel.unblock_jobs(p_completed uuid[]) returns void
    language plpgsql volatile security definer set search_path = carrel, pg_temp as $$
declare
    woken text;
begin
    for woken in
        with held as (
            select j.id, (select count(*) from job_dep d where d.job_id = j.id and d.needs_id = any (p_completed)) as met
            from job j
            where j.state || '' = 'blocked'
              and j.id in (select d.job_id from job_dep d where d.needs_id = any (p_completed))
            order by j.id
            for no key update of j
        ),
        moved as (
            update job j
            set waits_for = greatest(j.waits_for - held.met, 0),
                state = case when j.waits_for <= held.met then 'available' else 'blocked' end
            from held
            where j.id = held.id and j.state || '' = 'blocked'
            returning j.queue, j.state
        )
        select distinct m.queue from moved m where m.state = 'available'
    loop
        perform pg_notify('carrel_jobs', woken);
    end loop;
end
$$;

-- Executions whose end was refused because they no longer held their claim: proof that the fence works, and a count.
create table carrel.job_refusal (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    job_id uuid not null,
    workspace_id uuid not null,
    kind text not null,
    attempt smallint not null,
    claim uuid not null,
    worker_id uuid
);
create index job_refusal_job on carrel.job_refusal (job_id);
alter table carrel.job_refusal enable row level security;
create policy workspace_wall on carrel.job_refusal to carrel_app
    using (workspace_id = carrel.current_workspace()) with check (workspace_id = carrel.current_workspace());
create policy job_machinery on carrel.job_refusal to carrel_queue using (true) with check (true);
grant select on carrel.job_refusal to carrel_app;
grant select, insert on carrel.job_refusal to carrel_queue;

-- What must leave the system (mail, webhooks, calls of other services), written in the transaction that decided it and
-- sent by whoever gets to it. The key makes it one effect, here and at the receiver.
create table carrel.outbox_effect (
    id uuid primary key,
    workspace_id uuid not null,
    kind text not null check (length(kind) between 1 and 100),
    key text not null check (length(key) between 1 and 300),
    payload jsonb not null,
    state text not null default 'pending' check (state in ('pending', 'sent', 'dead')),
    run_at timestamptz not null,
    attempt smallint not null default 0 check (attempt >= 0),
    max_attempts smallint not null check (max_attempts > 0),
    timeout_ms integer not null check (timeout_ms > 0),
    claim uuid,
    worker_id uuid,
    lease_until timestamptz,
    -- The job in whose completion it was decided, if one did.
    job_id uuid,
    -- What the receiver answered.
    receipt jsonb,
    error_code text,
    error_message text,
    traceparent text check (length(traceparent) <= 100),
    created_at timestamptz not null,
    settled_at timestamptz,
    constraint outbox_effect_key unique (workspace_id, kind, key),
    constraint outbox_effect_attempts check (attempt <= max_attempts),
    constraint outbox_effect_settled check ((state <> 'pending') = (settled_at is not null))
) with (fillfactor = 70);
create index outbox_effect_due on carrel.outbox_effect (kind, run_at, id) where state = 'pending';
create index outbox_effect_settled on carrel.outbox_effect (settled_at) where state <> 'pending';
alter table carrel.outbox_effect enable row level security;
create policy workspace_wall on carrel.outbox_effect to carrel_app
    using (workspace_id = carrel.current_workspace()) with check (workspace_id = carrel.current_workspace());
create policy job_machinery on carrel.outbox_effect to carrel_queue using (true) with check (true);
grant select, insert on carrel.outbox_effect to carrel_app;
grant update (state, run_at, attempt, error_code, error_message, settled_at) on carrel.outbox_effect to carrel_app;
-- The machinery sends what was decided; it decides nothing.
grant select, delete on carrel.outbox_effect to carrel_queue;
grant update (state, run_at, attempt, claim, worker_id, lease_until, receipt, error_code, error_message, settled_at)
    on carrel.outbox_effect to carrel_queue;

-- Jobs that come by the calendar. The expression is read by the workers; whoever is first fires a tick, once.
create table carrel.schedule (
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    name text not null check (length(name) between 1 and 100),
    spec text not null check (length(spec) between 1 and 200),
    time_zone text not null check (length(time_zone) between 1 and 60),
    -- What becomes of ticks that nobody was there for: none, the last, or every one of them runs.
    catch_up text not null check (catch_up in ('skip', 'one', 'all')),
    kind text not null check (length(kind) between 1 and 100),
    queue text not null check (length(queue) between 1 and 40),
    payload jsonb not null,
    payload_version smallint not null check (payload_version > 0),
    priority smallint not null,
    max_attempts smallint not null check (max_attempts > 0),
    timeout_ms integer not null check (timeout_ms > 0),
    paused_at timestamptz,
    -- Every tick up to here has been decided.
    decided_until timestamptz not null,
    -- The next one; null when it is to be computed.
    next_at timestamptz,
    created_at timestamptz not null,
    primary key (workspace_id, name)
);
create index schedule_next on carrel.schedule (next_at);
alter table carrel.schedule enable row level security;
create policy workspace_wall on carrel.schedule to carrel_app
    using (workspace_id = carrel.current_workspace()) with check (workspace_id = carrel.current_workspace());
create policy job_machinery on carrel.schedule to carrel_queue using (true);
grant select, insert, update, delete on carrel.schedule to carrel_app;
grant select on carrel.schedule to carrel_queue;

-- Ticks that were fired. The key is what makes each of them one job over any number of workers.
create table carrel.cron_tick (
    workspace_id uuid not null,
    name text not null,
    tick_at timestamptz not null,
    job_id uuid not null,
    fired_at timestamptz not null,
    primary key (workspace_id, name, tick_at)
);
create index cron_tick_age on carrel.cron_tick (fired_at);
alter table carrel.cron_tick enable row level security;
create policy workspace_wall on carrel.cron_tick to carrel_app
    using (workspace_id = carrel.current_workspace()) with check (workspace_id = carrel.current_workspace());
create policy job_machinery on carrel.cron_tick to carrel_queue using (true);
grant select on carrel.cron_tick to carrel_app;
grant select, delete on carrel.cron_tick to carrel_queue;

-- A version 7 UUID (RFC 9562, section 5.7).
create function carrel.new_id() returns uuid
    language sql volatile
    return encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
            52, 1), 53, 1), 'hex')::uuid;

-- Puts a schedule into every workspace, or brings it up to date there; answers in how many something changed. Its ticks
-- count from now on.
create function carrel.define_schedule(
    p_name text, p_spec text, p_time_zone text, p_catch_up text, p_kind text, p_queue text, p_payload jsonb,
    p_payload_version smallint, p_priority smallint, p_max_attempts smallint, p_timeout_ms integer
) returns bigint
    language sql volatile security definer set search_path = carrel, pg_temp as $$
    with changed as (
        insert into schedule as s (workspace_id, name, spec, time_zone, catch_up, kind, queue, payload, payload_version,
                                   priority, max_attempts, timeout_ms, decided_until, created_at)
        select w.id, p_name, p_spec, p_time_zone, p_catch_up, p_kind, p_queue, p_payload, p_payload_version, p_priority,
               p_max_attempts, p_timeout_ms, clock_timestamp(), clock_timestamp()
        from workspace w
        where not exists (
            select from schedule o
            where o.workspace_id = w.id and o.name = p_name
              and (o.spec, o.time_zone, o.catch_up, o.kind, o.queue, o.payload, o.payload_version, o.priority,
                   o.max_attempts, o.timeout_ms)
                = (p_spec, p_time_zone, p_catch_up, p_kind, p_queue, p_payload, p_payload_version, p_priority,
                   p_max_attempts, p_timeout_ms)
        )
        on conflict (workspace_id, name) do update
        set spec = excluded.spec, time_zone = excluded.time_zone, catch_up = excluded.catch_up, kind = excluded.kind,
            queue = excluded.queue, payload = excluded.payload, payload_version = excluded.payload_version,
            priority = excluded.priority, max_attempts = excluded.max_attempts, timeout_ms = excluded.timeout_ms,
            -- Ticks of the old expression that are still to be decided are given up with it.
            decided_until = case when (s.spec, s.time_zone) = (excluded.spec, excluded.time_zone) then s.decided_until
                                 else clock_timestamp() end,
            next_at = case when (s.spec, s.time_zone) = (excluded.spec, excluded.time_zone) then s.next_at end
        returning 1
    )
    select count(*) from changed;
$$;

-- Fires ticks of a schedule, each as one job, and notes what was decided. Answers the jobs; none when a neighbour has
-- decided in the meantime.
create function carrel.fire_schedule(
    p_workspace uuid, p_name text, p_decided_before timestamptz, p_ticks timestamptz[], p_decided_until timestamptz,
    p_next timestamptz
) returns setof uuid
    language plpgsql volatile security definer set search_path = carrel, pg_temp as $$
declare
    plan schedule%rowtype;
    tick timestamptz;
    made uuid;
begin
    select s.* into plan
    from schedule s
    where s.workspace_id = p_workspace and s.name = p_name and s.decided_until = p_decided_before
    for update skip locked;
    if not found then
        return;
    end if;
    foreach tick in array p_ticks loop
        made := null;
        insert into cron_tick (workspace_id, name, tick_at, job_id, fired_at)
        values (p_workspace, p_name, tick, carrel.new_id(), clock_timestamp())
        on conflict (workspace_id, name, tick_at) do nothing
        returning job_id into made;
        continue when made is null;
        insert into job (id, workspace_id, kind, queue, state, priority, payload, payload_version, run_at, max_attempts,
                         timeout_ms, created_by, created_at)
        values (made, p_workspace, plan.kind, plan.queue, 'available', plan.priority, plan.payload, plan.payload_version,
                greatest(tick, now()), plan.max_attempts, plan.timeout_ms, '{"kind": "operator"}', now());
        return next made;
    end loop;
    update schedule s
    set decided_until = p_decided_until, next_at = p_next
    where s.workspace_id = p_workspace and s.name = p_name;
    if cardinality(p_ticks) > 0 then
        perform pg_notify('carrel_jobs', plan.queue);
    end if;
end
$$;

revoke all on function carrel.prepare_job_history() from public;
revoke all on function carrel.drop_job_history(timestamptz) from public;
revoke all on function carrel.delete_job_history(timestamptz, integer) from public;
revoke all on function carrel.archive_jobs(timestamptz, integer) from public;
revoke all on function carrel.unblock_jobs(uuid[]) from public;
revoke all on function carrel.define_schedule(text, text, text, text, text, text, jsonb, smallint, smallint, smallint, integer)
    from public;
revoke all on function carrel.fire_schedule(uuid, text, timestamptz, timestamptz[], timestamptz, timestamptz) from public;
grant execute on function carrel.prepare_job_history() to carrel_queue;
grant execute on function carrel.drop_job_history(timestamptz) to carrel_queue;
grant execute on function carrel.delete_job_history(timestamptz, integer) to carrel_queue;
grant execute on function carrel.archive_jobs(timestamptz, integer) to carrel_queue;
grant execute on function carrel.define_schedule(text, text, text, text, text, text, jsonb, smallint, smallint, smallint, integer)
    to carrel_queue;
grant execute on function carrel.fire_schedule(uuid, text, timestamptz, timestamptz[], timestamptz, timestamptz) to carrel_queue;

select carrel.prepare_job_history();
