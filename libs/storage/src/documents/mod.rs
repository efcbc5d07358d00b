//! Documents, their immutable versions, and renditions. What belongs to a removed collection is not there: every look-up
//! by id joins [`carrel.collection`](crate::collections), whose wall hides it.

mod receive;
mod renditions;

pub use receive::{NewVersion, Received, receive, same_bytes};
pub use renditions::{NewRendition, StoredRendition, insert_rendition, remove_rendition, rendition, rendition_slice};

use crate::page::{After, Page};
use crate::{StorageError, Transaction};
use carrel_domain::archive::{
    Document, DocumentVersion, Fixity, Origin, Original, ScreeningNote, Verdict, VersionState,
};
use carrel_domain::digest::Digest;
use carrel_domain::{CollectionId, Digests, DocumentId, Language, VersionId};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

struct VersionRow {
    id: Uuid,
    document_id: Uuid,
    number: i32,
    file_name: String,
    title: Option<String>,
    media_type: Option<String>,
    language: Option<String>,
    characters: Option<i32>,
    size: i64,
    sha256: Vec<u8>,
    blake3: Vec<u8>,
    state: String,
    failure_code: Option<String>,
    failure_message: Option<String>,
    warnings: Option<Vec<String>>,
    created_at: DateTime<Utc>,
    created_by: Value,
    origin: String,
    origin_version_id: Option<Uuid>,
    children: Option<i32>,
    screened: Option<String>,
    findings: Option<i32>,
    review: Option<String>,
    review_reason: Option<String>,
    verdict: Option<String>,
    problem: Option<String>,
    checked_at: Option<DateTime<Utc>>,
    damaged_since: Option<DateTime<Utc>>,
}

impl TryFrom<VersionRow> for DocumentVersion {
    type Error = StorageError;

    fn try_from(row: VersionRow) -> Result<Self, StorageError> {
        let inconsistent = |column: &'static str, problem: String| StorageError::Inconsistent {
            table: "document_version",
            column,
            row: row.id.to_string(),
            problem,
        };
        let state = match row.state.as_str() {
            "received" => VersionState::Received,
            "extracted" => VersionState::Extracted,
            "searchable" => VersionState::Searchable,
            "failed" => VersionState::Failed {
                code: row.failure_code.clone().unwrap_or_default(),
                message: row.failure_message.clone().unwrap_or_default(),
            },
            "quarantined" => VersionState::Quarantined,
            "rejected" => VersionState::Rejected { reason: row.review_reason.clone().unwrap_or_default() },
            other => return Err(inconsistent("state", format!("unknown state {other}"))),
        };
        let created_by = serde_json::from_value(row.created_by.clone())
            .map_err(|error| inconsistent("created_by", error.to_string()))?;
        let origin = Origin::parse(&row.origin, row.origin_version_id.map(VersionId))
            .ok_or_else(|| inconsistent("origin", format!("unknown origin {}", row.origin)))?;
        let digests = Digests {
            sha256: digest(&row.sha256).ok_or_else(|| inconsistent("sha256", "not 32 bytes".to_owned()))?,
            blake3: digest(&row.blake3).ok_or_else(|| inconsistent("blake3", "not 32 bytes".to_owned()))?,
        };
        let fixity = row.verdict.as_deref().and_then(Verdict::parse).zip(row.checked_at);
        let fixity = fixity.map(|(verdict, checked_at)| Fixity {
            verdict,
            problem: row.problem,
            checked_at,
            damaged_since: row.damaged_since,
        });
        Ok(Self {
            id: VersionId(row.id),
            document: DocumentId(row.document_id),
            number: row.number.unsigned_abs(),
            file_name: row.file_name,
            title: row.title,
            media_type: row.media_type,
            language: row.language.as_deref().and_then(Language::parse),
            characters: row.characters.map(i32::unsigned_abs),
            size: row.size.unsigned_abs(),
            digests,
            state,
            warnings: row.warnings.unwrap_or_default(),
            screening: row.screened.map(|verdict| ScreeningNote {
                verdict,
                findings: row.findings.unwrap_or(0).unsigned_abs(),
                review: row.review,
            }),
            fixity,
            created_at: row.created_at,
            created_by,
            origin,
            members: row.children.map(i32::unsigned_abs),
        })
    }
}

