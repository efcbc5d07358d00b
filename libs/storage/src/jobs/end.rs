//! How an execution ends, and what that means for the jobs that need it.

use super::{ClaimedJob, inconsistent};
use crate::begin::begin;
use crate::{Database, StorageError, Transaction};
use carrel_domain::job::JobState;
use carrel_domain::{ClaimToken, JobId, WorkerId};
use serde_json::Value;
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// How an execution ends that does not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// Failed; tried again while attempts are left, else discarded.
    Retry {
        /// Stable code.
        code: String,
        /// For people; cut at 2,000 characters.
        message: String,
        /// Wait before the next attempt; `None` draws a random time up to `base * 2^(attempt - 1)`, at most 10 minutes.
        after: Option<Duration>,
        /// The base of that backoff.
        base: Duration,
    },
    /// Failed for good.
    Discard {
        /// Stable code.
        code: String,
        /// For people; cut at 2,000 characters.
        message: String,
    },
    /// Not yet: again after this time, the attempt not charged.
    Snooze(Duration),
    /// Stopped on request.
    Cancel,
}

/// What became of a job whose attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The claim was no longer held; nothing changed.
    Stale,
    /// It waits for another attempt.
    Waits,
    /// It reached this final state.
    Final(JobState),
}

/// Marks the job completed, in the transaction that holds what it did; answers false when the claim is no longer held,
/// and then the transaction must be rolled back.
///
/// Jobs that needed only this one become available when the transaction commits. Call it last: it locks the jobs that
/// need this one.
pub async fn complete(
    tx: &mut Transaction,
    id: JobId,
    claim: ClaimToken,
    result: &Value,
) -> Result<bool, StorageError> {
    Ok(sqlx::query_scalar("select carrel.complete_job($1, $2, $3)")
        .bind(id.0)
        .bind(claim.0)
        .bind(result)
        .fetch_one(tx.connection())
        .await?)
}

/// Completes jobs that leave nothing else behind, in one statement and one commit; answers those whose claim was still
/// held. The others are stale.
pub async fn finish(database: &Database, ends: &[(JobId, ClaimToken, Value)]) -> Result<Vec<ClaimToken>, StorageError> {
    let mut ends: Vec<_> = ends.iter().collect();
    // One order for everyone, so that two batches cannot wait for each other.
    ends.sort_unstable_by_key(|(id, _, _)| *id);
    let held: Vec<Uuid> = sqlx::query_scalar("select f from carrel.finish_jobs($1, $2, $3) f")
        .bind(ends.iter().map(|(id, _, _)| id.0).collect::<Vec<_>>())
        .bind(ends.iter().map(|(_, claim, _)| claim.0).collect::<Vec<_>>())
        .bind(ends.iter().map(|(_, _, result)| result).collect::<Vec<_>>())
        .fetch_all(database.queue_pool())
        .await?;
    Ok(held.into_iter().map(ClaimToken).collect())
}

