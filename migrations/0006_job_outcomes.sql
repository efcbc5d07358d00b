-- What a job leaves behind when it gives up. Written here, because a job can end in many places (its worker, the sweeper,
-- a cancellation) and its version or run must never be left waiting for it.

create function carrel.settle_given_up_job() returns trigger
    language plpgsql security definer set search_path = carrel, pg_temp as $$
declare
    code text := coalesce(new.error_code, new.state);
    message text := coalesce(new.error_message, 'The job was ' || new.state || '.');
    run uuid;
begin
    if new.payload ? 'version' then
        update document_version v
        set state = 'failed', failure_code = code, failure_message = message
        where v.id = (new.payload ->> 'version')::uuid
          and v.workspace_id = new.workspace_id
          and v.state in ('received', 'extracted');
    end if;
    if new.payload ? 'run' then
        update research_run r
        set state = case new.state when 'cancelled' then 'cancelled' else 'failed' end,
            failure_code = case new.state when 'cancelled' then null else code end,
            failure_message = case new.state when 'cancelled' then null else message end,
            finished_at = now()
        where r.id = (new.payload ->> 'run')::uuid
          and r.workspace_id = new.workspace_id
          and r.state in ('planning', 'gathering', 'writing')
        returning r.id into run;
        if run is not null then
            insert into research_event (workspace_id, run_id, kind, payload)
            values (new.workspace_id, run, case new.state when 'cancelled' then 'cancelled' else 'failed' end,
                    jsonb_build_object('code', code, 'message', message));
        end if;
    end if;
    return null;
end
$$;
revoke all on function carrel.settle_given_up_job() from public;

create trigger job_gave_up after update of state on carrel.job
    for each row when (new.state in ('discarded', 'cancelled') and old.state is distinct from new.state)
    execute function carrel.settle_given_up_job();