pub(crate) fn digest(bytes: &[u8]) -> Option<Digest> {
    bytes.try_into().ok().map(Digest)
}

/// Conditions of [`list`]; `None` does not restrict.
#[derive(Clone, Debug, Default)]
pub struct DocumentFilter {
    /// Exactly this external id.
    pub external_id: Option<String>,
    /// The newest version has this state.
    pub state: Option<String>,
    /// Some version has these bytes.
    pub sha256: Option<Digest>,
}

/// Documents of a collection by age, oldest first.
pub async fn list(
    transaction: &mut Transaction,
    collection: CollectionId,
    filter: &DocumentFilter,
    after: Option<After>,
    limit: u32,
) -> Result<Page<Document>, StorageError> {
    let ids = sqlx::query!(
        r#"select d.id, d.created_at
           from carrel.document d
           join carrel.collection c on c.id = d.collection_id
           where d.collection_id = $1
             and ($2::timestamptz is null or (d.created_at, d.id) > ($2, $3))
             and ($4::text is null or d.external_id = $4)
             and ($5::bytea is null or exists (
                 select from carrel.document_version v where v.document_id = d.id and v.sha256 = $5))
             and ($6::text is null or $6 = (
                 select v.state from carrel.document_version v where v.document_id = d.id order by v.number desc limit 1))
           order by d.created_at, d.id
           limit $7"#,
        collection.0,
        after.map(|after| after.at),
        after.map(|after| after.id),
        filter.external_id,
        filter.sha256.map(|digest| digest.0.to_vec()),
        filter.state,
        i64::from(limit) + 1
    )
    .fetch_all(transaction.connection())
    .await?;
    let page = Page::cut(ids, limit, |row| After { at: row.created_at, id: row.id });
    let ids: Vec<Uuid> = page.rows.iter().map(|row| row.id).collect();
    let rows = get_many(transaction, &ids).await?;
    Ok(Page { rows, next: page.next })
}

/// One document.
pub async fn get(transaction: &mut Transaction, id: DocumentId) -> Result<Option<Document>, StorageError> {
    Ok(get_many(transaction, &[id.0]).await?.pop())
}

