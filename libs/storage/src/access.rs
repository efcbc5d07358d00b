//! Clients that present themselves, idempotency keys, and the audit trail.

use crate::{Database, StorageError, Transaction};
use carrel_domain::{Actor, ClientId, OperationContext, WorkspaceId};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::time::Duration;
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
    /// First use: go on, and keep the reply.
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

/// A key that a client chose for one request.
#[derive(Clone, Copy, Debug)]
pub struct RequestKey<'a> {
    /// The client.
    pub client: ClientId,
    /// Its key.
    pub key: &'a str,
    /// What makes the request the same one.
    pub fingerprint: &'a [u8],
}

/// How long a key that is taken is waited for: 10, 20, 40, 80 and 160 ms. A refused request is answered before the server
/// has undone its transaction, and whoever sends at once what it should have sent is not to be told to wait.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LAST_WAIT: Duration = Duration::from_millis(160);

async fn try_key(transaction: &mut Transaction, request: RequestKey<'_>) -> Result<bool, StorageError> {
    let workspace = transaction.workspace();
    let free = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended('key:' || $1::text || $2::text || $3::text, 0)) as "free!""#,
        workspace.to_string(),
        request.client.to_string(),
        request.key
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(free)
}

/// Claims a key until the end of the transaction, or finds what is known of it. Replies from before `since` are
/// forgotten.
///
/// The claim is a lock, not a row: a process that dies in the middle gives it back together with everything it did.
pub async fn claim_key(
    transaction: &mut Transaction,
    request: RequestKey<'_>,
    since: DateTime<Utc>,
) -> Result<Idempotency, StorageError> {
    let mut wait = FIRST_WAIT;
    while !try_key(transaction, request).await? {
        if wait > LAST_WAIT {
            return Ok(Idempotency::InProgress);
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    let workspace = transaction.workspace();
    // A statement of its own: it must see what the claimant before has committed.
    let row = sqlx::query!(
        "select fingerprint, status, reply from carrel.idempotency
         where workspace_id = $1 and client_id = $2 and key = $3 and created_at >= $4",
        workspace.0,
        request.client.0,
        request.key,
        since
    )
    .fetch_optional(transaction.connection())
    .await?;
    let Some(row) = row else { return Ok(Idempotency::Fresh) };
    if row.fingerprint != request.fingerprint {
        return Ok(Idempotency::Mismatch);
    }
    match (row.status, row.reply) {
        (Some(status), Some(reply)) => Ok(Idempotency::Answered { status: status.unsigned_abs(), reply }),
        _ => Ok(Idempotency::InProgress),
    }
}

/// Keeps the reply of a claimed key, to be committed with what the request did. Forgets some of the workspace's replies
/// from before `since` on the way.
pub async fn keep_reply(
    transaction: &mut Transaction,
    request: RequestKey<'_>,
    (status, reply): (u16, &Value),
    now: DateTime<Utc>,
    since: DateTime<Utc>,
) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    sqlx::query!(
        "delete from carrel.idempotency i
         using (select client_id, key from carrel.idempotency
                where workspace_id = $1 and created_at < $2
                order by created_at limit 100
                for update skip locked) old
         where i.workspace_id = $1 and i.client_id = old.client_id and i.key = old.key",
        workspace.0,
        since
    )
    .execute(transaction.connection())
    .await?;
    sqlx::query!(
        "insert into carrel.idempotency (workspace_id, client_id, key, fingerprint, status, reply, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (workspace_id, client_id, key) do update
         set fingerprint = excluded.fingerprint, status = excluded.status, reply = excluded.reply,
             created_at = excluded.created_at",
        workspace.0,
        request.client.0,
        request.key,
        request.fingerprint,
        status.cast_signed(),
        reply,
        now
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Forgets the replies of the workspace from before `before`; answers how many. Replies are also forgotten as new ones
/// come; this is for workspaces where none do.
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
