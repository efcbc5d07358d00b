//! Policies of workspaces and collections.

use crate::{StorageError, Transaction};
use carrel_domain::{Actor, CollectionId};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// A policy as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPolicy {
    /// The rules.
    pub policy: Value,
    /// Grows by one with every change.
    pub revision: u64,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// The policy of a collection, or of the workspace; `None` when none was ever set.
pub async fn policy(
    transaction: &mut Transaction,
    collection: Option<CollectionId>,
) -> Result<Option<StoredPolicy>, StorageError> {
    let row = sqlx::query!(
        "select policy, revision, updated_at from carrel.screening_policy where collection_id is not distinct from $1",
        collection.map(|id| id.0)
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(|row| StoredPolicy {
        policy: row.policy,
        revision: row.revision.unsigned_abs(),
        updated_at: row.updated_at,
    }))
}

/// Sets a policy if its revision is `expected` (0: none was ever set; `None`: whatever it is); answers the new revision,
/// or `None` when somebody else was faster.
pub async fn set_policy(
    transaction: &mut Transaction,
    collection: Option<CollectionId>,
    policy: &Value,
    expected: Option<u64>,
    now: DateTime<Utc>,
    by: &Actor,
) -> Result<Option<u64>, StorageError> {
    let workspace = transaction.workspace();
    let revision = sqlx::query_scalar!(
        "insert into carrel.screening_policy as p
             (workspace_id, collection_id, policy, revision, updated_at, updated_by)
         select $1, $2, $3, 1, $4, $5
         where $6::bigint is null or $6 = 0
            or exists (select from carrel.screening_policy o where o.collection_id is not distinct from $2)
         on conflict on constraint screening_policy_one do update
         set policy = excluded.policy, revision = p.revision + 1, updated_at = excluded.updated_at,
             updated_by = excluded.updated_by
         where $6::bigint is null or p.revision = $6
         returning revision",
        workspace.0,
        collection.map(|id| id.0),
        policy,
        now,
        crate::access::actor_value(by),
        expected.map(u64::cast_signed)
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(revision.map(i64::unsigned_abs))
}
