//! Postings, in segments that are merged as they gather (the log-structured way of Lucene), and the words of versions.

use super::take_time;
use crate::{StorageError, Transaction};
use carrel_domain::{CollectionId, Language, VersionId};

/// Postings that one row holds at most; with 6 bytes each they stay out of TOAST.
const POSTINGS_PER_ROW: i64 = 256;
/// Segments of one level that are merged into one of the next.
pub const MERGE_FACTOR: i64 = 32;

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

pub(super) async fn merge_is_due(
    transaction: &mut Transaction,
    collection: CollectionId,
) -> Result<bool, StorageError> {
    let segments = sqlx::query_scalar!(
        r#"select count(*) as "count!" from carrel.segment where collection_id = $1 and level = 0"#,
        collection.0
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(segments >= MERGE_FACTOR)
}

pub(super) fn lengths(terms: &VersionTerms) -> Vec<i32> {
    terms.lengths.iter().map(|length| i32::try_from(*length).unwrap_or(i32::MAX)).collect()
}

/// The postings of a version that was overtaken before it could answer; a baseline may still hold it.
pub(super) async fn insert_history(
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

pub(super) async fn insert_segment(
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
