//! Clients that present themselves, idempotency keys, and the audit trail.

use crate::{Database, StorageError, Transaction};
use carrel_domain::{Actor, ClientId, OperationContext, WorkspaceId};
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

/// What the token endpoint needs to know of a client.
#[derive(Clone, Debug)]
pub struct ClientSecret {
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// SHA-256 of its secret.
    pub secret_digest: Vec<u8>,
    /// Its scopes, separated by spaces.
    pub scopes: String,
    /// True when its access has ended.
    pub revoked: bool,
}

/// Finds a client before its workspace is known.
pub async fn find_client(database: &Database, id: ClientId) -> Result<Option<ClientSecret>, StorageError> {
    let row = sqlx::query!(
        r#"select workspace_id as "workspace_id!", secret_digest as "secret_digest!", scopes as "scopes!", revoked as "revoked!"
           from carrel.find_client($1)"#,
        id.0
    )
    .fetch_optional(database.app_pool())
    .await?;
    Ok(row.map(|row| ClientSecret {
        workspace: WorkspaceId(row.workspace_id),
        secret_digest: row.secret_digest,
        scopes: row.scopes,
        revoked: row.revoked,
    }))
}

/// What is known of an idempotency key.
#[derive(Clone, Debug, PartialEq)]
pub enum Idempotency {
    /// First use: go on, and store the reply.
    Fresh,
    /// The same request was answered before, like this.
    Answered {
        /// HTTP status.
        status: u16,
        /// Body.
        reply: Value,
    },
    /// The same request is being worked on right now.
    InProgress,
    /// The key was used for another request.
    Mismatch,
}

/// Claims `key` for the request with `fingerprint`. A claim whose request never ended lapses after `lapse`.
pub async fn begin_idempotent(
    transaction: &mut Transaction,
    client: ClientId,
    key: &str,
    fingerprint: &[u8],
    now: DateTime<Utc>,
    lapse: chrono::Duration,
) -> Result<Idempotency, StorageError> {
    let workspace = transaction.workspace();
    let claimed = sqlx::query!(
        "insert into carrel.idempotency as i (workspace_id, client_id, key, fingerprint, created_at)
         values ($1, $2, $3, $4, $5)
         on conflict (workspace_id, client_id, key) do update set created_at = excluded.created_at, fingerprint = excluded.fingerprint
             where i.reply is null and i.created_at < $6 and i.fingerprint = excluded.fingerprint
         returning key",
        workspace.0,
        client.0,
        key,
        fingerprint,
        now,
        now - lapse
    )
    .fetch_optional(transaction.connection())
    .await?;
    if claimed.is_some() {
        return Ok(Idempotency::Fresh);
    }
    let row = sqlx::query!(
        "select fingerprint, status, reply from carrel.idempotency where workspace_id = $1 and client_id = $2 and key = $3",
        workspace.0,
        client.0,
        key
    )
    .fetch_optional(transaction.connection())
    .await?;
    let Some(row) = row else { return Ok(Idempotency::InProgress) };
    if row.fingerprint != fingerprint {
        return Ok(Idempotency::Mismatch);
    }
    match (row.status, row.reply) {
        (Some(status), Some(reply)) => Ok(Idempotency::Answered { status: status.unsigned_abs(), reply }),
        _ => Ok(Idempotency::InProgress),
    }
}

/// Keeps the reply for whoever sends the same key again.
pub async fn finish_idempotent(
    transaction: &mut Transaction,
    client: ClientId,
    key: &str,
    status: u16,
    reply: &Value,
) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    sqlx::query!(
        "update carrel.idempotency set status = $4, reply = $5 where workspace_id = $1 and client_id = $2 and key = $3",
        workspace.0,
        client.0,
        key,
        status.cast_signed(),
        reply
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Gives the key back after a request that failed, so that it can be tried again.
pub async fn forget_idempotent(transaction: &mut Transaction, client: ClientId, key: &str) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    sqlx::query!(
        "delete from carrel.idempotency where workspace_id = $1 and client_id = $2 and key = $3 and reply is null",
        workspace.0,
        client.0,
        key
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Deletes keys older than `before`; answers how many.
pub async fn expire_idempotent(transaction: &mut Transaction, before: DateTime<Utc>) -> Result<u64, StorageError> {
    let done = sqlx::query!("delete from carrel.idempotency where created_at < $1", before)
        .execute(transaction.connection())
        .await?;
    Ok(done.rows_affected())
}

/// Records that `action` happened to `subject`, in the transaction of the change itself.
pub async fn audit(
    transaction: &mut Transaction,
    context: &OperationContext,
    action: &str,
    subject: Option<Uuid>,
    details: Value,
) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    sqlx::query!(
        "insert into carrel.audit_entry (workspace_id, at, actor, action, subject, request_id, details)
         values ($1, $2, $3, $4, $5, $6, $7)",
        workspace.0,
        context.now,
        actor_value(&context.actor),
        action,
        subject,
        context.request_id.0,
        details
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// An actor as stored.
pub(crate) fn actor_value(actor: &Actor) -> Value {
    match actor {
        Actor::Client { id } => serde_json::json!({ "kind": "client", "id": id }),
        Actor::Job { id } => serde_json::json!({ "kind": "job", "id": id }),
        Actor::Operator => serde_json::json!({ "kind": "operator" }),
    }
}
