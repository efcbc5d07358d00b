-- A second index generation beside the live one: opened, filled by jobs, switched in one transaction, dropped on request.
-- Services may not create or drop tables; these functions may, and nothing else.

alter table carrel.index_generation add column live_since timestamptz;
update carrel.index_generation set live_since = created_at where state = 'live';

-- At most one is filled at a time: every document that arrives meanwhile is embedded once for each.
create unique index index_generation_one_filling on carrel.index_generation (state) where state = 'filling';

-- The partition of a generation with its graph, wall and grants.
create function carrel.make_index_partition(generation smallint, space_dimension integer) returns void
    language plpgsql set search_path = carrel, public, pg_temp as $$
begin
    execute format('create table carrel.embedding_%s partition of carrel.embedding for values in (%s)', generation, generation);
    execute format('alter table carrel.embedding_%s alter column vector set storage plain', generation);
    execute format(
        'create index embedding_%s_hnsw on carrel.embedding_%s
         using hnsw ((vector::halfvec(%s)) halfvec_cosine_ops) with (m = 16, ef_construction = 100) where searchable',
        generation, generation, space_dimension);
    execute format('create index embedding_%s_collection on carrel.embedding_%s (collection_id)', generation, generation);
    execute format('alter table carrel.embedding_%s enable row level security', generation);
    execute format(
        'create policy workspace_wall on carrel.embedding_%s to carrel_app
         using (workspace_id = (select carrel.current_workspace()))
         with check (workspace_id = (select carrel.current_workspace()))', generation);
    execute format('grant select, insert, update, delete on carrel.embedding_%s to carrel_app', generation);
end
$$;
revoke all on function carrel.make_index_partition(smallint, integer) from public;

create or replace function carrel.ensure_index_generation(space_name text, space_dimension integer)
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
        insert into index_generation (no, space, dimension, state, live_since)
        values (fresh, space_name, space_dimension, 'live', now());
        perform make_index_partition(fresh, space_dimension);
    end if;
    return query select g.no, g.space, g.dimension from index_generation g where g.state = 'live';
end
$$;

-- Opens a generation for a space, or goes on with the one that is there (one that was live before counts too).
create function carrel.open_index_generation(space_name text, space_dimension integer) returns smallint
    language plpgsql security definer set search_path = carrel, public, pg_temp as $$
declare
    found index_generation%rowtype;
    fresh smallint;
begin
    if space_dimension not between 1 and 4000 then
        raise exception 'dimension % is out of range', space_dimension using errcode = 'check_violation';
    end if;
    perform pg_advisory_xact_lock(hashtext('carrel.index_generation'));
    select * into found from index_generation g where g.space = space_name and g.dimension = space_dimension
    order by g.state = 'live' desc, g.no desc limit 1;
    if found.state = 'live' then
        raise exception 'generation % is live and of this space', found.no
            using errcode = 'check_violation', constraint = 'generation_live';
    end if;
    if exists (select from index_generation g where g.state = 'filling' and g.no is distinct from found.no) then
        raise exception 'another generation is being filled'
            using errcode = 'check_violation', constraint = 'index_generation_one_filling';
    end if;
    if found.no is not null then
        update index_generation g set state = 'filling' where g.no = found.no;
        return found.no;
    end if;
    select coalesce(max(g.no), 0) + 1 into fresh from index_generation g;
    insert into index_generation (no, space, dimension, state) values (fresh, space_name, space_dimension, 'filling');
    perform make_index_partition(fresh, space_dimension);
    return fresh;
end
$$;

-- How many vectors of the live generation have no counterpart, over all workspaces.
create function carrel.missing_embeddings(generation_no smallint) returns bigint
    language sql stable security definer set search_path = carrel, public, pg_temp as $$
    select count(*)
    from embedding e
    where e.generation = (select g.no from index_generation g where g.state = 'live')
      and not exists (select from embedding n where n.passage_no = e.passage_no and n.generation = generation_no)
$$;

-- How many vectors each generation holds, over all workspaces.
create function carrel.count_embeddings() returns table (no smallint, vectors bigint)
    language sql stable security definer set search_path = carrel, public, pg_temp as $$
    select g.no, count(e.generation) from index_generation g left join embedding e on e.generation = g.no group by g.no
$$;

-- Makes a filled generation the live one. Who publishes holds the lock shared, so none of them is half done; a vector that
-- was filled in while its passage began or ceased to answer is put right first.
create function carrel.switch_index_generation(generation_no smallint) returns void
    language plpgsql security definer set search_path = carrel, public, pg_temp as $$
declare
    missing bigint;
begin
    perform pg_advisory_xact_lock(hashtext('carrel.index_generation'));
    if not exists (select from index_generation g where g.no = generation_no and g.state = 'filling') then
        raise exception 'generation % is not being filled', generation_no
            using errcode = 'check_violation', constraint = 'generation_not_filling';
    end if;
    missing := missing_embeddings(generation_no);
    if missing > 0 then
        raise exception 'generation % lacks % vectors', generation_no, missing
            using errcode = 'check_violation', constraint = 'generation_incomplete';
    end if;
    update embedding e set searchable = p.searchable
    from passage p
    where e.generation = generation_no and p.no = e.passage_no and e.searchable <> p.searchable;
    update index_generation g set state = 'retired' where g.state = 'live';
    update index_generation g set state = 'live', live_since = now() where g.no = generation_no;
end
$$;

-- Drops a generation that does not answer; false when there is none of this number.
create function carrel.drop_index_generation(generation_no smallint) returns boolean
    language plpgsql security definer set search_path = carrel, public, pg_temp as $$
declare
    found_state text;
begin
    perform pg_advisory_xact_lock(hashtext('carrel.index_generation'));
    select g.state into found_state from index_generation g where g.no = generation_no;
    if found_state is null then
        return false;
    end if;
    if found_state = 'live' then
        raise exception 'generation % answers searches', generation_no
            using errcode = 'check_violation', constraint = 'generation_live';
    end if;
    -- The parent is locked for the moment; whoever cannot have it soon tries again later instead of holding searches up.
    set local lock_timeout = '5s';
    execute format('drop table carrel.embedding_%s', generation_no);
    delete from index_generation g where g.no = generation_no;
    return true;
end
$$;

do $$
declare
    name text;
begin
    foreach name in array array[
        'open_index_generation(text, integer)', 'missing_embeddings(smallint)', 'count_embeddings()',
        'switch_index_generation(smallint)', 'drop_index_generation(smallint)'] loop
        execute format('revoke all on function carrel.%s from public', name);
        execute format('grant execute on function carrel.%s to carrel_app', name);
    end loop;
end
$$;
