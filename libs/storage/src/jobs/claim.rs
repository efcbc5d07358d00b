//! Taking jobs, handing them over, giving them back.

use super::{WAKE_CHANNEL, inconsistent, milliseconds, queue_name};
use crate::{Database, StorageError};
use carrel_domain::job::QueueName;
use carrel_domain::{Actor, ClaimToken, JobId, WorkerId, WorkspaceId};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use std::time::Duration;
use uuid::Uuid;

/// What a worker process can run, as PostgreSQL must know it to choose for it.
#[derive(Clone, Debug)]
pub struct Worker {
    /// This start of the process.
    pub id: WorkerId,
    /// Kinds that it knows, each with the newest payload version that it reads.
    pub kinds: Vec<(String, i16)>,
    /// How long a claim holds without renewal.
    pub lease: Duration,
}

impl Worker {
    pub(super) fn kind_columns(&self) -> (Vec<&str>, Vec<i16>) {
        self.kinds.iter().map(|(kind, version)| (kind.as_str(), *version)).unzip()
    }
}

/// A job that this worker holds.
#[derive(Clone, Debug)]
pub struct ClaimedJob {
    /// Its id.
    pub id: JobId,
    /// The token of this execution.
    pub claim: ClaimToken,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// Its kind.
    pub kind: String,
    /// Where it runs.
    pub queue: QueueName,
    /// The payload as JSON.
    pub payload: Value,
    /// Version of the payload's shape.
    pub payload_version: i16,
    /// Smaller runs first.
    pub priority: i16,
    /// This attempt, from 1.
    pub attempt: u16,
    /// Attempts before it becomes a dead letter.
    pub max_attempts: u16,
    /// Wall-clock limit of this attempt.
    pub timeout: Duration,
    /// The job that asked for it.
    pub parent: Option<JobId>,
    /// Who asked for it.
    pub created_by: Actor,
    /// W3C trace context of the request that asked for it.
    pub traceparent: Option<String>,
    /// When this attempt started, by the database's clock.
    pub started_at: DateTime<Utc>,
    /// How long it waited since it could first start, by the database's clock.
    pub waited: Duration,
}

#[derive(sqlx::FromRow)]
struct ClaimedRow {
    id: Uuid,
    claim: Uuid,
    workspace_id: Uuid,
    kind: String,
    queue: String,
    payload: Value,
    payload_version: i16,
    priority: i16,
    attempt: i16,
    max_attempts: i16,
    timeout_ms: i32,
    parent_id: Option<Uuid>,
    created_by: Json<Actor>,
    traceparent: Option<String>,
    started_at: DateTime<Utc>,
    waited_ms: i64,
}

impl TryFrom<ClaimedRow> for ClaimedJob {
    type Error = StorageError;

    fn try_from(row: ClaimedRow) -> Result<Self, StorageError> {
        Ok(Self {
            id: JobId(row.id),
            claim: ClaimToken(row.claim),
            workspace: WorkspaceId(row.workspace_id),
            queue: queue_name(row.id, &row.queue)?,
            kind: row.kind,
            payload: row.payload,
            payload_version: row.payload_version,
            priority: row.priority,
            attempt: u16::try_from(row.attempt).map_err(|error| inconsistent("attempt", row.id, error))?,
            max_attempts: u16::try_from(row.max_attempts)
                .map_err(|error| inconsistent("max_attempts", row.id, error))?,
            timeout: Duration::from_millis(row.timeout_ms.unsigned_abs().into()),
            parent: row.parent_id.map(JobId),
            created_by: row.created_by.0,
            traceparent: row.traceparent,
            started_at: row.started_at,
            waited: Duration::from_millis(row.waited_ms.max(0).unsigned_abs()),
        })
    }
}

/// Takes up to `limit` of the queue's due jobs that `worker` can run, best first: by priority, then fairly over
/// workspaces, then by age. Empty also when others hold all that was seen.
pub async fn claim_next(
    database: &Database,
    worker: &Worker,
    queue: QueueName,
    limit: usize,
) -> Result<Vec<ClaimedJob>, StorageError> {
    take(database, worker, queue, None, limit).await
}

/// Takes those of `ids` that are due jobs of the queue which `worker` can run. The others were delivered twice, ended,
/// cancelled, paused or are over their limit: nothing to worry about.
pub async fn claim(
    database: &Database,
    worker: &Worker,
    queue: QueueName,
    ids: &[JobId],
) -> Result<Vec<ClaimedJob>, StorageError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    take(database, worker, queue, Some(&ids), ids.len()).await
}

