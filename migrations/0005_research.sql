-- Research runs: a question, its plan, the evidence, and claims that quote it.

create table carrel.research_run (
    id uuid primary key,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    question text not null check (length(question) between 1 and 4000),
    collections uuid[] not null,
    filter jsonb not null default '{}',
    state text not null check (state in ('planning', 'gathering', 'writing', 'completed', 'abstained', 'failed', 'cancelled')),
    failure_code text,
    failure_message text,
    engine text not null,
    job_id uuid not null,
    searched jsonb not null default '{}',
    created_at timestamptz not null,
    created_by jsonb not null,
    finished_at timestamptz
);
create index research_run_page on carrel.research_run (workspace_id, created_at desc, id desc);

create table carrel.research_step (
    id uuid primary key,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    run_id uuid not null references carrel.research_run (id) on delete cascade,
    ordinal integer not null,
    question text not null,
    state text not null check (state in ('pending', 'completed')),
    passages_read integer,
    sentences_weighed integer,
    constraint research_step_ordinal_unique unique (run_id, ordinal)
);

-- A sentence that a step found, with all that the report needs to choose between sentences.
create table carrel.research_evidence (
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    run_id uuid not null references carrel.research_run (id) on delete cascade,
    step_id uuid not null references carrel.research_step (id) on delete cascade,
    ordinal integer not null,
    document_id uuid not null,
    version_id uuid not null,
    span_start integer not null,
    span_end integer not null,
    page integer,
    quote text not null,
    score real not null,
    vector halfvec,
    primary key (step_id, ordinal)
);

create table carrel.research_claim (
    id uuid primary key,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    run_id uuid not null references carrel.research_run (id) on delete cascade,
    step_id uuid not null references carrel.research_step (id) on delete cascade,
    ordinal integer not null,
    text text not null,
    score real not null,
    constraint research_claim_ordinal_unique unique (run_id, ordinal)
);

create table carrel.research_citation (
    id uuid primary key,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    run_id uuid not null references carrel.research_run (id) on delete cascade,
    claim_id uuid not null references carrel.research_claim (id) on delete cascade,
    ordinal integer not null,
    -- No foreign keys: a report outlives the documents that it cites, and says so.
    document_id uuid not null,
    version_id uuid not null,
    document_name text not null,
    version_number integer not null,
    span_start integer not null check (span_start >= 0),
    span_end integer not null check (span_end > span_start),
    page integer,
    quote text not null check (quote <> ''),
    prefix text not null,
    suffix text not null,
    constraint research_citation_ordinal_unique unique (run_id, ordinal)
);
create index research_citation_version on carrel.research_citation (version_id);

-- The rule that makes Carrel what it is: a citation whose quote is not, byte for byte, what the rendition holds at that
-- span cannot be stored, whoever writes it.
create function carrel.verify_citation() returns trigger language plpgsql as $$
declare
    found_quote text;
begin
    select substring(r.text from new.span_start + 1 for new.span_end - new.span_start) into found_quote
    from carrel.rendition r
    where r.version_id = new.version_id;
    if found_quote is null or convert_to(found_quote, 'UTF8') <> convert_to(new.quote, 'UTF8') then
        raise exception 'the quote does not stand at [%, %) of version %', new.span_start, new.span_end, new.version_id
            using errcode = 'check_violation', constraint = 'citation_quote_verified', table = 'research_citation';
    end if;
    return new;
end
$$;
create trigger citation_quote_verified before insert or update on carrel.research_citation
    for each row execute function carrel.verify_citation();

create table carrel.research_event (
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    run_id uuid not null references carrel.research_run (id) on delete cascade,
    seq bigint generated always as identity,
    at timestamptz not null default clock_timestamp(),
    kind text not null,
    payload jsonb not null,
    primary key (run_id, seq)
);
create function carrel.announce_research_event() returns trigger language plpgsql as $$
begin
    perform pg_notify('carrel_research', new.run_id::text);
    return null;
end
$$;
create trigger research_event_announced after insert on carrel.research_event
    for each row execute function carrel.announce_research_event();

do $$
declare
    name text;
begin
    foreach name in array array['research_run', 'research_step', 'research_evidence', 'research_claim',
                                'research_citation', 'research_event'] loop
        execute format('alter table carrel.%I enable row level security', name);
        execute format(
            'create policy workspace_wall on carrel.%I to carrel_app
             using (workspace_id = (select carrel.current_workspace()))
             with check (workspace_id = (select carrel.current_workspace()))', name);
        execute format('grant select, insert, update, delete on carrel.%I to carrel_app', name);
    end loop;
end
$$;
