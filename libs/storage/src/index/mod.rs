//! The search index: [passages](passages), postings in [segments](segments), [vectors](vectors) in generations, and, here,
//! the moment a version becomes the one that answers. A version answers in all of them or in none.

pub(crate) mod passages;
pub(crate) mod segments;
pub(crate) mod vectors;

pub use passages::{NewPassage, PassageText, passages, replace_passages};
pub(crate) use segments::length_of;
pub use segments::{MERGE_FACTOR, TermCount, VersionTerms, languages, merge_segments};
pub use vectors::{Generation, ensure_generation, insert_embeddings, live_generation};

use crate::{StorageError, Transaction};
use carrel_domain::{CollectionId, DocumentId, Language, VersionId};
use chrono::{DateTime, Utc};
use passages::put_passages;
use segments::{insert_history, insert_segment, lengths, merge_is_due};
use vectors::put_embeddings;

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
    let current = current_version(transaction, place).await?;
    let Some(current) = current else { return Ok(Published::GONE) };
    if current.version == Some(version) {
        mark_searchable(transaction, version, now).await?;
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
        mark_searchable(transaction, version, now).await?;
        insert_history(transaction, version, place.collection, terms).await?;
        return Ok(Published { current: false, merge_due: false });
    }
    if let Some(old) = current.version {
        retire(transaction, old).await?;
    }
    sqlx::query!(
        "with shown as (
             update carrel.passage set searchable = true where version_id = $1 returning no
         )
         update carrel.embedding e set searchable = true from shown s where e.passage_no = s.no",
        version.0
    )
    .execute(transaction.connection())
    .await?;
    answer_from(transaction, version, place, language, now).await?;
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
    answer_from(transaction, version, place, language, now).await?;
    insert_segment(transaction, version, place.collection, whole.terms).await?;
    Ok(Published { current: true, merge_due: merge_is_due(transaction, place.collection).await? })
}

/// From the commit on the document answers from this version.
async fn answer_from(
    transaction: &mut Transaction,
    version: VersionId,
    place: VersionPlace,
    language: Language,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
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
    Ok(())
}

/// A version that is ready without its document answering anew: it does already, or a newer version answers.
async fn mark_searchable(
    transaction: &mut Transaction,
    version: VersionId,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    sqlx::query!(
        "update carrel.document_version
         set state = 'searchable', searchable_at = $2, failure_code = null, failure_message = null
         where id = $1",
        version.0,
        now
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
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
