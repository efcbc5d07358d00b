//! What arrives: a document, or a version of one that is there.

use crate::{StorageError, Transaction};
use carrel_domain::archive::Origin;
use carrel_domain::digest::Digest;
use carrel_domain::{Actor, CollectionId, DocumentId, VersionId};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// A version to store; its original must be registered already.
#[derive(Clone, Debug)]
pub struct NewVersion {
    /// Id of the version.
    pub version: VersionId,
    /// Id for the document, if it turns out to be new.
    pub document: DocumentId,
    /// Where it goes.
    pub collection: CollectionId,
    /// What makes it the same document as an earlier one.
    pub external_id: String,
    /// Name of the file as sent.
    pub file_name: String,
    /// Title given by the sender.
    pub title: Option<String>,
    /// Media type given by the sender.
    pub media_type: Option<String>,
    /// Replaces the document's metadata when given.
    pub metadata: Option<Map<String, Value>>,
    /// Content address of the original.
    pub sha256: Digest,
    /// Now.
    pub now: DateTime<Utc>,
    /// Who sends it.
    pub by: Actor,
    /// How it comes.
    pub origin: Origin,
}

/// What became of a [`NewVersion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The first version of a new document.
    Created {
        /// The document.
        document: DocumentId,
        /// Its first version.
        version: VersionId,
    },
    /// A further version of a known document.
    Revised {
        /// The document.
        document: DocumentId,
        /// The new version.
        version: VersionId,
    },
    /// The newest version has the same bytes already; nothing was stored.
    Unchanged {
        /// The document.
        document: DocumentId,
        /// Its newest version.
        version: VersionId,
    },
}

/// Stores a version; `None` when there is no such collection. Senders of the same document wait for each other, so
/// version numbers have no gaps.
///
/// The same bytes again are a no-op unless the earlier attempt to read them failed.
pub async fn receive(transaction: &mut Transaction, new: &NewVersion) -> Result<Option<Received>, StorageError> {
    let workspace = transaction.workspace();
    // Held until the commit, so that a collection is not removed while something is put into it.
    let collection = sqlx::query!("select id from carrel.collection where id = $1 for share", new.collection.0)
        .fetch_optional(transaction.connection())
        .await?;
    if collection.is_none() {
        return Ok(None);
    }
    let metadata = Value::Object(new.metadata.clone().unwrap_or_default());
    let document = sqlx::query!(
        r#"insert into carrel.document as d
               (id, workspace_id, collection_id, external_id, name, metadata, created_at, updated_at)
           values ($1, $2, $3, $4, $5, $6, $7, $7)
           on conflict (collection_id, external_id) do update set updated_at = d.updated_at
           returning id, (xmax = 0) as "fresh!""#,
        new.document.0,
        workspace.0,
        new.collection.0,
        new.external_id,
        new.file_name,
        metadata,
        new.now
    )
    .fetch_one(transaction.connection())
    .await?;
    let id = DocumentId(document.id);
    let latest = sqlx::query!(
        "select id, number, sha256, state from carrel.document_version where document_id = $1 order by number desc limit 1",
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    if let Some(latest) = &latest
        && latest.sha256 == new.sha256.0
        && latest.state != "failed"
    {
        return Ok(Some(Received::Unchanged { document: id, version: VersionId(latest.id) }));
    }
    let number = latest.as_ref().map_or(1, |latest| latest.number + 1);
    sqlx::query!(
        "insert into carrel.document_version
             (id, workspace_id, document_id, number, file_name, title, declared_media_type, sha256, state, created_at, created_by,
              origin, origin_version_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, 'received', $9, $10, $11, $12)",
        new.version.0,
        workspace.0,
        id.0,
        number,
        new.file_name,
        new.title,
        new.media_type,
        &new.sha256.0[..],
        new.now,
        crate::access::actor_value(&new.by),
        new.origin.as_str(),
        new.origin.version().map(|version| version.0)
    )
    .execute(transaction.connection())
    .await?;
    if document.fresh {
        return Ok(Some(Received::Created { document: id, version: new.version }));
    }
    sqlx::query!(
        "update carrel.document set updated_at = $2, name = $3, metadata = coalesce($4, metadata) where id = $1",
        id.0,
        new.now,
        new.file_name,
        new.metadata.clone().map(Value::Object)
    )
    .execute(transaction.connection())
    .await?;
    Ok(Some(Received::Revised { document: id, version: new.version }))
}

/// Other documents of the workspace whose newest version has the same bytes, oldest first, at most ten.
pub async fn same_bytes(
    transaction: &mut Transaction,
    sha256: Digest,
    except: DocumentId,
) -> Result<Vec<DocumentId>, StorageError> {
    let ids = sqlx::query_scalar!(
        r#"select v.document_id
           from carrel.document_version v
           join carrel.document d on d.id = v.document_id
           join carrel.collection c on c.id = d.collection_id
           where v.sha256 = $1 and v.document_id <> $2
           group by v.document_id
           order by min(v.created_at)
           limit 10"#,
        &sha256.0[..],
        except.0
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(ids.into_iter().map(DocumentId).collect())
}
