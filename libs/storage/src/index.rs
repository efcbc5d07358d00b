//! The search index: passages, postings in segments, vectors in generations, and the moment a version becomes current.

use crate::{StorageError, Transaction};
use carrel_domain::{CollectionId, DocumentId, Language, Span, VersionId};
use chrono::{DateTime, Utc};
use pgvector::HalfVector;

/// Postings that one row holds at most; with 6 bytes each they stay out of TOAST.
const POSTINGS_PER_ROW: i64 = 256;
/// Segments of one level that are merged into one of the next.
pub const MERGE_FACTOR: i64 = 32;

/// Where a document stands, for those who index it.
#[derive(Clone, Copy, Debug)]
pub struct VersionPlace {
    /// The document.
    pub document: DocumentId,
    /// The collection.
    pub collection: CollectionId,
    /// Number of the version.
    pub number: u32,
}

/// A passage to store.
#[derive(Clone, Debug)]
pub struct NewPassage {
    /// From 0.
    pub ordinal: u32,
    /// In the rendition.
    pub span: Span,
    /// Page of its first character.
    pub page: Option<u32>,
    /// Headings above it, outermost first.
    pub headings: Vec<String>,
    /// Its text.
    pub text: String,
}

/// A passage with what belongs to its meaning.
#[derive(Clone, Debug)]
pub struct PassageText {
    /// From 0.
    pub ordinal: u32,
    /// Headings above it, outermost first.
    pub headings: Vec<String>,
    /// Its text.
    pub text: String,
}

/// How often a term occurs in a passage.
#[derive(Clone, Debug)]
pub struct TermCount {
    /// The passage's number in its version.
    pub ordinal: u32,
    /// The term.
    pub term: String,
    /// Occurrences.
    pub count: u32,
}

/// The words of a version.
#[derive(Clone, Debug, Default)]
pub struct VersionTerms {
    /// Occurrences of terms.
    pub counts: Vec<TermCount>,
    /// Number of terms in each passage, by ordinal.
    pub lengths: Vec<u32>,
}

/// An index generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number.
    pub no: i16,
    /// Name of its embedding space.
    pub space: String,
    /// Numbers in a vector.
    pub dimension: usize,
}

/// Where a version belongs; `None` when it was deleted.
pub async fn place(transaction: &mut Transaction, version: VersionId) -> Result<Option<VersionPlace>, StorageError> {
    let row = sqlx::query!(
        "select v.document_id, d.collection_id, v.number
         from carrel.document_version v
         join carrel.document d on d.id = v.document_id
         where v.id = $1",
        version.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(|row| VersionPlace {
        document: DocumentId(row.document_id),
        collection: CollectionId(row.collection_id),
        number: row.number.unsigned_abs(),
    }))
}

/// Replaces the passages of a version that is not searchable yet. They answer after [`publish`].
pub async fn replace_passages(
    transaction: &mut Transaction,
    version: VersionId,
    place: VersionPlace,
    language: Language,
    passages: &[NewPassage],
) -> Result<(), StorageError> {
    put_passages(transaction, version, place, language, passages, None).await
}