async fn take(
    database: &Database,
    worker: &Worker,
    queue: QueueName,
    ids: Option<&[Uuid]>,
    limit: usize,
) -> Result<Vec<ClaimedJob>, StorageError> {
    let (kinds, versions) = worker.kind_columns();
    let rows: Vec<ClaimedRow> = sqlx::query_as(
        "select c.id, c.claim, c.workspace_id, c.kind, c.queue, c.payload, c.payload_version, c.priority, c.attempt,
                c.max_attempts, c.timeout_ms, c.parent_id, c.created_by, c.traceparent, c.started_at,
                (extract(epoch from c.started_at - c.run_at) * 1000)::bigint as waited_ms
         from carrel.claim_jobs($1, $2, $3, $4, $5, $6, $7) c
         order by c.priority, c.run_at, c.id",
    )
    .bind(queue.as_str())
    .bind(kinds)
    .bind(versions)
    .bind(ids)
    .bind(i32::try_from(limit).unwrap_or(i32::MAX))
    .bind(worker.id.0)
    .bind(milliseconds(worker.lease))
    .fetch_all(database.queue_pool())
    .await?;
    rows.into_iter().map(ClaimedJob::try_from).collect()
}

/// Chooses up to `limit` due jobs of the queue to be carried to workers, best first, and remembers that they are on
/// their way. A job whose carrier has not brought it within `patience` is chosen again. `None` when a neighbour is choosing.
pub async fn dispatch(
    database: &Database,
    worker: &Worker,
    queue: QueueName,
    limit: usize,
    patience: Duration,
) -> Result<Option<Vec<JobId>>, StorageError> {
    let (kinds, versions) = worker.kind_columns();
    let ids: Option<Vec<Uuid>> = sqlx::query_scalar(
        "select carrel.dispatch_jobs($1, $2, $3, $4, clock_timestamp() - make_interval(secs => $5))",
    )
    .bind(queue.as_str())
    .bind(kinds)
    .bind(versions)
    .bind(i32::try_from(limit).unwrap_or(i32::MAX))
    .bind(patience.as_secs_f64())
    .fetch_one(database.queue_pool())
    .await?;
    Ok(ids.map(|ids| ids.into_iter().map(JobId).collect()))
}

/// How long until a job of the queue that `worker` can run is due, by the database's clock; zero when one is due now,
/// `None` when none waits or the queue is paused. Looks at the front of each priority of each workspace only.
pub async fn next_due(
    database: &Database,
    worker: &Worker,
    queue: QueueName,
) -> Result<Option<Duration>, StorageError> {
    let (kinds, versions) = worker.kind_columns();
    let wait: Option<f64> = sqlx::query_scalar("select extract(epoch from carrel.next_due($1, $2, $3))::float8")
        .bind(queue.as_str())
        .bind(kinds)
        .bind(versions)
        .fetch_one(database.queue_pool())
        .await?;
    Ok(wait.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)))
}

/// Hands jobs back as if they had never been taken: available at once, the attempt not charged. Answers how many were
/// still held by these claims. One whose cancellation was requested stays, to be ended as cancelled.
pub async fn give_back(database: &Database, claims: &[(JobId, ClaimToken)]) -> Result<u64, StorageError> {
    if claims.is_empty() {
        return Ok(0);
    }
    let (ids, tokens): (Vec<Uuid>, Vec<Uuid>) = claims.iter().map(|(id, claim)| (id.0, claim.0)).unzip();
    let (returned,): (i64,) = sqlx::query_as(
        "with freed as (
             update carrel.job j
             set state = 'available',
                 attempt = j.attempt - 1,
                 claim = null,
                 lease_until = null
             from unnest($1::uuid[], $2::uuid[]) h (id, claim)
             where j.id = h.id and j.id = any($1) and j.claim = h.claim and j.state = 'running'
               and j.cancel_requested_at is null
             returning j.id, j.workspace_id, j.queue, j.attempt, j.worker_id, j.started_at
         ),
         unlisted as (
             delete from carrel_jobs.running r using freed f where r.job_id = f.id
         ),
         noted as (
             insert into carrel.job_attempt (job_id, workspace_id, attempt, worker_id, started_at, ended_at, outcome)
             select f.id, f.workspace_id, f.attempt + 1, f.worker_id, f.started_at, clock_timestamp(), 'released'
             from freed f
         ),
         told as (
             select pg_notify($3, q.queue)
             from (select distinct f.queue from freed f) q
         )
         select count(*) + 0 * (select count(*) from told)
         from freed",
    )
    .bind(ids)
    .bind(tokens)
    .bind(WAKE_CHANNEL)
    .fetch_one(database.queue_pool())
    .await?;
    Ok(returned.unsigned_abs())
}
