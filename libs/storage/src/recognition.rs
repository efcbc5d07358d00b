//! Versions that wait for character recognition.

use crate::{StorageError, Transaction};
use carrel_domain::VersionId;

/// Versions that hold only pictures of text and could not be read for want of a program, oldest first.
pub async fn waiting(transaction: &mut Transaction, limit: u32) -> Result<Vec<VersionId>, StorageError> {
    let ids = sqlx::query_scalar!(
        "select v.id
         from carrel.document_version v
         join carrel.document d on d.id = v.document_id
         join carrel.collection c on c.id = d.collection_id
         where v.state = 'failed' and v.failure_code = 'needs_ocr'
         order by v.id
         limit $1",
        i64::from(limit)
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(ids.into_iter().map(VersionId).collect())
}
