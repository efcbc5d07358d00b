-- What could not be read may be read again: its last reason stands, and what waits for character recognition is found
-- without looking at every version.

create or replace function carrel.settle_given_up_job() returns trigger
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
          and (v.state in ('received', 'extracted')
               -- An attempt that somebody cancelled says nothing new about the file.
               or v.state = 'failed' and new.state = 'discarded' and new.kind = 'document.extract');
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

create index document_version_waiting_for_recognition on carrel.document_version (workspace_id, id)
    where state = 'failed' and failure_code = 'needs_ocr';
