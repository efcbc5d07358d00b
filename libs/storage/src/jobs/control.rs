//! What people do to jobs and queues.

use super::end::cancel_dependents;
use super::replay::replay as replay_broken;
use super::{CANCEL_CHANNEL, WAKE_CHANNEL, inconsistent};
use crate::{Database, StorageError, Transaction};
use carrel_domain::job::{JobState, QueueName};
use carrel_domain::{Actor, JobId};
use uuid::Uuid;

/// What a retry did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retried {
    /// The ended job is replayed by this one.
    Replayed(JobId),
    /// The waiting job can start at once.
    Hastened,
    /// Nothing to retry in this state.
    Refused(JobState),
}

/// What a cancellation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It will never run; so many jobs that needed it were cancelled with it.
    AtOnce {
        /// Dependents cancelled.
        dependents: u64,
    },
    /// It runs; its worker was told to stop it.
    Requested,
    /// It had ended before.
    Refused(JobState),
}

struct Standing {
    state: JobState,
    has_dependents: bool,
}

async fn lock(tx: &mut Transaction, id: JobId) -> Result<Option<Standing>, StorageError> {
    let row: Option<(String, bool)> = sqlx::query_as(
        "select case when j.state <> 'available' then j.state
                     when j.run_at <= clock_timestamp() then 'available'
                     when j.attempt > 0 then 'retryable'
                     else 'scheduled' end,
                j.has_dependents
         from carrel.job j
         where j.id = $1
         for no key update",
    )
    .bind(id.0)
    .fetch_optional(tx.connection())
    .await?;
    if let Some((state, has_dependents)) = row {
        return Ok(Some(Standing { state: super::read::shown(id.0, &state)?, has_dependents }));
    }
    // What lies in the history does not change, so there is no row to lock; a replay still must be made only once.
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1::text, 5503))")
        .bind(id.0)
        .execute(tx.connection())
        .await?;
    let row: Option<(String, bool)> =
        sqlx::query_as("select h.state, h.has_dependents from carrel.job_history h where h.id = $1")
            .bind(id.0)
            .fetch_optional(tx.connection())
            .await?;
    row.map(|(state, has_dependents)| Ok(Standing { state: super::read::shown(id.0, &state)?, has_dependents }))
        .transpose()
}

/// Tries a job again: a discarded or cancelled one as the new job `replay`, a scheduled or retryable one at once. With a
/// job that ended go those that were cancelled because of it and whatever broken jobs they need. Asked twice, it answers
/// the replay that there is.
///
/// `None` when the workspace has no such job.
pub async fn retry(
    tx: &mut Transaction,
    id: JobId,
    replay: JobId,
    actor: &Actor,
) -> Result<Option<Retried>, StorageError> {
    let Some(standing) = lock(tx, id).await? else { return Ok(None) };
    match standing.state {
        JobState::Discarded | JobState::Cancelled => {
            Ok(Some(Retried::Replayed(replay_broken(tx, id, replay, actor).await?)))
        }
        JobState::Scheduled | JobState::Retryable => {
            sqlx::query(
                "with moved as (
                     update carrel.job set run_at = clock_timestamp() where id = $1 returning queue
                 )
                 select pg_notify($2, m.queue) from moved m",
            )
            .bind(id.0)
            .bind(WAKE_CHANNEL)
            .execute(tx.connection())
            .await?;
            Ok(Some(Retried::Hastened))
        }
        other => Ok(Some(Retried::Refused(other))),
    }
}

/// Stops a job: one that waits at once, with all that need it; a running one by telling its worker. What a running job
/// has committed stays. `None` when the workspace has no such job.
pub async fn cancel(tx: &mut Transaction, id: JobId) -> Result<Option<Cancelled>, StorageError> {
    let Some(standing) = lock(tx, id).await? else { return Ok(None) };
    if standing.state.is_final() {
        return Ok(Some(Cancelled::Refused(standing.state)));
    }
    if standing.state == JobState::Running {
        sqlx::query(
            "with asked as (
                 update carrel.job
                 set cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
                 where id = $1
                 returning id
             )
             select pg_notify($2, a.id::text) from asked a",
        )
        .bind(id.0)
        .bind(CANCEL_CHANNEL)
        .execute(tx.connection())
        .await?;
        return Ok(Some(Cancelled::Requested));
    }
    sqlx::query(
        "update carrel.job
         set state = 'cancelled',
             cancel_requested_at = clock_timestamp(),
             finished_at = clock_timestamp()
         where id = $1",
    )
    .bind(id.0)
    .execute(tx.connection())
    .await?;
    let dependents = if standing.has_dependents { cancel_dependents(tx.connection(), &[id.0]).await? } else { 0 };
    Ok(Some(Cancelled::AtOnce { dependents }))
}

/// Stops a queue from handing out jobs, everywhere; what runs goes on.
pub async fn pause_queue(database: &Database, queue: QueueName, reason: Option<&str>) -> Result<(), StorageError> {
    sqlx::query(
        "insert into carrel.queue (name, paused_at, paused_reason)
         values ($1, clock_timestamp(), $2)
         on conflict (name) do update set paused_at = coalesce(carrel.queue.paused_at, excluded.paused_at),
                                          paused_reason = excluded.paused_reason",
    )
    .bind(queue.as_str())
    .bind(reason)
    .execute(database.queue_pool())
    .await?;
    Ok(())
}

/// Undoes [`pause_queue`] and wakes the workers.
pub async fn resume_queue(database: &Database, queue: QueueName) -> Result<(), StorageError> {
    sqlx::query(
        "with resumed as (
             update carrel.queue set paused_at = null, paused_reason = null where name = $1
         )
         select pg_notify($2, $1)",
    )
    .bind(queue.as_str())
    .bind(WAKE_CHANNEL)
    .execute(database.queue_pool())
    .await?;
    Ok(())
}

/// Bounds how many jobs with this `limit_key` may run at once, over all workspaces; `None` lifts the bound.
pub async fn set_limit(database: &Database, key: &str, max: Option<u32>) -> Result<(), StorageError> {
    let Some(max) = max else {
        sqlx::query("delete from carrel.job_limit where key = $1").bind(key).execute(database.queue_pool()).await?;
        return Ok(());
    };
    let max = i32::try_from(max).map_err(|error| inconsistent("limit_key", Uuid::nil(), error))?;
    sqlx::query(
        "insert into carrel.job_limit (key, max) values ($1, $2) on conflict (key) do update set max = excluded.max",
    )
    .bind(key)
    .bind(max)
    .execute(database.queue_pool())
    .await?;
    Ok(())
}
