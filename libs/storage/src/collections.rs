//! Collections. One that is removed is behind the wall of its workspace until a job has cleared it.

use crate::page::{After, Page};
use crate::{StorageError, Transaction};
use carrel_domain::CollectionId;
use carrel_domain::archive::Collection;
use chrono::{DateTime, Utc};

/// Stores a new collection. A taken name is refused by `collection_name_unique`.
pub async fn insert(transaction: &mut Transaction, collection: &Collection) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    sqlx::query!(
        "insert into carrel.collection (id, workspace_id, name, description, created_at) values ($1, $2, $3, $4, $5)",
        collection.id.0,
        workspace.0,
        collection.name,
        collection.description,
        collection.created_at
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// One collection.
pub async fn get(transaction: &mut Transaction, id: CollectionId) -> Result<Option<Collection>, StorageError> {
    let row = sqlx::query!(
        r#"select c.id, c.name, c.description, c.created_at,
                  (select count(*) from carrel.document d where d.collection_id = c.id) as "documents!"
           from carrel.collection c
           where c.id = $1"#,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(|row| Collection {
        id: CollectionId(row.id),
        name: row.name,
        description: row.description,
        created_at: row.created_at,
        documents: row.documents.unsigned_abs(),
    }))
}

/// Collections by age, oldest first; with `name`, only the one of that name.
pub async fn list(
    transaction: &mut Transaction,
    name: Option<&str>,
    after: Option<After>,
    limit: u32,
) -> Result<Page<Collection>, StorageError> {
    let rows = sqlx::query!(
        r#"select c.id, c.name, c.description, c.created_at,
                  (select count(*) from carrel.document d where d.collection_id = c.id) as "documents!"
           from carrel.collection c
           where ($1::text is null or c.name = $1)
             and ($2::timestamptz is null or (c.created_at, c.id) > ($2, $3))
           order by c.created_at, c.id
           limit $4"#,
        name,
        after.map(|after| after.at),
        after.map(|after| after.id),
        i64::from(limit) + 1
    )
    .fetch_all(transaction.connection())
    .await?;
    let rows = rows
        .into_iter()
        .map(|row| Collection {
            id: CollectionId(row.id),
            name: row.name,
            description: row.description,
            created_at: row.created_at,
            documents: row.documents.unsigned_abs(),
        })
        .collect();
    Ok(Page::cut(rows, limit, |collection| After { at: collection.created_at, id: collection.id.0 }))
}

/// Lets the rest of the transaction see removed collections, which the wall hides from everybody else.
async fn see_removed(transaction: &mut Transaction) -> Result<(), StorageError> {
    sqlx::query("select set_config('carrel.sees_removed', 'yes', true)").execute(transaction.connection()).await?;
    Ok(())
}

/// Takes a collection out of sight, with all that is in it, whatever its size; [`clear`] does the rest. `false` when
/// there is none. Waits for uploads that are just being stored in it; later ones find no collection.
pub async fn remove(transaction: &mut Transaction, id: CollectionId, now: DateTime<Utc>) -> Result<bool, StorageError> {
    see_removed(transaction).await?;
    let done =
        sqlx::query!("update carrel.collection set removed_at = $2 where id = $1 and removed_at is null", id.0, now)
            .execute(transaction.connection())
            .await?;
    Ok(done.rows_affected() == 1)
}

/// What [`clear`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// SHA-256 of originals that lost a version.
    pub originals: Vec<Vec<u8>>,
    /// Documents that were deleted.
    pub documents: u64,
    /// False when nothing of the collection is left.
    pub more: bool,
}

/// Deletes a part of a removed collection: some segments of the index, or at most `documents` documents, or in the end
/// the collection itself. One that is not removed, or not there, is left alone and has nothing more.
pub async fn clear(transaction: &mut Transaction, id: CollectionId, documents: u32) -> Result<Cleared, StorageError> {
    see_removed(transaction).await?;
    // A large segment takes its time; the job has a limit of its own.
    sqlx::query("set local statement_timeout = '10min'").execute(transaction.connection()).await?;
    let removed = sqlx::query!("select id from carrel.collection where id = $1 and removed_at is not null", id.0)
        .fetch_optional(transaction.connection())
        .await?;
    if removed.is_none() {
        return Ok(Cleared::default());
    }
    let segments = sqlx::query!(
        "delete from carrel.segment
         where collection_id = $1
           and no in (select s.no from carrel.segment s where s.collection_id = $1 order by s.no limit 8)",
        id.0
    )
    .execute(transaction.connection())
    .await?;
    if segments.rows_affected() > 0 {
        return Ok(Cleared { more: true, ..Cleared::default() });
    }
    // Who publishes a version locks its document first, and so does this.
    let batch = sqlx::query_scalar!(
        "select id from carrel.document where collection_id = $1 order by created_at, id limit $2 for update",
        id.0,
        i64::from(documents)
    )
    .fetch_all(transaction.connection())
    .await?;
    if batch.is_empty() {
        sqlx::query!("delete from carrel.collection where id = $1 and removed_at is not null", id.0)
            .execute(transaction.connection())
            .await?;
        return Ok(Cleared::default());
    }
    let originals =
        sqlx::query_scalar!("select distinct sha256 from carrel.document_version where document_id = any($1)", &batch)
            .fetch_all(transaction.connection())
            .await?;
    let done = sqlx::query!("delete from carrel.document where id = any($1)", &batch)
        .execute(transaction.connection())
        .await?;
    Ok(Cleared { originals, documents: done.rows_affected(), more: true })
}