/// Notes that the end of an execution was refused because its claim was lost. Answers false, and notes nothing, when it was
/// this very execution that completed the job: the answer to its commit was lost, not the claim.
pub async fn note_refusal(database: &Database, job: &ClaimedJob, worker: WorkerId) -> Result<bool, StorageError> {
    let done = sqlx::query(
        "insert into carrel.job_refusal (at, job_id, workspace_id, kind, attempt, claim, worker_id)
         select clock_timestamp(), $1, $2, $3, $4, $5, $6
         where not exists (
             select from carrel.job_all j
             where j.workspace_id = $2 and j.id = $1 and j.claim = $5 and j.state = 'completed'
         )",
    )
    .bind(job.id.0)
    .bind(job.workspace.0)
    .bind(&job.kind)
    .bind(i16::try_from(job.attempt).unwrap_or(i16::MAX))
    .bind(job.claim.0)
    .bind(worker.0)
    .execute(database.queue_pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends the execution as `end` says. Dependents of a job that thereby ends are cancelled with the reason.
pub async fn end_attempt(
    database: &Database,
    id: JobId,
    claim: ClaimToken,
    end: &AttemptEnd,
) -> Result<Ended, StorageError> {
    let (outcome, code, message, wait, base) = match end {
        AttemptEnd::Retry { code, message, after, base } => ("failed", Some(code), Some(message), *after, *base),
        AttemptEnd::Discard { code, message } => ("discarded", Some(code), Some(message), None, Duration::ZERO),
        AttemptEnd::Snooze(wait) => ("snoozed", None, None, Some(*wait), Duration::ZERO),
        AttemptEnd::Cancel => ("cancelled", None, None, None, Duration::ZERO),
    };
    let mut tx = begin(database.queue_pool(), "begin").await?;
    let row: Option<(String, bool)> = sqlx::query_as(
        "with ended as (
             update carrel.job j
             set state = n.state,
                 finished_at = case when n.state <> 'available' then clock_timestamp() end,
                 run_at = case when n.state = 'available' then clock_timestamp() + make_interval(secs => n.wait) else j.run_at end,
                 attempt = j.attempt - case when $3 = 'snoozed' then 1 else 0 end,
                 error_code = case when $3 = 'snoozed' then j.error_code else coalesce($4, j.error_code) end,
                 error_message = case when $3 = 'snoozed' then j.error_message else coalesce(left($5, 2000), j.error_message) end,
                 claim = null,
                 lease_until = null
             from (
                 select h.id,
                        case when $3 = 'cancelled' or h.cancel_requested_at is not null then 'cancelled'
                             when $3 = 'discarded' then 'discarded'
                             when $3 = 'failed' and h.attempt >= h.max_attempts then 'discarded'
                             else 'available' end as state,
                        coalesce($6, random() * least(600, $7 * power(2, h.attempt - 1))) as wait
                 from carrel.job h
                 where h.id = $1 and h.claim = $2 and h.state = 'running'
                 for no key update
             ) n
             where j.id = n.id
             returning j.id, j.workspace_id, j.state, j.attempt, j.worker_id, j.started_at, j.has_dependents
         ),
         unlisted as (
             delete from carrel_jobs.running r using ended e where r.job_id = e.id
         ),
         noted as (
             insert into carrel.job_attempt (
                 job_id, workspace_id, attempt, worker_id, started_at, ended_at, outcome, error_code, error_message
             )
             select e.id, e.workspace_id, e.attempt + case when $3 = 'snoozed' then 1 else 0 end, e.worker_id, e.started_at,
                    clock_timestamp(),
                    case when e.state = 'available' then $3 when e.state = 'cancelled' then 'cancelled' else e.state end,
                    $4, left($5, 2000)
             from ended e
         )
         select e.state, e.has_dependents
         from ended e",
    )
    .bind(id.0)
    .bind(claim.0)
    .bind(outcome)
    .bind(code)
    .bind(message)
    .bind(wait.map(|wait| wait.as_secs_f64()))
    .bind(base.as_secs_f64())
    .fetch_optional(&mut *tx)
    .await?;
    let Some((state, has_dependents)) = row else { return Ok(Ended::Stale) };
    let ended = match state.as_str() {
        "available" => Ended::Waits,
        "discarded" => Ended::Final(JobState::Discarded),
        "cancelled" => Ended::Final(JobState::Cancelled),
        other => return Err(inconsistent("state", id.0, format!("{other} after an attempt"))),
    };
    if has_dependents && ended != Ended::Waits {
        cancel_dependents(&mut tx, &[id.0]).await?;
    }
    tx.commit().await?;
    Ok(ended)
}

/// Cancels every blocked job that needs one of `ended`, and those that need them in turn; answers how many.
pub(super) async fn cancel_dependents(connection: &mut PgConnection, ended: &[Uuid]) -> Result<u64, StorageError> {
    let done = sqlx::query(
        "with recursive lost (id, cause) as (
             select d.job_id, d.needs_id
             from carrel.job_dep d
             where d.needs_id = any ($1)
             union
             select d.job_id, d.needs_id
             from carrel.job_dep d
             join lost l on d.needs_id = l.id
         ),
         held as (
             select j.id, (select min(l.cause::text) from lost l where l.id = j.id) as cause
             from carrel.job j
             where j.state = 'blocked' and j.id in (select l.id from lost l)
             order by j.id
             for no key update of j
         )
         update carrel.job j
         set state = 'cancelled',
             error_code = 'needed_job_ended',
             error_message = 'job ' || held.cause || ', which this one needs, did not complete',
             finished_at = clock_timestamp()
         from held
         where j.id = held.id and j.state = 'blocked'",
    )
    .bind(ended)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