async fn get_many(transaction: &mut Transaction, ids: &[Uuid]) -> Result<Vec<Document>, StorageError> {
    let documents = sqlx::query!(
        r#"select d.id, d.collection_id, d.external_id, d.name, d.metadata, d.created_at, d.updated_at,
                  d.current_version_id,
                  (select count(*) from carrel.document_version v where v.document_id = d.id) as "versions!"
           from carrel.document d
           join carrel.collection c on c.id = d.collection_id
           where d.id = any($1)
           order by d.created_at, d.id"#,
        ids
    )
    .fetch_all(transaction.connection())
    .await?;
    let latest = sqlx::query_as!(
        VersionRow,
        r#"select distinct on (v.document_id)
                  v.id, v.document_id, v.number, v.file_name, coalesce(v.title, r.title) as title,
                  coalesce(r.media_type, v.declared_media_type) as media_type, r.language as "language?",
                  r.characters as "characters?", o.size, o.sha256, o.blake3, v.state, v.failure_code, v.failure_message,
                  r.warnings as "warnings?", v.created_at, v.created_by, v.origin, v.origin_version_id, v.children,
                  s.verdict as "screened?", s.findings as "findings?", s.review as "review?", s.review_reason as "review_reason?",
                  f.verdict as "verdict?", f.problem as "problem?", f.checked_at as "checked_at?",
                  f.damaged_since as "damaged_since?"
           from carrel.document_version v
           join carrel.original o on o.workspace_id = v.workspace_id and o.sha256 = v.sha256
           left join carrel.fixity f on f.workspace_id = v.workspace_id and f.sha256 = v.sha256
           left join carrel.rendition r on r.version_id = v.id
           left join carrel.screening s on s.version_id = v.id
           where v.document_id = any($1)
           order by v.document_id, v.number desc"#,
        ids
    )
    .fetch_all(transaction.connection())
    .await?;
    let mut by_document = std::collections::HashMap::with_capacity(latest.len());
    for row in latest {
        by_document.insert(row.document_id, DocumentVersion::try_from(row)?);
    }
    let mut out = Vec::with_capacity(documents.len());
    for row in documents {
        let latest = by_document.remove(&row.id).ok_or_else(|| StorageError::Inconsistent {
            table: "document",
            column: "id",
            row: row.id.to_string(),
            problem: "it has no version".to_owned(),
        })?;
        out.push(Document {
            id: DocumentId(row.id),
            collection: CollectionId(row.collection_id),
            external_id: row.external_id,
            name: row.name,
            metadata: as_object(row.metadata),
            created_at: row.created_at,
            updated_at: row.updated_at,
            current: row.current_version_id.map(VersionId),
            latest,
            versions: u32::try_from(row.versions).unwrap_or(u32::MAX),
        });
    }
    Ok(out)
}

