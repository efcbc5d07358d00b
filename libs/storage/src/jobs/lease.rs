//! Keeping claims alive, and saying that a worker lives.

use super::{Worker, milliseconds};
use crate::{Database, StorageError};
use carrel_domain::job::{Progress, QueueName};
use carrel_domain::{ClaimToken, JobId};
use sqlx::postgres::PgConnectOptions;
use sqlx::types::Json;
use sqlx::{ConnectOptions, Connection, PgConnection};
use std::sync::Arc;
use uuid::Uuid;

/// A claim that is still held after a renewal.
#[derive(Clone, Copy, Debug)]
pub struct Renewal {
    /// The claim.
    pub claim: ClaimToken,
    /// Someone asked for the job to be cancelled.
    pub cancel_requested: bool,
}

/// A connection of its own for renewals, so that neither a busy pool nor a blocked thread of the runtime can delay them.
#[derive(Debug)]
pub struct LeaseConnection {
    options: Arc<PgConnectOptions>,
    connection: Option<PgConnection>,
}

impl LeaseConnection {
    /// Prepares; connects on first use and again after a failure. Use it within one runtime.
    pub fn new(database: &Database) -> Self {
        Self { options: database.queue_pool().connect_options(), connection: None }
    }

    /// Prolongs the claims by `worker`'s lease and answers those that are still held; the others are lost. Also marks
    /// the worker as seen.
    pub async fn renew(
        &mut self,
        worker: &Worker,
        claims: &[(JobId, ClaimToken)],
    ) -> Result<Vec<Renewal>, StorageError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            // Losing a renewal in a crash of the database loses nothing: all leases are renewed again.
            None => self.options.as_ref().clone().options([("synchronous_commit", "off")]).connect().await?,
        };
        let (ids, tokens): (Vec<Uuid>, Vec<Uuid>) = claims.iter().map(|(id, claim)| (id.0, claim.0)).unzip();
        let held: Vec<(Option<Uuid>, bool)> = sqlx::query_as(
            "with seen as (
                 update carrel.worker set last_seen = clock_timestamp() where id = $1
             )
             update carrel.job j
             set lease_until = clock_timestamp() + make_interval(secs => $2 / 1000.0)
             from unnest($3::uuid[], $4::uuid[]) h (id, claim)
             where j.id = h.id and j.id = any($3) and j.claim = h.claim and j.state = 'running'
             returning j.claim, j.cancel_requested_at is not null",
        )
        .bind(worker.id.0)
        .bind(milliseconds(worker.lease))
        .bind(ids)
        .bind(tokens)
        .fetch_all(&mut connection)
        .await?;
        self.connection = Some(connection);
        Ok(held
            .into_iter()
            .filter_map(|(claim, cancel_requested)| Some(Renewal { claim: ClaimToken(claim?), cancel_requested }))
            .collect())
    }

    /// Closes the connection, if there is one.
    pub async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            // The server notices a vanished client as well.
            let _ = connection.close().await;
        }
    }
}

/// Writes how far a running job is, if the claim is still held.
pub async fn write_progress(
    database: &Database,
    id: JobId,
    claim: ClaimToken,
    progress: &Progress,
) -> Result<(), StorageError> {
    sqlx::query("update carrel.job set progress = $3 where id = $1 and claim = $2 and state = 'running'")
        .bind(id.0)
        .bind(claim.0)
        .bind(Json(progress))
        .execute(database.queue_pool())
        .await?;
    Ok(())
}

/// Says that a worker has started, or is draining.
pub async fn register(
    database: &Database,
    worker: &Worker,
    host: &str,
    version: &str,
    queues: &[QueueName],
    draining: bool,
) -> Result<(), StorageError> {
    sqlx::query(
        "insert into carrel.worker (id, host, version, queues, kinds, started_at, last_seen, draining)
         values ($1, $2, $3, $4, $5, clock_timestamp(), clock_timestamp(), $6)
         on conflict (id) do update set last_seen = excluded.last_seen, draining = excluded.draining",
    )
    .bind(worker.id.0)
    .bind(host)
    .bind(version)
    .bind(Json(queues))
    .bind(Json(worker.kinds.iter().cloned().collect::<std::collections::BTreeMap<String, i16>>()))
    .bind(draining)
    .execute(database.queue_pool())
    .await?;
    Ok(())
}

/// Says that a worker has stopped.
pub async fn deregister(database: &Database, worker: &Worker) -> Result<(), StorageError> {
    sqlx::query("delete from carrel.worker where id = $1").bind(worker.id.0).execute(database.queue_pool()).await?;
    Ok(())
}
