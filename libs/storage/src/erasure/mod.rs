//! Erasure: what goes, in which order, and how it is looked for afterwards.
//!
//! The places are a table ([`clear`]): whoever adds a table that holds something of a document adds a line, and it is
//! cleared, counted, checked and named in the receipt.

mod clear;
mod look;

pub use clear::{ERASED_CLAIM, clear};
pub use look::{leftovers, probes, scan};

use crate::{StorageError, Transaction};
use carrel_domain::custody::{ErasedVersion, Erasure, ErasureMark, ErasureProgress, ErasureState, SealReference};
use carrel_domain::digest::Digest;
use carrel_domain::{CollectionId, DocumentId, ErasureId, JobId, VersionId};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

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
