-- Screening: rules, what was found in which version, and what a reviewer decided. No row holds a value that was found: a
-- finding is a kind, a place, a mask for human eyes and a digest keyed outside of the database.

alter table carrel.document_version drop constraint document_version_state_check;
alter table carrel.document_version add constraint document_version_state_check
    check (state in ('received', 'extracted', 'searchable', 'failed', 'quarantined', 'rejected'));

-- The rules of a workspace (without a collection) and of collections, which come on top.
create table carrel.screening_policy (
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    collection_id uuid references carrel.collection (id) on delete cascade,
    policy jsonb not null,
    revision bigint not null check (revision >= 1),
    updated_at timestamptz not null,
    updated_by jsonb not null,
    constraint screening_policy_one unique nulls not distinct (workspace_id, collection_id)
);
create index screening_policy_collection on carrel.screening_policy (collection_id) where collection_id is not null;

-- What was decided about a version.
create table carrel.screening (
    version_id uuid primary key references carrel.document_version (id) on delete cascade,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    verdict text not null check (verdict in ('clean', 'allowed', 'masked', 'held')),
    -- The rules that were applied.
    policy jsonb not null,
    -- Counts by kind: {kind, category, severity, action, count, validated, values}.
    kinds jsonb not null default '[]',
    findings integer not null check (findings >= 0),
    -- The profile of a data set with its report for people, or why there is none.
    dataset jsonb,
    dataset_markdown text,
    dataset_problem text,
    -- What the collection of breaches said.
    breaches jsonb,
    screened_at timestamptz not null,
    review text check (review in ('released', 'rejected')),
    -- masked: what was held stays hidden; plain: it may be seen.
    review_as text check (review_as in ('masked', 'plain')),
    review_reason text check (length(review_reason) between 1 and 2000),
    reviewed_at timestamptz,
    reviewed_by jsonb,
    constraint screening_review check ((review is null) = (review_reason is null)
        and (review is null) = (reviewed_at is null) and (review is null) = (reviewed_by is null)
        and (review_as is not null) = (review is not distinct from 'released'))
);

create table carrel.screening_finding (
    version_id uuid not null references carrel.screening (version_id) on delete cascade,
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    ordinal integer not null check (ordinal >= 0),
    -- text: the span counts code points of the rendition; title: of the title.
    place text not null check (place in ('text', 'title')),
    kind text not null,
    category text not null,
    severity text not null,
    action text not null check (action in ('allow', 'mask', 'hold')),
    confidence smallint not null check (confidence between 0 and 100),
    validated boolean not null,
    span_start integer not null check (span_start >= 0),
    span_end integer not null check (span_end > span_start),
    mask text not null,
    -- Null where the process that screened had no key.
    digest bytea check (octet_length(digest) = 32),
    primary key (version_id, ordinal)
);
-- Where else does this value occur.
create index screening_finding_digest on carrel.screening_finding (workspace_id, digest) where digest is not null;

-- Answers of the collection of breaches, so that restarts and further workers do not ask again.
create table carrel.breach_answer (
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    -- A range of hashes by its five digits, or a keyed digest of an account.
    key text not null check (length(key) between 1 and 100),
    answer bytea not null,
    fetched_at timestamptz not null,
    primary key (workspace_id, key)
);
create index breach_answer_age on carrel.breach_answer (fetched_at);

do $$
declare
    name text;
begin
    foreach name in array array['screening_policy', 'screening', 'screening_finding', 'breach_answer'] loop
        execute format('alter table carrel.%I enable row level security', name);
        execute format(
            'create policy workspace_wall on carrel.%I to carrel_app
             using (workspace_id = (select carrel.current_workspace()))
             with check (workspace_id = (select carrel.current_workspace()))', name);
        execute format('grant select, insert, update, delete on carrel.%I to carrel_app', name);
    end loop;
end
$$;