fn as_object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Versions of a document, newest first, below `before` when given.
pub async fn versions(
    transaction: &mut Transaction,
    document: DocumentId,
    before: Option<u32>,
    limit: u32,
) -> Result<Vec<DocumentVersion>, StorageError> {
    let rows = sqlx::query_as!(
        VersionRow,
        r#"select v.id, v.document_id, v.number, v.file_name, coalesce(v.title, r.title) as title,
                  coalesce(r.media_type, v.declared_media_type) as media_type, r.language as "language?",
                  r.characters as "characters?", o.size, o.sha256, o.blake3, v.state, v.failure_code, v.failure_message,
                  r.warnings as "warnings?", v.created_at, v.created_by, v.origin, v.origin_version_id, v.children,
                  s.verdict as "screened?", s.findings as "findings?", s.review as "review?", s.review_reason as "review_reason?",
                  f.verdict as "verdict?", f.problem as "problem?", f.checked_at as "checked_at?",
                  f.damaged_since as "damaged_since?"
           from carrel.document_version v
           join carrel.original o on o.workspace_id = v.workspace_id and o.sha256 = v.sha256
           left join carrel.fixity f on f.workspace_id = v.workspace_id and f.sha256 = v.sha256
           join carrel.document d on d.id = v.document_id
           join carrel.collection c on c.id = d.collection_id
           left join carrel.rendition r on r.version_id = v.id
           left join carrel.screening s on s.version_id = v.id
           where v.document_id = $1 and ($2::int is null or v.number < $2)
           order by v.number desc
           limit $3"#,
        document.0,
        before.map(u32::cast_signed),
        i64::from(limit)
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter().map(DocumentVersion::try_from).collect()
}

/// One version.
pub async fn version(transaction: &mut Transaction, id: VersionId) -> Result<Option<DocumentVersion>, StorageError> {
    let row = sqlx::query_as!(
        VersionRow,
        r#"select v.id, v.document_id, v.number, v.file_name, coalesce(v.title, r.title) as title,
                  coalesce(r.media_type, v.declared_media_type) as media_type, r.language as "language?",
                  r.characters as "characters?", o.size, o.sha256, o.blake3, v.state, v.failure_code, v.failure_message,
                  r.warnings as "warnings?", v.created_at, v.created_by, v.origin, v.origin_version_id, v.children,
                  s.verdict as "screened?", s.findings as "findings?", s.review as "review?", s.review_reason as "review_reason?",
                  f.verdict as "verdict?", f.problem as "problem?", f.checked_at as "checked_at?",
                  f.damaged_since as "damaged_since?"
           from carrel.document_version v
           join carrel.original o on o.workspace_id = v.workspace_id and o.sha256 = v.sha256
           left join carrel.fixity f on f.workspace_id = v.workspace_id and f.sha256 = v.sha256
           join carrel.document d on d.id = v.document_id
           join carrel.collection c on c.id = d.collection_id
           left join carrel.rendition r on r.version_id = v.id
           left join carrel.screening s on s.version_id = v.id
           where v.id = $1"#,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.map(DocumentVersion::try_from).transpose()
}

/// What is needed to send a version's original.
pub async fn original(transaction: &mut Transaction, id: VersionId) -> Result<Option<Original>, StorageError> {
    Ok(version(transaction, id).await?.map(|version| Original {
        sha256: version.digests.sha256,
        size: version.size,
        media_type: version.media_type,
        file_name: version.file_name,
    }))
}

/// Deletes a document with all its versions; answers the digests of its originals, or `None` when there is none.
pub async fn delete(transaction: &mut Transaction, id: DocumentId) -> Result<Option<Vec<Vec<u8>>>, StorageError> {
    // Who publishes a version holds this lock; after it, what is published shows below.
    let found = sqlx::query!(
        "select d.id from carrel.document d
         join carrel.collection c on c.id = d.collection_id
         where d.id = $1
         for update of d",
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    if found.is_none() {
        return Ok(None);
    }
    let digests =
        sqlx::query_scalar!("select distinct sha256 from carrel.document_version where document_id = $1", id.0)
            .fetch_all(transaction.connection())
            .await?;
    // The postings of what answers stay in shared segments until the next merge; tombstones keep them from answering.
    // Passages that never answered have no postings, and those that no longer do have their tombstone.
    sqlx::query!(
        "insert into carrel.tombstone (workspace_id, collection_id, passage_no)
         select workspace_id, collection_id, no from carrel.passage where document_id = $1 and searchable
         on conflict do nothing",
        id.0
    )
    .execute(transaction.connection())
    .await?;
    sqlx::query!("delete from carrel.document where id = $1", id.0).execute(transaction.connection()).await?;
    Ok(Some(digests))
}

/// Counts the documents found inside of `version` towards the upload `root` that it came with; `false` when `root` would
/// have more than `limit` at all depths below it, and nothing is counted then. A version is counted once.
pub async fn count_children(
    transaction: &mut Transaction,
    version: VersionId,
    root: VersionId,
    children: u32,
    limit: u32,
) -> Result<bool, StorageError> {
    let children = i32::try_from(children).unwrap_or(i32::MAX);
    let fresh = sqlx::query!(
        "update carrel.document_version set children = $2 where id = $1 and children is null",
        version.0,
        children
    )
    .execute(transaction.connection())
    .await?;
    if fresh.rows_affected() == 0 {
        return Ok(true);
    }
    let counted = sqlx::query!(
        "update carrel.document_version set descendants = descendants + $2
         where id = $1 and descendants::bigint + $2::int <= $3::bigint",
        root.0,
        children,
        i64::from(limit)
    )
    .execute(transaction.connection())
    .await?;
    if counted.rows_affected() == 1 {
        return Ok(true);
    }
    // An upload that was deleted meanwhile no longer counts anything; what lay inside of it begins anew.
    let there =
        sqlx::query_scalar!(r#"select exists (select from carrel.document_version where id = $1) as "there!""#, root.0)
            .fetch_one(transaction.connection())
            .await?;
    if !there && children.unsigned_abs() <= limit {
        return Ok(true);
    }
    sqlx::query!("update carrel.document_version set children = null where id = $1", version.0)
        .execute(transaction.connection())
        .await?;
    Ok(false)
}