/// With the number of terms in each, by ordinal, the passages answer from the commit on.
async fn put_passages(
    transaction: &mut Transaction,
    version: VersionId,
    place: VersionPlace,
    language: Language,
    passages: &[NewPassage],
    lengths: Option<&[i32]>,
) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    sqlx::query!("delete from carrel.passage where version_id = $1", version.0)
        .execute(transaction.connection())
        .await?;
    let ordinals: Vec<i32> = passages.iter().map(|passage| passage.ordinal.cast_signed()).collect();
    let starts: Vec<i32> = passages.iter().map(|passage| passage.span.start.cast_signed()).collect();
    let ends: Vec<i32> = passages.iter().map(|passage| passage.span.end.cast_signed()).collect();
    let pages: Vec<Option<i32>> = passages.iter().map(|passage| passage.page.map(u32::cast_signed)).collect();
    // Arrays of arrays must be rectangular, so headings travel as JSON.
    let headings: Vec<serde_json::Value> =
        passages.iter().map(|passage| serde_json::Value::from(passage.headings.clone())).collect();
    let texts: Vec<&str> = passages.iter().map(|passage| passage.text.as_str()).collect();
    sqlx::query!(
        "insert into carrel.passage
             (workspace_id, collection_id, document_id, version_id, ordinal, span_start, span_end, page, headings, language,
              text, tokens, searchable)
         select $1, $2, $3, $4, p.ordinal, p.span_start, p.span_end, p.page,
                array(select jsonb_array_elements_text(p.headings)), $5, p.text, ($12::int[])[p.ordinal + 1],
                $12::int[] is not null
         from unnest($6::int[], $7::int[], $8::int[], $9::int[], $10::jsonb[], $11::text[])
              as p (ordinal, span_start, span_end, page, headings, text)",
        workspace.0,
        place.collection.0,
        place.document.0,
        version.0,
        language.as_str(),
        &ordinals,
        &starts,
        &ends,
        &pages as &[Option<i32>],
        &headings,
        &texts as &[&str],
        lengths
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Passages of a version with `first <= ordinal < end`, in order.
pub async fn passages(
    transaction: &mut Transaction,
    version: VersionId,
    first: u32,
    end: u32,
) -> Result<Vec<PassageText>, StorageError> {
    let rows = sqlx::query!(
        "select ordinal, headings, text from carrel.passage
         where version_id = $1 and ordinal >= $2 and ordinal < $3
         order by ordinal",
        version.0,
        first.cast_signed(),
        end.cast_signed()
    )
    .fetch_all(transaction.connection())
    .await?;
    let passages = rows.into_iter().map(|row| PassageText {
        ordinal: row.ordinal.unsigned_abs(),
        headings: row.headings,
        text: row.text,
    });
    Ok(passages.collect())
}

/// The live generation; opened for `space` when there is none yet.
pub async fn ensure_generation(
    database: &crate::Database,
    space: &str,
    dimension: usize,
) -> Result<Generation, StorageError> {
    let row = sqlx::query!(
        r#"select no as "no!", space as "space!", dimension as "dimension!" from carrel.ensure_index_generation($1, $2)"#,
        space,
        i32::try_from(dimension).unwrap_or(i32::MAX)
    )
    .fetch_one(database.app_pool())
    .await?;
    Ok(Generation { no: row.no, space: row.space, dimension: row.dimension.unsigned_abs() as usize })
}

/// The live generation, when one was opened.
pub async fn live_generation(database: &crate::Database) -> Result<Option<Generation>, StorageError> {
    let row = sqlx::query!("select no, space, dimension from carrel.index_generation where state = 'live'")
        .fetch_optional(database.app_pool())
        .await?;
    Ok(row.map(|row| Generation { no: row.no, space: row.space, dimension: row.dimension.unsigned_abs() as usize }))
}

/// Stores the vectors of passages `first..first + vectors.len()` of a version; they do not answer before [`publish`].
pub async fn insert_embeddings(
    transaction: &mut Transaction,
    version: VersionId,
    generation: &Generation,
    first: u32,
    vectors: &[Vec<f32>],
) -> Result<(), StorageError> {
    put_embeddings(transaction, version, generation, first, vectors, false).await
}

async fn put_embeddings(
    transaction: &mut Transaction,
    version: VersionId,
    generation: &Generation,
    first: u32,
    vectors: &[Vec<f32>],
    searchable: bool,
) -> Result<(), StorageError> {
    let vectors: Vec<HalfVector> = vectors.iter().map(|vector| HalfVector::from_f32_slice(vector)).collect();
    let ordinals: Vec<i32> = (first..).take(vectors.len()).map(u32::cast_signed).collect();
    sqlx::query(
        "insert into carrel.embedding (generation, passage_no, workspace_id, collection_id, searchable, vector)
         select $1, p.no, p.workspace_id, p.collection_id, $5, e.vector
         from unnest($2::int[], $3::halfvec[]) as e (ordinal, vector)
         join carrel.passage p on p.version_id = $4 and p.ordinal = e.ordinal
         on conflict (generation, passage_no) do update set vector = excluded.vector",
    )
    .bind(generation.no)
    .bind(&ordinals)
    .bind(&vectors)
    .bind(version.0)
    .bind(searchable)
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// What [`publish`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// False when a newer version is current already; this one then stays in the archive without answering.
    pub current: bool,
    /// True when enough small segments have gathered to be merged.
    pub merge_due: bool,
}

impl Published {
    /// The document was deleted meanwhile.
    const GONE: Self = Self { current: false, merge_due: false };
}

/// Makes a version the current one: its passages answer from the commit on, those of the version before no longer do.
pub async fn publish(
    transaction: &mut Transaction,
    version: VersionId,
    place: VersionPlace,
    language: Language,
    terms: &VersionTerms,
    now: DateTime<Utc>,
) -> Result<Published, StorageError> {
    take_time(transaction).await?;
    let workspace = transaction.workspace();
    let current = current_version(transaction, place).await?;
    let Some(current) = current else { return Ok(Published::GONE) };
    sqlx::query!(
        "update carrel.document_version 
         set state = 'searchable', searchable_at = $2, failure_code = null, failure_message = null
         where id = $1",
        version.0,
        now
    )
    .execute(transaction.connection())
    .await?;
    if current.version == Some(version) {
        return Ok(Published { current: true, merge_due: false });
    }
    let lengths = lengths(terms);
    sqlx::query!(
        "update carrel.passage set tokens = ($2::int[])[ordinal + 1] where version_id = $1",
        version.0,
        &lengths
    )
    .execute(transaction.connection())
    .await?;
    if current.overtakes(place) {
        insert_history(transaction, version, place.collection, terms).await?;
        return Ok(Published { current: false, merge_due: false });
    }
    if let Some(old) = current.version {
        retire(transaction, old).await?;
    }
    sqlx::query!(
        "with shown as (
             update carrel.passage set searchable = true where version_id = $1 returning no
         ), answered as (
             update carrel.embedding e set searchable = true from shown s where e.passage_no = s.no
         ), language as (
             insert into carrel.collection_language (workspace_id, collection_id, language)
             values ($2, $3, $4)
             on conflict do nothing
         )
         update carrel.document set current_version_id = $1, updated_at = $5 where id = $6",
        version.0,
        workspace.0,
        place.collection.0,
        language.as_str(),
        now,
        place.document.0
    )
    .execute(transaction.connection())
    .await?;
    insert_segment(transaction, version, place.collection, terms).await?;
    Ok(Published { current: true, merge_due: merge_is_due(transaction, place.collection).await? })
}

