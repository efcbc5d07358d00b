-- Makes a collection of real passages large: every copy mixes three real ones, so that no two are alike.
--
--   text      first half of one, second half of another
--   words     each term of the first or of the second by the parity of a hash, with its frequency and length; in segments
--             of the sizes that as many one-passage documents leave behind (32 to a merge)
--   meaning   the normalised sum of three vectors, 1 : 0.6 : 0.3
--   places    one per cent of the copies in a collection of their own, ten per cent in another, the rest in that of the
--             real ones; metadata for filters of one and ten per cent
--
-- Every copy is a document with a version and a rendition, the most rows that so many passages can have. They are written in the
-- order of their numbers, so that collections lie mixed on the disk, as they would.
-- Settings: bench.passages (how many there shall be), bench.collection (id of the real ones).

set work_mem = '512MB';
set maintenance_work_mem = '1GB';
set synchronous_commit = off;

begin;

create temp table source on commit drop as
select row_number() over (order by p.no)::int - 1 as i, p.no, p.text, p.language, v.sha256, v.created_by,
       r.media_type, r.map, r.sha256 as text_sha256, e.vector
from carrel.passage p
join carrel.document_version v on v.id = p.version_id
join carrel.rendition r on r.version_id = p.version_id
join carrel.embedding_1 e on e.generation = 1 and e.passage_no = p.no
where p.searchable and p.collection_id = current_setting('bench.collection')::uuid;
create index on source (i);
analyze source;

create temp table room on commit drop as
select c.workspace_id, c.id as main, gen_random_uuid() as tenth, gen_random_uuid() as hundredth,
       (select count(*)::int from source) as sources, (select max(no) from carrel.passage) as last
from carrel.collection c
where c.id = current_setting('bench.collection')::uuid;

insert into carrel.collection (id, workspace_id, name, created_at)
select tenth, workspace_id, 'tenth', now() from room
union all
select hundredth, workspace_id, 'hundredth', now() from room;
insert into carrel.collection_language (workspace_id, collection_id, language)
select l.workspace_id, x.id, l.language
from room, carrel.collection_language l, lateral (values (room.tenth), (room.hundredth)) as x (id)
where l.collection_id = room.main;

create temp table copy on commit drop as
select numbered.*,
       row_number() over (partition by collection order by n)::int - 1 as place,
       count(*) over (partition by collection)::int as places
from (
    select g.n, room.last + g.n as no, g.n % sources as a,
           (g.n + 7919 * (1 + g.n / sources)) % sources as b,
           (g.n + 104729 * (1 + g.n / sources) + 13) % sources as c,
           case when mixed.h % 100 = 50 then room.hundredth when mixed.h % 10 = 3 then room.tenth else room.main end as collection,
           (mixed.h / 100) % 100 as hundredth, (mixed.h / 10000) % 10 as tenth,
           room.workspace_id, gen_random_uuid() as document, gen_random_uuid() as version
    from room
    cross join generate_series(1, current_setting('bench.passages')::int - room.sources) as g (n)
    cross join lateral (select hashint4(g.n) & 2147483647 as h) as mixed
) as numbered;
create index on copy (a);
create index on copy (b);
analyze copy;

insert into carrel.document (id, workspace_id, collection_id, external_id, name, metadata, created_at, updated_at)
select document, workspace_id, collection, 'copy-' || n, 'copy-' || n || '.txt',
       jsonb_build_object('tenth', tenth, 'hundredth', hundredth), now(), now()
from copy
order by n;
insert into carrel.document_version
    (id, workspace_id, document_id, number, file_name, sha256, state, created_at, created_by, searchable_at)
select c.version, c.workspace_id, c.document, 1, 'copy-' || c.n || '.txt', s.sha256, 'searchable', now(), s.created_by, now()
from copy c
join source s on s.i = c.a
order by c.n;
update carrel.document d set current_version_id = c.version from copy c where d.id = c.document;

create temp table mixed on commit drop as
select c.n, left(s.text, length(s.text) / 2) || ' ' || right(t.text, length(t.text) / 2) as text
from copy c
join source s on s.i = c.a
join source t on t.i = c.b;
create index on mixed (n);

