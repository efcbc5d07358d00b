//! Collections.

use crate::page::{After, Page};
use crate::{StorageError, Transaction};
use carrel_domain::CollectionId;
use carrel_domain::archive::Collection;

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

/// Deletes a collection with everything in it; answers the digests of its originals, or `None` when there is none.
pub async fn delete(transaction: &mut Transaction, id: CollectionId) -> Result<Option<Vec<Vec<u8>>>, StorageError> {
    let digests = sqlx::query_scalar!(
        "select distinct v.sha256
         from carrel.document_version v
         join carrel.document d on d.id = v.document_id
         where d.collection_id = $1",
        id.0
    )
    .fetch_all(transaction.connection())
    .await?;
    let done =
        sqlx::query!("delete from carrel.collection where id = $1", id.0).execute(transaction.connection()).await?;
    Ok((done.rows_affected() == 1).then_some(digests))
}
