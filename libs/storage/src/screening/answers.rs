//! Answers of the collection of breaches, kept for a while.

use crate::{StorageError, Transaction};
use chrono::{DateTime, Utc};

/// An answer of the collection of breaches that came after `since`.
pub async fn breach_answer(
    transaction: &mut Transaction,
    key: &str,
    since: DateTime<Utc>,
) -> Result<Option<Vec<u8>>, StorageError> {
    let workspace = transaction.workspace();
    let answer = sqlx::query_scalar!(
        "select answer from carrel.breach_answer where workspace_id = $1 and key = $2 and fetched_at >= $3",
        workspace.0,
        key,
        since
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(answer)
}

/// Keeps an answer of the collection of breaches.
pub async fn keep_breach_answer(
    transaction: &mut Transaction,
    key: &str,
    answer: &[u8],
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    sqlx::query!(
        "insert into carrel.breach_answer (workspace_id, key, answer, fetched_at)
         values ($1, $2, $3, $4)
         on conflict (workspace_id, key) do update set answer = excluded.answer, fetched_at = excluded.fetched_at",
        workspace.0,
        key,
        answer,
        now
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Forgets answers of the collection of breaches from before `before`; answers how many.
pub async fn expire_breach_answers(transaction: &mut Transaction, before: DateTime<Utc>) -> Result<u64, StorageError> {
    let done = sqlx::query!("delete from carrel.breach_answer where fetched_at < $1", before)
        .execute(transaction.connection())
        .await?;
    Ok(done.rows_affected())
}