/// All that a version answers with.
#[derive(Clone, Copy, Debug)]
pub struct Whole<'a> {
    /// Its passages, in their order.
    pub passages: &'a [NewPassage],
    /// Their words.
    pub terms: &'a VersionTerms,
    /// Their vectors, in the same order.
    pub vectors: &'a [Vec<f32>],
    /// The vectors' generation.
    pub generation: &'a Generation,
}

/// [`replace_passages`], [`insert_embeddings`] and [`publish`] of a version at once. What is written ready to answer is
/// written once: the other way writes each passage three times and each vector twice.
pub async fn publish_whole(
    transaction: &mut Transaction,
    version: VersionId,
    place: VersionPlace,
    language: Language,
    whole: Whole<'_>,
    now: DateTime<Utc>,
) -> Result<Published, StorageError> {
    let workspace = transaction.workspace();
    let Some(current) = current_version(transaction, place).await? else { return Ok(Published::GONE) };
    if current.version == Some(version) || current.overtakes(place) {
        replace_passages(transaction, version, place, language, whole.passages).await?;
        insert_embeddings(transaction, version, whole.generation, 0, whole.vectors).await?;
        return publish(transaction, version, place, language, whole.terms, now).await;
    }
    if let Some(old) = current.version {
        retire(transaction, old).await?;
    }
    let lengths = lengths(whole.terms);
    put_passages(transaction, version, place, language, whole.passages, Some(&lengths)).await?;
    put_embeddings(transaction, version, whole.generation, 0, whole.vectors, true).await?;
    sqlx::query!(
        "with answers as (
             update carrel.document_version
             set state = 'searchable', searchable_at = $5, failure_code = null, failure_message = null
             where id = $1
         ), language as (
             insert into carrel.collection_language (workspace_id, collection_id, language)
             values ($2, $3, $4)
             on conflict do nothing
         )
         update carrel.document set current_version_id = $1, updated_at = $5 where id = $6",
        version.0,
        workspace.0,
        place.collection.0,
        language.as_str(),
        now,
        place.document.0
    )
    .execute(transaction.connection())
    .await?;
    insert_segment(transaction, version, place.collection, whole.terms).await?;
    Ok(Published { current: true, merge_due: merge_is_due(transaction, place.collection).await? })
}

/// The version of a document that answers now.
struct Current {
    version: Option<VersionId>,
    number: Option<i32>,
}