insert into carrel.rendition (version_id, workspace_id, media_type, language, characters, sha256, text, map, created_at)
select c.version, c.workspace_id, s.media_type, s.language, length(m.text), s.text_sha256, m.text, s.map, now()
from copy c
join source s on s.i = c.a
join mixed m on m.n = c.n
order by c.n;
insert into carrel.passage
    (no, workspace_id, collection_id, document_id, version_id, ordinal, span_start, span_end, headings, language, text, searchable)
overriding system value
select c.no, c.workspace_id, c.collection, c.document, c.version, 0, 0, length(m.text), '{}', s.language, m.text, true
from copy c
join source s on s.i = c.a
join mixed m on m.n = c.n
order by c.n;
select setval(pg_get_serial_sequence('carrel.passage', 'no'), (select max(no) from carrel.passage));

-- Words.
create temp table term on commit drop as
select s.i, p.term, u.impact, hashtext(p.term)::bigint * 1000003 as seed
from carrel.posting p
cross join lateral unnest(p.passages, p.impacts) as u (passage_no, impact)
join source s on s.no = u.passage_no;
create index on term (i);
analyze term;

create temp table slot on commit drop as
select c.n, c.no, c.workspace_id, c.collection, c.a, c.b, r3.level, r3.part
from copy c
cross join lateral (
    select case
               when c.place < c.places / 32768 * 32768 then 3
               when c.place < c.places / 1024 * 1024 then 2
               when c.place < c.places / 32 * 32 then 1
               else 0
           end as level
) as l
cross join lateral (select l.level, c.place / (32 ^ l.level)::int as part) as r3;
create temp table made on commit drop as
select nextval(pg_get_serial_sequence('carrel.segment', 'no')) as segment, workspace_id, collection, level, part, count(*)::int as passages
from slot
group by workspace_id, collection, level, part;
insert into carrel.segment (workspace_id, collection_id, no, level, passages, tokens)
overriding system value
select m.workspace_id, m.collection, m.segment, m.level, m.passages, (m.passages * mean.tokens)::bigint
from made m
cross join (select sum(tokens)::float8 / sum(passages) as tokens from carrel.segment
            where collection_id = current_setting('bench.collection')::uuid) as mean;
analyze made;
analyze slot;
insert into carrel.posting (workspace_id, collection_id, term, segment_no, passages, impacts)
select f.workspace_id, f.collection, f.term, f.segment, array_agg(f.no order by f.no), array_agg(f.impact order by f.no)
from (
    select w.*, (row_number() over (partition by w.segment, w.term order by w.no) - 1) / 256 as block
    from (
        select m.workspace_id, m.collection, m.segment, s.no, t.term, t.impact
        from slot s
        join made m using (collection, level, part)
        join term t on t.i = s.a and hashint8(t.seed + s.n) & 1 = 0
        union all
        select m.workspace_id, m.collection, m.segment, s.no, t.term, t.impact
        from slot s
        join made m using (collection, level, part)
        join term t on t.i = s.b and hashint8(t.seed + s.n) & 1 = 1
        where s.a <> s.b
    ) as w
) as f
group by f.workspace_id, f.collection, f.segment, f.term, f.block
order by f.segment, f.term, f.block;

-- Meaning. The graph is built anew afterwards, which is the same algorithm and quicker.
do $$
declare
    name text;
begin
    select indexname into strict name from pg_indexes
    where schemaname = 'carrel' and tablename = 'embedding_1' and indexdef like '%hnsw%';
    perform set_config('bench.hnsw', pg_get_indexdef(format('carrel.%I', name)::regclass), false);
    execute format('drop index carrel.%I', name);
end
$$;
insert into carrel.embedding (generation, passage_no, workspace_id, collection_id, searchable, vector)
select 1, k.no, k.workspace_id, k.collection, true,
       l2_normalize(a.vector::vector + b.vector::vector * weight.second + c.vector::vector * weight.third)::halfvec
from copy k
join source a on a.i = k.a
join source b on b.i = k.b
join source c on c.i = k.c
cross join (
    select array_fill(0.6::real, array[dimension])::vector as second, array_fill(0.3::real, array[dimension])::vector as third
    from carrel.index_generation where no = 1
) as weight
order by k.no;
do $$
begin
    execute current_setting('bench.hnsw');
end
$$;
commit;
