//! Custody events and legal holds.

use crate::page::{After, Page};
use crate::{StorageError, Transaction};
use carrel_domain::custody::{CustodyEvent, CustodyKind, Hold, HoldSubject, Release};
use carrel_domain::{Actor, CollectionId, CustodyEventId, DocumentId, HoldId};
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

/// Stores a custody event.
pub async fn insert_event(transaction: &mut Transaction, event: &CustodyEvent) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    sqlx::query!(
        "insert into carrel.custody_event (id, workspace_id, document_id, kind, place, note, at, by)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        event.id.0,
        workspace.0,
        event.document.0,
        event.kind.as_str(),
        event.place,
        event.note,
        event.at,
        crate::access::actor_value(&event.by)
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Custody events of a document, oldest first.
pub async fn events(
    transaction: &mut Transaction,
    document: DocumentId,
    after: Option<After>,
    limit: u32,
) -> Result<Page<CustodyEvent>, StorageError> {
    let rows = sqlx::query!(
        "select id, document_id, kind, place, note, at, by
         from carrel.custody_event
         where document_id = $1 and ($2::timestamptz is null or (at, id) > ($2, $3))
         order by at, id
         limit $4",
        document.0,
        after.map(|after| after.at),
        after.map(|after| after.id),
        i64::from(limit) + 1
    )
    .fetch_all(transaction.connection())
    .await?;
    let events = rows.into_iter().map(|row| {
        let inconsistent = |column| inconsistent("custody_event", column, row.id);
        Ok(CustodyEvent {
            id: CustodyEventId(row.id),
            document: DocumentId(row.document_id),
            kind: CustodyKind::parse(&row.kind).ok_or_else(|| inconsistent("kind"))?,
            place: row.place,
            note: row.note,
            at: row.at,
            by: serde_json::from_value(row.by).map_err(|_| inconsistent("by"))?,
        })
    });
    let events = events.collect::<Result<Vec<_>, StorageError>>()?;
    Ok(Page::cut(events, limit, |event| After { at: event.at, id: event.id.0 }))
}

fn inconsistent(table: &'static str, column: &'static str, row: Uuid) -> StorageError {
    StorageError::Inconsistent { table, column, row: row.to_string(), problem: "it cannot be read".to_owned() }
}

struct HoldRow {
    id: Uuid,
    document_id: Option<Uuid>,
    collection_id: Option<Uuid>,
    reason: String,
    placed_at: DateTime<Utc>,
    placed_by: Value,
    released_at: Option<DateTime<Utc>>,
    released_by: Option<Value>,
    release_reason: Option<String>,
}

impl TryFrom<HoldRow> for Hold {
    type Error = StorageError;

    fn try_from(row: HoldRow) -> Result<Self, StorageError> {
        let actor = |column, value: Value| -> Result<Actor, StorageError> {
            serde_json::from_value(value).map_err(|_| inconsistent("legal_hold", column, row.id))
        };
        let subject = match (row.document_id, row.collection_id) {
            (Some(document), None) => HoldSubject::Document(DocumentId(document)),
            (None, Some(collection)) => HoldSubject::Collection(CollectionId(collection)),
            _ => return Err(inconsistent("legal_hold", "document_id", row.id)),
        };
        let released = match (row.released_at, row.released_by, row.release_reason) {
            (Some(at), Some(by), Some(reason)) => Some(Release { at, by: actor("released_by", by)?, reason }),
            _ => None,
        };
        Ok(Self {
            id: HoldId(row.id),
            subject,
            reason: row.reason,
            placed_at: row.placed_at,
            placed_by: actor("placed_by", row.placed_by)?,
            released,
        })
    }
}

/// Stores a hold; `false` when there is nothing of that id to hold. From here to the commit nobody can delete it, and
/// whoever is deleting it at the moment is waited for.
pub async fn place_hold(transaction: &mut Transaction, hold: &Hold) -> Result<bool, StorageError> {
    let workspace = transaction.workspace();
    let (document, collection) = match hold.subject {
        HoldSubject::Document(id) => (Some(id.0), None),
        HoldSubject::Collection(id) => (None, Some(id.0)),
    };
    let found = match hold.subject {
        HoldSubject::Document(id) => sqlx::query!(
            "select d.id from carrel.document d
             join carrel.collection c on c.id = d.collection_id
             where d.id = $1
             for share of d, c",
            id.0
        )
        .fetch_optional(transaction.connection())
        .await?
        .is_some(),
        HoldSubject::Collection(id) => sqlx::query!("select id from carrel.collection where id = $1 for share", id.0)
            .fetch_optional(transaction.connection())
            .await?
            .is_some(),
    };
    if !found {
        return Ok(false);
    }
    sqlx::query!(
        "insert into carrel.legal_hold (id, workspace_id, document_id, collection_id, reason, placed_at, placed_by)
         values ($1, $2, $3, $4, $5, $6, $7)",
        hold.id.0,
        workspace.0,
        document,
        collection,
        hold.reason,
        hold.placed_at,
        crate::access::actor_value(&hold.placed_by)
    )
    .execute(transaction.connection())
    .await?;
    Ok(true)
}

/// One hold, locked until the end of the transaction.
pub async fn hold(transaction: &mut Transaction, id: HoldId) -> Result<Option<Hold>, StorageError> {
    let row = sqlx::query_as!(
        HoldRow,
        "select id, document_id, collection_id, reason, placed_at, placed_by, released_at, released_by, release_reason
         from carrel.legal_hold
         where id = $1
         for update",
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.map(Hold::try_from).transpose()
}

/// Ends a hold that stands.
pub async fn release_hold(transaction: &mut Transaction, id: HoldId, release: &Release) -> Result<(), StorageError> {
    sqlx::query!(
        "update carrel.legal_hold set released_at = $2, released_by = $3, release_reason = $4
         where id = $1 and released_at is null",
        id.0,
        release.at,
        crate::access::actor_value(&release.by),
        release.reason
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Holds, oldest first; with `subject`, those of that document or collection; with `standing`, those not released.
pub async fn holds(
    transaction: &mut Transaction,
    subject: Option<Uuid>,
    standing: bool,
    after: Option<After>,
    limit: u32,
) -> Result<Page<Hold>, StorageError> {
    let rows = sqlx::query_as!(
        HoldRow,
        "select id, document_id, collection_id, reason, placed_at, placed_by, released_at, released_by, release_reason
         from carrel.legal_hold
         where ($1::uuid is null or document_id = $1 or collection_id = $1)
           and (not $2 or released_at is null)
           and ($3::timestamptz is null or (placed_at, id) > ($3, $4))
         order by placed_at, id
         limit $5",
        subject,
        standing,
        after.map(|after| after.at),
        after.map(|after| after.id),
        i64::from(limit) + 1
    )
    .fetch_all(transaction.connection())
    .await?;
    let holds = rows.into_iter().map(Hold::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::cut(holds, limit, |hold| After { at: hold.placed_at, id: hold.id.0 }))
}

/// The oldest hold that keeps one of the documents from being deleted, if any.
pub async fn holding_documents(
    transaction: &mut Transaction,
    documents: &[DocumentId],
) -> Result<Option<Hold>, StorageError> {
    let documents: Vec<Uuid> = documents.iter().map(|id| id.0).collect();
    let row = sqlx::query_as!(
        HoldRow,
        "select id, document_id, collection_id, reason, placed_at, placed_by, released_at, released_by, release_reason
         from carrel.legal_hold
         where released_at is null
           and (document_id = any($1)
                or collection_id in (select d.collection_id from carrel.document d where d.id = any($1)))
         order by placed_at, id
         limit 1",
        &documents
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.map(Hold::try_from).transpose()
}

/// The oldest hold that keeps a collection from being deleted, if any: on itself, or on a document in it.
pub async fn holding_collection(
    transaction: &mut Transaction,
    collection: CollectionId,
) -> Result<Option<Hold>, StorageError> {
    let row = sqlx::query_as!(
        HoldRow,
        "select id, document_id, collection_id, reason, placed_at, placed_by, released_at, released_by, release_reason
         from carrel.legal_hold h
         where h.released_at is null
           and (h.collection_id = $1
                or exists (select from carrel.document d where d.id = h.document_id and d.collection_id = $1))
         order by h.placed_at, h.id
         limit 1",
        collection.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.map(Hold::try_from).transpose()
}