impl Current {
    /// True when a newer one than `place` names answers.
    fn overtakes(&self, place: VersionPlace) -> bool {
        self.number.is_some_and(|number| number > place.number.cast_signed())
    }
}

/// Holds the document until the end of the transaction; `None` when it was deleted.
async fn current_version(transaction: &mut Transaction, place: VersionPlace) -> Result<Option<Current>, StorageError> {
    let row = sqlx::query!(
        r#"select v.id as "id?", v.number as "number?"
           from carrel.document d
           left join carrel.document_version v on v.id = d.current_version_id
           where d.id = $1
           for update of d"#,
        place.document.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(|row| Current { version: row.id.map(VersionId), number: row.number }))
}

async fn merge_is_due(transaction: &mut Transaction, collection: CollectionId) -> Result<bool, StorageError> {
    let segments = sqlx::query_scalar!(
        r#"select count(*) as "count!" from carrel.segment where collection_id = $1 and level = 0"#,
        collection.0
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(segments >= MERGE_FACTOR)
}

fn lengths(terms: &VersionTerms) -> Vec<i32> {
    terms.lengths.iter().map(|length| i32::try_from(*length).unwrap_or(i32::MAX)).collect()
}

/// Gives the transaction's statements more time than a request's have: ten thousand passages need half a minute and more
/// to enter the graph of vectors. The job that publishes or merges has its own limit.
async fn take_time(transaction: &mut Transaction) -> Result<(), StorageError> {
    sqlx::query("set local statement_timeout = '10min'").execute(transaction.connection()).await?;
    Ok(())
}

async fn retire(transaction: &mut Transaction, version: VersionId) -> Result<(), StorageError> {
    sqlx::query!(
        "with hidden as (
             update carrel.passage set searchable = false where version_id = $1 and searchable
             returning no, workspace_id, collection_id
         ), silenced as (
             update carrel.embedding e set searchable = false from hidden h where e.passage_no = h.no
         )
         insert into carrel.tombstone (workspace_id, collection_id, passage_no)
         select workspace_id, collection_id, no from hidden
         on conflict do nothing",
        version.0
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Takes a version out of the index as if it had never been in it: passages, vectors, and the postings of `terms`, which
/// are the words of its passages. The version no longer answers, and its document answers from none.
pub async fn withdraw(
    transaction: &mut Transaction,
    version: VersionId,
    place: VersionPlace,
    terms: &[String],
) -> Result<(), StorageError> {
    take_time(transaction).await?;
    // Who publishes or deletes locks the document first, who merges the collection's segments its name.
    sqlx::query!("select id from carrel.document where id = $1 for update", place.document.0)
        .fetch_optional(transaction.connection())
        .await?;
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('merge:' || $1::text, 0))")
        .bind(place.collection.0.to_string())
        .execute(transaction.connection())
        .await?;
    sqlx::query!(
        "with gone as (
             select array_agg(p.no) as numbers from carrel.passage p where p.version_id = $1
         ), hit as (
             delete from carrel.posting p using gone g
             where p.collection_id = $2 and p.term = any($3) and p.passages && g.numbers
             returning p.workspace_id, p.collection_id, p.term, p.segment_no, p.passages, p.impacts
         )
         insert into carrel.posting (workspace_id, collection_id, term, segment_no, passages, impacts)
         select h.workspace_id, h.collection_id, h.term, h.segment_no, array_agg(u.no order by u.no),
                array_agg(u.impact order by u.no)
         from hit h
         cross join gone g
         cross join lateral unnest(h.passages, h.impacts) as u (no, impact)
         where not (u.no = any(g.numbers))
         group by h.workspace_id, h.collection_id, h.term, h.segment_no, h.passages",
        version.0,
        place.collection.0,
        terms
    )
    .execute(transaction.connection())
    .await?;
    sqlx::query!("delete from carrel.posting_history where version_id = $1", version.0)
        .execute(transaction.connection())
        .await?;
    // A posting that was missed must not answer either.
    sqlx::query!(
        "insert into carrel.tombstone (workspace_id, collection_id, passage_no)
         select workspace_id, collection_id, no from carrel.passage where version_id = $1
         on conflict do nothing",
        version.0
    )
    .execute(transaction.connection())
    .await?;
    sqlx::query!("delete from carrel.passage where version_id = $1", version.0)
        .execute(transaction.connection())
        .await?;
    sqlx::query!(
        "update carrel.document set current_version_id = null where id = $1 and current_version_id = $2",
        place.document.0,
        version.0
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// The postings of a version that was overtaken before it could answer; a baseline may still hold it.
async fn insert_history(
    transaction: &mut Transaction,
    version: VersionId,
    collection: CollectionId,
    terms: &VersionTerms,
) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    let counts = Columns::of(terms);
    sqlx::query!(
        "insert into carrel.posting_history (workspace_id, collection_id, version_id, term, passages, impacts)
         select $1, $2, $3, t.term, array_agg(p.no order by p.no), array_agg(t.impact order by p.no)
         from unnest($4::text[], $5::int[], $6::smallint[]) as t (term, ordinal, impact)
         join carrel.passage p on p.version_id = $3 and p.ordinal = t.ordinal
         group by t.term
         on conflict do nothing",
        workspace.0,
        collection.0,
        version.0,
        &counts.words as &[&str],
        &counts.ordinals,
        &counts.impacts
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Counts of terms, column by column.
struct Columns<'a> {
    words: Vec<&'a str>,
    ordinals: Vec<i32>,
    impacts: Vec<i16>,
}

impl<'a> Columns<'a> {
    fn of(terms: &'a VersionTerms) -> Self {
        let mut columns = Self { words: Vec::new(), ordinals: Vec::new(), impacts: Vec::new() };
        for count in &terms.counts {
            let length = terms.lengths.get(count.ordinal as usize).copied().unwrap_or(count.count);
            columns.ordinals.push(count.ordinal.cast_signed());
            columns.words.push(count.term.as_str());
            columns.impacts.push(impact(count.count, length));
        }
        columns
    }
}

async fn insert_segment(
    transaction: &mut Transaction,
    version: VersionId,
    collection: CollectionId,
    terms: &VersionTerms,
) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    let tokens: u64 = terms.lengths.iter().map(|length| u64::from(*length)).sum();
    let counts = Columns::of(terms);
    sqlx::query!(
        "with segment as (
             insert into carrel.segment (workspace_id, collection_id, passages, tokens)
             values ($1, $2, $3, $4)
             returning no
         ), numbered as (
             select t.term, p.no, t.impact,
                    (row_number() over (partition by t.term order by p.no) - 1) / $9::bigint as part
             from unnest($5::text[], $6::int[], $7::smallint[]) as t (term, ordinal, impact)
             join carrel.passage p on p.version_id = $8 and p.ordinal = t.ordinal
         )
         insert into carrel.posting (workspace_id, collection_id, term, segment_no, passages, impacts)
         select $1, $2, n.term, s.no, array_agg(n.no order by n.no), array_agg(n.impact order by n.no)
         from numbered n
         cross join segment s
         group by n.term, n.part, s.no",
        workspace.0,
        collection.0,
        i32::try_from(terms.lengths.len()).unwrap_or(i32::MAX),
        tokens.cast_signed(),
        &counts.words as &[&str],
        &counts.ordinals,
        &counts.impacts,
        version.0,
        POSTINGS_PER_ROW
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Packs a term frequency and a passage's length into 15 bits. Search libraries keep one byte for the length as well.
fn impact(count: u32, length: u32) -> i16 {
    let frequency = count.min(127) as i16;
    frequency << 8 | i16::from(length_code(length))
}

/// Quantises a length in terms to a byte with about three per cent resolution: `round(32 ln(1 + length / 4))`.
fn length_code(length: u32) -> u8 {
    let code = (f64::from(length) / 4.0).ln_1p() * 32.0;
    code.round().min(255.0) as u8
}

/// The length that a code stands for.
pub(crate) fn length_of(code: u8) -> f32 {
    ((f64::from(code) / 32.0).exp_m1() * 4.0) as f32
}

/// Folds the segments of a collection's lowest crowded level into one of the next. What no longer answers leaves the
/// segments: it is kept aside for baselines while its version exists, and dropped with it.
/// Answers the number of segments folded; 0 when no level is crowded or somebody else is merging this collection.
pub async fn merge_segments(transaction: &mut Transaction, collection: CollectionId) -> Result<u64, StorageError> {
    let workspace = transaction.workspace();
    let lock = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended('merge:' || $1::text, 0)) as "locked!""#,
        collection.0.to_string()
    )
    .fetch_one(transaction.connection())
    .await?;
    if !lock {
        return Ok(0);
    }
    let crowded = sqlx::query!(
        r#"select level, array_agg(no order by no) as "segments!"
           from carrel.segment
           where collection_id = $1
           group by level
           having count(*) >= $2
           order by level
           limit 1"#,
        collection.0,
        MERGE_FACTOR
    )
    .fetch_optional(transaction.connection())
    .await?;
    let Some(crowded) = crowded else { return Ok(0) };
    take_time(transaction).await?;
    sqlx::query!(
        "with target as (
             insert into carrel.segment (workspace_id, collection_id, level, passages, tokens)
             values ($1, $2, $3, 0, 0)
             returning no
         ), old as (
             delete from carrel.posting where collection_id = $2 and segment_no = any($4)
             returning term, passages, impacts
         ), flat as materialized (
             select o.term, u.passage_no, u.impact
             from old o
             cross join lateral unnest(o.passages, o.impacts) as u (passage_no, impact)
         ), dead as (
             select t.passage_no from carrel.tombstone t
             where t.collection_id = $2 and t.passage_no in (select f.passage_no from flat f)
         ), swept as (
             delete from carrel.tombstone t using dead d where t.collection_id = $2 and t.passage_no = d.passage_no
         ), kept as (
             insert into carrel.posting_history (workspace_id, collection_id, version_id, term, passages, impacts)
             select $1, $2, p.version_id, f.term, array_agg(p.no order by p.no), array_agg(f.impact order by p.no)
             from dead d
             join carrel.passage p on p.no = d.passage_no
             join flat f on f.passage_no = d.passage_no
             group by p.version_id, f.term
             on conflict do nothing
         ), numbered as (
             select f.term, f.passage_no, f.impact,
                    (row_number() over (partition by f.term order by f.passage_no) - 1) / $5::bigint as part
             from flat f
             where not exists (select from dead d where d.passage_no = f.passage_no)
         )
         insert into carrel.posting (workspace_id, collection_id, term, segment_no, passages, impacts)
         select $1, $2, n.term, t.no, array_agg(n.passage_no order by n.passage_no), array_agg(n.impact order by n.passage_no)
         from numbered n
         cross join target t
         group by n.term, n.part, t.no",
        workspace.0,
        collection.0,
        crowded.level + 1,
        &crowded.segments,
        POSTINGS_PER_ROW
    )
    .execute(transaction.connection())
    .await?;
    // The statistics of the folded segments move to the new one; what its dead passages counted is forgotten slowly,
    // which BM25 does not notice.
    sqlx::query!(
        "with gone as (
             delete from carrel.segment where collection_id = $1 and no = any($2) returning passages, tokens
         )
         update carrel.segment s
         set passages = g.passages, tokens = g.tokens
         from (select sum(passages)::int as passages, sum(tokens)::bigint as tokens from gone) g
         where s.collection_id = $1 and s.passages = 0 and s.level = $3",
        collection.0,
        &crowded.segments,
        crowded.level + 1
    )
    .execute(transaction.connection())
    .await?;
    Ok(crowded.segments.len() as u64)
}

/// The languages that occur in the given collections, or in all of the workspace when none is given.
pub async fn languages(
    transaction: &mut Transaction,
    collections: &[CollectionId],
) -> Result<Vec<Language>, StorageError> {
    let ids: Vec<uuid::Uuid> = collections.iter().map(|id| id.0).collect();
    let rows = sqlx::query_scalar!(
        "select distinct language from carrel.collection_language
         where cardinality($1::uuid[]) = 0 or collection_id = any($1)
         order by language",
        &ids
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows.iter().filter_map(|code| Language::parse(code)).collect())
}

#[cfg(test)]
mod tests {
    use super::{impact, length_code, length_of};

    #[test]
    fn lengths_survive_their_code_within_four_per_cent() {
        for length in [1, 5, 20, 80, 150, 400, 2000, 9000] {
            let back = length_of(length_code(length));
            let error = (f64::from(back) - f64::from(length)).abs() / f64::from(length);
            assert!(error < 0.04 || length < 20, "{length} came back as {back}");
        }
        assert_eq!(length_code(u32::MAX), 255);
    }

    #[test]
    fn impacts_are_positive() {
        assert_eq!(impact(3, 0), 3 << 8);
        assert!(impact(u32::MAX, u32::MAX) > 0);
    }
}
