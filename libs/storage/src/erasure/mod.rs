//! Erasure: what goes, in which order, and how it is looked for afterwards.
//!
//! The places are a table ([`PLACES`]): whoever adds a table that holds something of a document adds a line, and it is
//! cleared, counted, checked and named in the receipt.

mod look;

pub use look::{leftovers, probes, scan};

use crate::{StorageError, Transaction};
use carrel_domain::custody::{
    ClearedPlace, ErasedVersion, Erasure, ErasureMark, ErasureProgress, ErasureState, Remainder, SealReference,
};
use carrel_domain::digest::Digest;
use carrel_domain::{CollectionId, DocumentId, ErasureId, JobId, VersionId};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What stands for a claim that quoted what was erased.
pub const ERASED_CLAIM: &str = "Erased: this claim quoted a document that was erased.";
/// Passages that are looked for afterwards.
const PROBES: i64 = 8;

/// Which ids a place is cleared by.
#[derive(Clone, Copy)]
enum Key {
    /// `uuid[]` of documents.
    Documents,
    /// `uuid[]` of versions.
    Versions,
    /// `int[]` of passage numbers.
    Passages,
    /// `text[]` of the ids of documents and versions.
    Names,
}

/// A table with rows of documents.
struct Place {
    table: &'static str,
    key: Key,
    /// Which rows; `$1` are the key's ids.
    condition: &'static str,
}

const fn place(table: &'static str, key: Key, condition: &'static str) -> Place {
    Place { table, key, condition }
}

/// In the order of clearing. What somebody may be adding to at this moment comes after what he must hold on to for it
/// (versions and renditions), so that a row that is committed in between is seen.
const PLACES: &[Place] = &[
    place("rendition", Key::Versions, "version_id = any($1)"),
    place("posting_history", Key::Versions, "version_id = any($1)"),
    place("embedding", Key::Passages, "passage_no = any($1)"),
    place("passage", Key::Versions, "version_id = any($1)"),
    place("tombstone", Key::Passages, "passage_no = any($1)"),
    place("research_evidence", Key::Versions, "version_id = any($1)"),
    place("research_citation", Key::Versions, "version_id = any($1)"),
    place("screening_finding", Key::Versions, "version_id = any($1)"),
    place("screening", Key::Versions, "version_id = any($1)"),
    place("similarity", Key::Versions, "version_id = any($1)"),
    place("custody_event", Key::Documents, "document_id = any($1)"),
    place(
        "idempotency",
        Key::Names,
        "exists (select from unnest($1::text[]) as n (name) where strpos(reply::text, n.name) > 0)",
    ),
    place("document_version", Key::Documents, "document_id = any($1)"),
    place("document", Key::Documents, "id = any($1)"),
];

/// Ids by which places are cleared.
#[derive(Debug, Default)]
struct Keys {
    documents: Vec<Uuid>,
    versions: Vec<Uuid>,
    passages: Vec<i32>,
    names: Vec<String>,
}

impl Keys {
    fn of(progress: &ErasureProgress) -> Self {
        let documents: Vec<Uuid> = progress.documents.iter().map(|id| id.0).collect();
        let versions: Vec<Uuid> = progress.versions.iter().map(|version| version.id.0).collect();
        let names = documents.iter().chain(&versions).map(Uuid::to_string).collect();
        Self { documents, versions, passages: progress.passages.clone(), names }
    }
}

struct ErasureRow {
    id: Uuid,
    document_id: Uuid,
    reason: String,
    state: String,
    job_id: Uuid,
    requested_at: DateTime<Utc>,
    requested_by: Value,
    progress: Value,
    receipt: Option<String>,
    signature: Option<String>,
    completed_at: Option<DateTime<Utc>>,
}

impl TryFrom<ErasureRow> for Erasure {
    type Error = StorageError;

    fn try_from(row: ErasureRow) -> Result<Self, StorageError> {
        let inconsistent = |column: &'static str, problem: String| StorageError::Inconsistent {
            table: "erasure",
            column,
            row: row.id.to_string(),
            problem,
        };
        let state = match row.state.as_str() {
            "requested" => ErasureState::Requested,
            "clearing" => ErasureState::Clearing,
            "completed" => ErasureState::Completed,
            other => return Err(inconsistent("state", format!("unknown state {other}"))),
        };
        Ok(Self {
            id: ErasureId(row.id),
            document: DocumentId(row.document_id),
            state,
            job: JobId(row.job_id),
            requested_at: row.requested_at,
            requested_by: serde_json::from_value(row.requested_by.clone())
                .map_err(|error| inconsistent("requested_by", error.to_string()))?,
            progress: serde_json::from_value(row.progress.clone())
                .map_err(|error| inconsistent("progress", error.to_string()))?,
            reason: row.reason,
            receipt: row.receipt,
            signature: row.signature,
            completed_at: row.completed_at,
        })
    }
}

