-- The two halves of the search index.
--
-- Words: an inverted index in segments, as search libraries keep it. Every published version adds one segment; a merge
-- job folds small segments into larger ones and drops the postings of passages that no longer answer. A row holds up to
-- 256 postings of one term, small enough to stay out of TOAST. An impact packs the term frequency (high byte, capped at
-- 127) and the passage's quantised length (low byte), so that BM25 is computed with the statistics of the moment.
--
-- Meaning: one partition of carrel.embedding per index generation, with an HNSW index over half-precision vectors.

create table carrel.segment (
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    collection_id uuid not null references carrel.collection (id) on delete cascade,
    no bigint generated always as identity,
    level smallint not null default 0,
    passages integer not null,
    tokens bigint not null,
    primary key (collection_id, no)
);

create table carrel.posting (
    workspace_id uuid not null,
    collection_id uuid not null,
    term text collate "C" not null,
    segment_no bigint not null,
    passages integer[] not null,
    impacts smallint[] not null,
    constraint posting_segment foreign key (collection_id, segment_no)
        references carrel.segment (collection_id, no) on delete cascade
);
create index posting_term on carrel.posting (collection_id, term);
create index posting_segment on carrel.posting (collection_id, segment_no);
alter table carrel.posting alter column passages set storage plain, alter column impacts set storage plain;

-- Passages whose postings are still in a segment although they no longer answer.
create table carrel.tombstone (
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    collection_id uuid not null references carrel.collection (id) on delete cascade,
    passage_no integer not null,
    primary key (collection_id, passage_no)
);

-- The languages that occur in a collection, so that a query can be stemmed as its documents were.
create table carrel.collection_language (
    workspace_id uuid not null references carrel.workspace (id) on delete cascade,
    collection_id uuid not null references carrel.collection (id) on delete cascade,
    language text not null,
    primary key (collection_id, language)
);

create table carrel.index_generation (
    no smallint primary key,
    space text not null,
    dimension integer not null check (dimension between 1 and 4000),
    state text not null check (state in ('filling', 'live', 'retired')),
    created_at timestamptz not null default now()
);
create unique index index_generation_one_live on carrel.index_generation (state) where state = 'live';
grant select on carrel.index_generation to carrel_app;

create table carrel.embedding (
    generation smallint not null references carrel.index_generation (no),
    passage_no integer not null references carrel.passage (no) on delete cascade,
    workspace_id uuid not null,
    collection_id uuid not null,
    searchable boolean not null,
    vector halfvec not null,
    primary key (generation, passage_no)
) partition by list (generation);

-- Opens the first generation when there is none, and answers the live one. Services may not create tables; this may.
create function carrel.ensure_index_generation(space_name text, space_dimension integer)
    returns table (no smallint, space text, dimension integer)
    language plpgsql security definer set search_path = carrel, public, pg_temp as $$
declare
    fresh smallint;
begin
    if space_dimension not between 1 and 4000 then
        raise exception 'dimension % is out of range', space_dimension using errcode = 'check_violation';
    end if;
    perform pg_advisory_xact_lock(hashtext('carrel.index_generation'));
    if not exists (select from index_generation g where g.state = 'live') then
        select coalesce(max(g.no), 0) + 1 into fresh from index_generation g;
        insert into index_generation (no, space, dimension, state) values (fresh, space_name, space_dimension, 'live');
        execute format('create table carrel.embedding_%s partition of carrel.embedding for values in (%s)', fresh, fresh);
        execute format('alter table carrel.embedding_%s alter column vector set storage plain', fresh);
        execute format(
            'create index embedding_%s_hnsw on carrel.embedding_%s
             using hnsw ((vector::halfvec(%s)) halfvec_cosine_ops) with (m = 16, ef_construction = 100) where searchable',
            fresh, fresh, space_dimension);
        execute format('create index embedding_%s_collection on carrel.embedding_%s (collection_id)', fresh, fresh);
        execute format('alter table carrel.embedding_%s enable row level security', fresh);
        execute format(
            'create policy workspace_wall on carrel.embedding_%s to carrel_app
             using (workspace_id = (select carrel.current_workspace()))
             with check (workspace_id = (select carrel.current_workspace()))', fresh);
        execute format('grant select, insert, update, delete on carrel.embedding_%s to carrel_app', fresh);
    end if;
    return query select g.no, g.space, g.dimension from index_generation g where g.state = 'live';
end
$$;
revoke all on function carrel.ensure_index_generation(text, integer) from public;
grant execute on function carrel.ensure_index_generation(text, integer) to carrel_app;

do $$
declare
    name text;
begin
    foreach name in array array['segment', 'posting', 'tombstone', 'collection_language', 'embedding'] loop
        execute format('alter table carrel.%I enable row level security', name);
        execute format(
            'create policy workspace_wall on carrel.%I to carrel_app
             using (workspace_id = (select carrel.current_workspace()))
             with check (workspace_id = (select carrel.current_workspace()))', name);
        execute format('grant select, insert, update, delete on carrel.%I to carrel_app', name);
    end loop;
end
$$;
