//! Figures for metrics, and waiting for ends.

use super::{Job, get};
use crate::{Database, StorageError};
use carrel_domain::{JobId, WorkspaceId};
use std::time::Duration;

/// Jobs of one queue in one state, over all workspaces.
#[derive(Clone, Debug, PartialEq)]
pub struct Depth {
    /// The queue's name.
    pub queue: String,
    /// `blocked`, `scheduled`, `available`, `retryable` or `running`.
    pub state: String,
    /// How many.
    pub jobs: u64,
    /// How long the oldest has been due, or running.
    pub oldest: Duration,
}

/// Counts what has not ended.
pub async fn depths(database: &Database) -> Result<Vec<Depth>, StorageError> {
    let rows: Vec<(String, String, i64, Option<f64>)> = sqlx::query_as(
        "select j.queue, s.shown, count(*),
                extract(epoch from clock_timestamp() - min(case when j.state = 'running' then j.started_at else j.run_at end))::float8
         from carrel.job j
         cross join lateral (
             select case when j.state <> 'available' then j.state
                         when j.run_at <= clock_timestamp() then 'available'
                         when j.attempt > 0 then 'retryable'
                         else 'scheduled' end as shown
         ) s
         where j.state = 'available' or j.state = 'running' or j.state = 'blocked'
         group by j.queue, s.shown",
    )
    .fetch_all(database.queue_pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|(queue, state, jobs, oldest)| Depth {
            queue,
            state,
            jobs: jobs.unsigned_abs(),
            oldest: Duration::try_from_secs_f64(oldest.unwrap_or(0.0).max(0.0)).unwrap_or_default(),
        })
        .collect())
}

/// How many jobs of all workspaces have not ended.
pub async fn unfinished(database: &Database) -> Result<u64, StorageError> {
    let count: i64 =
        sqlx::query_scalar("select count(*) from carrel.job where state in ('blocked', 'available', 'running')")
            .fetch_one(database.queue_pool())
            .await?;
    Ok(count.unsigned_abs())
}

/// Looks every `interval` until the job has ended, and answers it; `None` when the workspace has no such job. Give it a
/// deadline from outside.
pub async fn wait_until_final(
    database: &Database,
    workspace: WorkspaceId,
    id: JobId,
    interval: Duration,
) -> Result<Option<Job>, StorageError> {
    loop {
        let mut tx = database.begin(workspace).await?;
        let job = get(&mut tx, id).await?;
        tx.rollback().await?;
        match job {
            Some(job) if !job.state.is_final() => tokio::time::sleep(interval).await,
            ended => return Ok(ended),
        }
    }
}