fn as_json(progress: &ErasureProgress, row: Uuid) -> Result<Value, StorageError> {
    serde_json::to_value(progress).map_err(|error| StorageError::Inconsistent {
        table: "erasure",
        column: "progress",
        row: row.to_string(),
        problem: error.to_string(),
    })
}

/// Stores an erasure. From the commit on, its documents take nothing new.
pub async fn insert(transaction: &mut Transaction, erasure: &Erasure) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    sqlx::query!(
        "insert into carrel.erasure
             (id, workspace_id, document_id, reason, state, job_id, requested_at, requested_by, progress)
         values ($1, $2, $3, $4, 'requested', $5, $6, $7, $8)",
        erasure.id.0,
        workspace.0,
        erasure.document.0,
        erasure.reason,
        erasure.job.0,
        erasure.requested_at,
        crate::access::actor_value(&erasure.requested_by),
        as_json(&erasure.progress, erasure.id.0)?
    )
    .execute(transaction.connection())
    .await?;
    insert_targets(transaction, erasure.id, &erasure.progress.documents).await
}

async fn insert_targets(
    transaction: &mut Transaction,
    id: ErasureId,
    documents: &[DocumentId],
) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    let documents: Vec<Uuid> = documents.iter().map(|id| id.0).collect();
    sqlx::query!(
        "insert into carrel.erasure_target (workspace_id, document_id, erasure_id)
         select $1, d, $2 from unnest($3::uuid[]) as d
         on conflict do nothing",
        workspace.0,
        id.0,
        &documents
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// One erasure.
pub async fn get(transaction: &mut Transaction, id: ErasureId) -> Result<Option<Erasure>, StorageError> {
    let row = sqlx::query_as!(
        ErasureRow,
        "select id, document_id, reason, state, job_id, requested_at, requested_by, progress, receipt, signature, completed_at
         from carrel.erasure where id = $1",
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.map(Erasure::try_from).transpose()
}

/// The erasure that takes a document, named or found inside of the named one.
pub async fn of_document(transaction: &mut Transaction, id: DocumentId) -> Result<Option<Erasure>, StorageError> {
    let row = sqlx::query_as!(
        ErasureRow,
        "select e.id, e.document_id, e.reason, e.state, e.job_id, e.requested_at, e.requested_by, e.progress, e.receipt,
                e.signature, e.completed_at
         from carrel.erasure e
         join carrel.erasure_target t on t.erasure_id = e.id
         where t.document_id = $1",
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.map(Erasure::try_from).transpose()
}

/// Which of the documents were erased, and why.
pub async fn marks(
    transaction: &mut Transaction,
    documents: &[DocumentId],
) -> Result<BTreeMap<DocumentId, ErasureMark>, StorageError> {
    let documents: Vec<Uuid> = documents.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        "select t.document_id, e.id, e.requested_at, e.reason
         from carrel.erasure_target t
         join carrel.erasure e on e.id = t.erasure_id
         where t.document_id = any($1)",
        &documents
    )
    .fetch_all(transaction.connection())
    .await?;
    let marks = rows.into_iter().map(|row| {
        let mark = ErasureMark { erasure: ErasureId(row.id), at: row.requested_at, reason: row.reason };
        (DocumentId(row.document_id), mark)
    });
    Ok(marks.collect())
}

/// A document with all that was found inside of it, locked until the end of the transaction; with their versions and
/// collections. Empty when there is none.
pub async fn family(transaction: &mut Transaction, id: DocumentId) -> Result<ErasureProgress, StorageError> {
    let rows = sqlx::query!(
        r#"with recursive family (id) as (
               select d.id from carrel.document d join carrel.collection c on c.id = d.collection_id where d.id = $1
               union
               select d.id
               from family f
               join carrel.document d
                   on d.metadata @> jsonb_build_object('found_in', jsonb_build_object('document_id', f.id::text))
           )
           select d.id, d.collection_id
           from carrel.document d
           where d.id in (select f.id from family f)
           order by d.id
           for update of d"#,
        id.0
    )
    .fetch_all(transaction.connection())
    .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut collections: Vec<CollectionId> = rows.iter().map(|row| CollectionId(row.collection_id)).collect();
    collections.sort_unstable();
    collections.dedup();
    let versions = sqlx::query!(
        "select v.id, v.document_id, v.number, v.sha256, o.size
         from carrel.document_version v
         join carrel.original o on o.workspace_id = v.workspace_id and o.sha256 = v.sha256
         where v.document_id = any($1)
         order by v.document_id, v.number
         for update of v",
        &ids
    )
    .fetch_all(transaction.connection())
    .await?;
    let versions = versions.into_iter().map(|row| {
        let sha256 = <[u8; 32]>::try_from(row.sha256.as_slice()).map_err(|_| StorageError::Inconsistent {
            table: "document_version",
            column: "sha256",
            row: row.id.to_string(),
            problem: "not 32 bytes".to_owned(),
        })?;
        Ok(ErasedVersion {
            id: VersionId(row.id),
            document: DocumentId(row.document_id),
            number: row.number.unsigned_abs(),
            sha256: Digest(sha256),
            size: row.size.unsigned_abs(),
        })
    });
    let versions = versions.collect::<Result<Vec<_>, StorageError>>()?;
    let documents = ids.into_iter().map(DocumentId).collect();
    Ok(ErasureProgress { documents, versions, collections, ..ErasureProgress::default() })
}

/// Cancels what waits for these versions and asks what runs for them to stop; answers how many jobs still run.
pub async fn stop_jobs(transaction: &mut Transaction, versions: &[ErasedVersion]) -> Result<u64, StorageError> {
    let versions: Vec<Uuid> = versions.iter().map(|version| version.id.0).collect();
    let running: i64 = sqlx::query_scalar("select carrel.stop_jobs_of($1)")
        .bind(&versions)
        .fetch_one(transaction.connection())
        .await?;
    Ok(running.unsigned_abs())
}

/// Adds what was found to what is known.
pub fn merge(known: &mut ErasureProgress, found: ErasureProgress) {
    for id in found.documents {
        if !known.documents.contains(&id) {
            known.documents.push(id);
        }
    }
    for version in found.versions {
        if !known.versions.iter().any(|other| other.id == version.id) {
            known.versions.push(version);
        }
    }
    for id in found.collections {
        if !known.collections.contains(&id) {
            known.collections.push(id);
        }
    }
}

fn count(progress: &mut ErasureProgress, place: &str, rows: u64) {
    match progress.places.iter_mut().find(|known| known.place == place) {
        Some(known) => known.count += rows,
        None => progress.places.push(ClearedPlace { place: place.to_owned(), count: rows }),
    }
}

/// Clears every table of what `erasure` names and keeps what it did in the erasure itself. Doing it again clears what is
/// left. The documents must be locked ([`family`]).
pub async fn clear(
    transaction: &mut Transaction,
    erasure: ErasureId,
    progress: &mut ErasureProgress,
) -> Result<(), StorageError> {
    sqlx::query("set local statement_timeout = '10min'").execute(transaction.connection()).await?;
    insert_targets(transaction, erasure, &progress.documents).await?;
    // Before anything is deleted: whoever merges segments must not wait for these rows while this waits for him.
    for collection in &progress.collections {
        sqlx::query("select pg_advisory_xact_lock(hashtextextended('merge:' || $1, 0))")
            .bind(collection.to_string())
            .execute(transaction.connection())
            .await?;
    }
    let versions: Vec<Uuid> = progress.versions.iter().map(|version| version.id.0).collect();
    let passages =
        sqlx::query!("select no, text from carrel.passage where version_id = any($1) order by no", &versions)
            .fetch_all(transaction.connection())
            .await?;
    let step = (passages.len() / PROBES as usize).max(1);
    let probes: Vec<String> = passages.iter().step_by(step).filter_map(|row| probe(&row.text)).collect();
    progress.passages.extend(passages.iter().map(|row| row.no));
    progress.passages.sort_unstable();
    progress.passages.dedup();
    drop(passages);
    clear_postings(transaction, progress).await?;
    clear_claims(transaction, &versions, progress).await?;
    let keys = Keys::of(progress);
    for place in PLACES {
        let sql = format!("delete from carrel.{} where {}", place.table, place.condition);
        let rows = run(transaction, sql, place.key, &keys).await?;
        count(progress, place.table, rows);
    }
    // Once more: a report that was being written held on to its rendition until now.
    clear_claims(transaction, &versions, progress).await?;
    let ids: Vec<Uuid> = keys.documents.iter().chain(&keys.versions).copied().collect();
    let removed: Vec<(String, i64)> = sqlx::query_as("select place, removed from carrel.erase_jobs_of($1, $2)")
        .bind(&versions)
        .bind(&ids)
        .fetch_all(transaction.connection())
        .await?;
    for (place, rows) in removed {
        count(progress, &place, rows.unsigned_abs());
    }
    progress.remains = remains(transaction, &versions, &keys.documents).await?;
    sqlx::query!(
        "update carrel.erasure
         set state = 'clearing', progress = $2, probes = coalesce(probes, '{}') || $3::text[]
         where id = $1",
        erasure.0,
        as_json(progress, erasure.0)?,
        &probes
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

async fn run(transaction: &mut Transaction, sql: String, key: Key, keys: &Keys) -> Result<u64, StorageError> {
    // Made of this file's own words.
    let query = sqlx::query(AssertSqlSafe(sql));
    let query = match key {
        Key::Documents => query.bind(&keys.documents),
        Key::Versions => query.bind(&keys.versions),
        Key::Passages => query.bind(&keys.passages),
        Key::Names => query.bind(&keys.names),
    };
    Ok(query.execute(transaction.connection()).await?.rows_affected())
}

/// The longest stretch of a text's beginning that every column shows as it is: JSON writes quotes and controls otherwise.
fn probe(text: &str) -> Option<String> {
    let plain = |c: char| !c.is_control() && c != '"' && c != '\\';
    let parts = text.split(|c| !plain(c)).map(str::trim);
    let longest = parts.max_by_key(|part| part.chars().count())?;
    let cut: String = longest.chars().take(60).collect();
    let cut = cut.trim().to_owned();
    (cut.chars().count() >= 12).then_some(cut)
}

/// Takes the passages out of the blocks of the segments. Blocks are in the order of passages, so a look at their ends
/// tells which can hold one.
async fn clear_postings(transaction: &mut Transaction, progress: &mut ErasureProgress) -> Result<(), StorageError> {
    let (Some(first), Some(last)) = (progress.passages.first(), progress.passages.last()) else {
        count(progress, "posting", 0);
        return Ok(());
    };
    let collections: Vec<Uuid> = progress.collections.iter().map(|id| id.0).collect();
    let rows: i64 = sqlx::query_scalar(
        "with dead as materialized (
             select d.no from unnest($2::int[]) as d (no)
         ), touched as (
             delete from carrel.posting p
             where p.collection_id = any($1)
               and p.passages[1] <= $4 and p.passages[cardinality(p.passages)] >= $3
               and exists (select from unnest(p.passages) as u (no) where u.no in (select d.no from dead d))
             returning p.workspace_id, p.collection_id, p.term, p.segment_no, p.passages, p.impacts
         ), rewritten as (
             insert into carrel.posting (workspace_id, collection_id, term, segment_no, passages, impacts)
             select t.workspace_id, t.collection_id, t.term, t.segment_no, array_agg(u.no order by u.place),
                    array_agg(u.impact order by u.place)
             from touched t
             cross join lateral unnest(t.passages, t.impacts) with ordinality as u (no, impact, place)
             where u.no not in (select d.no from dead d)
             group by t.workspace_id, t.collection_id, t.term, t.segment_no, t.passages[1]
         )
         select count(*) from touched",
    )
    .bind(&collections)
    .bind(&progress.passages)
    .bind(first)
    .bind(last)
    .fetch_one(transaction.connection())
    .await?;
    count(progress, "posting", rows.unsigned_abs());
    Ok(())
}

/// Takes the words of claims that quote the versions, and of what was announced of them.
async fn clear_claims(
    transaction: &mut Transaction,
    versions: &[Uuid],
    progress: &mut ErasureProgress,
) -> Result<(), StorageError> {
    let events = sqlx::query!(
        "update carrel.research_event e
         set payload = jsonb_build_object('text', $2::text, 'citations', 0)
         from carrel.research_claim l
         where e.run_id = l.run_id and e.kind = 'claim' and e.payload ->> 'text' = l.text and l.text <> $2
           and l.id in (select c.claim_id from carrel.research_citation c where c.version_id = any($1))",
        versions,
        ERASED_CLAIM
    )
    .execute(transaction.connection())
    .await?;
    count(progress, "research_event", events.rows_affected());
    let claims = sqlx::query!(
        "update carrel.research_claim l set text = $2
         where l.text <> $2
           and l.id in (select c.claim_id from carrel.research_citation c where c.version_id = any($1))",
        versions,
        ERASED_CLAIM
    )
    .execute(transaction.connection())
    .await?;
    count(progress, "research_claim", claims.rows_affected());
    let citations = sqlx::query!("delete from carrel.research_citation where version_id = any($1)", versions)
        .execute(transaction.connection())
        .await?;
    count(progress, "research_citation", citations.rows_affected());
    Ok(())
}

/// What stays: lines of baselines, and the trail.
async fn remains(
    transaction: &mut Transaction,
    versions: &[Uuid],
    documents: &[Uuid],
) -> Result<Vec<Remainder>, StorageError> {
    let row = sqlx::query!(
        r#"select (select count(*) from carrel.baseline_member m where m.document_id = any($2)) as "members!",
                  (select count(*) from carrel.audit_entry e where e.subject = any($1) or e.subject = any($2)) as "entries!",
                  (select count(*) from carrel.legal_hold h where h.document_id = any($2)) as "holds!""#,
        versions,
        documents
    )
    .fetch_one(transaction.connection())
    .await?;
    let stays = [
        (
            "baseline_member",
            row.members,
            "ids, names, sizes and digests, which the digest of a baseline covers; no text",
        ),
        ("audit_entry", row.entries, "who did what and when, with ids and digests; no text"),
        ("legal_hold", row.holds, "released holds with their reasons"),
    ];
    let stays = stays.into_iter().filter(|(_, rows, _)| *rows > 0).map(|(place, rows, why)| Remainder {
        place: place.to_owned(),
        count: rows.unsigned_abs(),
        why: why.to_owned(),
    });
    Ok(stays.collect())
}

/// Documents that hold the same bytes as an erased original, at most ten.
pub async fn holders(transaction: &mut Transaction, sha256: Digest) -> Result<Vec<DocumentId>, StorageError> {
    let ids = sqlx::query_scalar!(
        "select distinct document_id from carrel.document_version where sha256 = $1 limit 10",
        &sha256.0[..]
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(ids.into_iter().map(DocumentId).collect())
}

/// The newest seal of the trail, as a receipt names it.
pub async fn newest_seal(transaction: &mut Transaction) -> Result<Option<SealReference>, StorageError> {
    let row = sqlx::query!(
        r#"select number, sha256(convert_to(payload, 'UTF8')) as "sha256!"
           from carrel.audit_seal order by number desc limit 1"#
    )
    .fetch_optional(transaction.connection())
    .await?;
    let seal = row.and_then(|row| {
        let sha256 = <[u8; 32]>::try_from(row.sha256.as_slice()).ok()?;
        Some(SealReference { number: row.number, sha256: Digest(sha256) })
    });
    Ok(seal)
}

/// Ends an erasure with its receipt, and forgets the words that were looked for.
pub async fn complete(
    transaction: &mut Transaction,
    id: ErasureId,
    receipt: &str,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    sqlx::query!(
        "update carrel.erasure set state = 'completed', receipt = $2, completed_at = $3, probes = null
         where id = $1 and state <> 'completed'",
        id.0,
        receipt,
        now
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Keeps the signature of a receipt.
pub async fn sign(transaction: &mut Transaction, id: ErasureId, signature: &str) -> Result<(), StorageError> {
    sqlx::query!("update carrel.erasure set signature = $2 where id = $1 and signature is null", id.0, signature)
        .execute(transaction.connection())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::probe;

    #[test]
    fn probes_are_what_every_column_shows_as_it_is() {
        assert_eq!(probe("short"), None);
        assert_eq!(probe("He said \"the gate closes in ninety\" twice").as_deref(), Some("the gate closes in ninety"));
        assert_eq!(probe(&"wort ".repeat(40)).map(|found| found.chars().count() <= 60), Some(true));
    }
}
