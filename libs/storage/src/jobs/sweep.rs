//! What nobody holds any more, nobody can run, or nobody needs to see.

use super::end::cancel_dependents;
use super::{WAKE_CHANNEL, Worker};
use crate::begin::begin;
use crate::{Database, StorageError};
use std::time::Duration;
use uuid::Uuid;

/// Crashes after which a job is taken for the cause of them.
const POISON_CRASHES: i16 = 3;
/// Rows per statement.
const BATCH: i64 = 500;
const DAY: Duration = Duration::from_hours(24);
/// How long a job that ended without completing stays where the machinery works.
pub const LINGER: Duration = Duration::from_hours(1);

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Expired leases whose jobs will run again.
    pub revived: u64,
    /// Jobs discarded as poison or out of attempts.
    pub discarded: u64,
    /// Jobs cancelled because that had been asked for.
    pub cancelled: u64,
}

/// Ends executions whose lease has expired: again available, or discarded after three crashes or the last attempt.
///
/// Several jobs that ran in one process did not all end it. So the crash that condemns a job must have met it alone; jobs
/// that crashed together twice come back at different moments, which brings the culprit there. Leases of one process end
/// at different moments: with a job are all that the process still holds, and all that it was seen to lose before.
///
/// State and lease are checked under the row's lock: a completion that is faster wins.
pub async fn sweep(database: &Database) -> Result<Swept, StorageError> {
    let mut tx = begin(database.queue_pool(), "begin").await?;
    // After a crash of the database the list of what runs is empty until someone makes it again.
    sqlx::query("select carrel.list_running()").execute(&mut *tx).await?;
    let rows: Vec<(Uuid, String, bool)> = sqlx::query_as(
        "with expired as (
             select j.id, j.worker_id, j.crashes
             from carrel_jobs.running r
             join carrel.job j on j.id = r.job_id
             where j.state = 'running' and j.lease_until < clock_timestamp()
             order by j.id
             limit $1
             for no key update of j skip locked
         ),
         held as (
             select j.worker_id, count(*) as jobs
             from carrel_jobs.running r
             join carrel.job j on j.id = r.job_id
             where j.state = 'running' and j.worker_id in (select e.worker_id from expired e)
             group by j.worker_id
         ),
         company as (
             select h.worker_id, h.jobs + coalesce(w.lost_jobs, 0) > 1 as together
             from held h
             left join carrel.worker w on w.id = h.worker_id
         ),
         counted as (
             select e.id, least(e.crashes + 1, case when c.together then $2 - 1 else $2 end) as crashes,
                    coalesce(c.together, false) as together
             from expired e
             left join company c on c.worker_id = e.worker_id
         ),
         remembered as (
             update carrel.worker w
             set lost_jobs = w.lost_jobs + l.jobs
             from (select e.worker_id, count(*) as jobs from expired e group by e.worker_id) l
             where w.id = l.worker_id
         ),
         ended as (
             update carrel.job j
             set state = case when j.cancel_requested_at is not null then 'cancelled'
                              when e.crashes >= $2 or j.attempt >= j.max_attempts then 'discarded'
                              else 'available' end,
                 crashes = e.crashes,
                 run_at = case when e.together and e.crashes > 1
                               then clock_timestamp() + make_interval(secs => least(random() * 2.5 * j.attempt, 60))
                               else j.run_at end,
                 error_code = case when e.crashes >= $2 then 'poison' else 'crashed' end,
                 error_message = 'the worker vanished while it ran this job, ' || e.crashes || ' of at most ' || $2 || ' times',
                 finished_at = case when j.cancel_requested_at is not null or e.crashes >= $2 or j.attempt >= j.max_attempts
                                    then clock_timestamp() end,
                 claim = null,
                 lease_until = null
             from counted e
             where j.id = e.id
             returning j.id, j.workspace_id, j.queue, j.state, j.attempt, j.worker_id, j.started_at, j.has_dependents,
                       j.error_code, j.error_message
         ),
         unlisted as (
             delete from carrel_jobs.running r using ended e where r.job_id = e.id
         ),
         noted as (
             insert into carrel.job_attempt (
                 job_id, workspace_id, attempt, worker_id, started_at, ended_at, outcome, error_code, error_message
             )
             select e.id, e.workspace_id, e.attempt, e.worker_id, e.started_at, clock_timestamp(), 'crashed', e.error_code,
                    e.error_message
             from ended e
         ),
         told as (
             select pg_notify($3, q.queue)
             from (select distinct e.queue from ended e where e.state = 'available') q
         )
         select e.id, e.state, e.has_dependents
         from ended e
         cross join (select count(*) from told) t",
    )
    .bind(BATCH)
    .bind(POISON_CRASHES)
    .bind(WAKE_CHANNEL)
    .fetch_all(&mut *tx)
    .await?;
    if rows.is_empty() {
        tx.commit().await?;
        return Ok(Swept::default());
    }
    let needed: Vec<Uuid> = rows
        .iter()
        .filter(|(_, state, has_dependents)| *has_dependents && state != "available")
        .map(|(id, _, _)| *id)
        .collect();
    if !needed.is_empty() {
        cancel_dependents(&mut tx, &needed).await?;
    }
    tx.commit().await?;
    let count = |wanted: &str| rows.iter().filter(|(_, state, _)| state == wanted).count() as u64;
    Ok(Swept { revived: count("available"), discarded: count("discarded"), cancelled: count("cancelled") })
}

/// Discards due jobs that no worker seen within `alive` can run although their queue is served, once they have waited
/// `patience`: an unknown kind, or a payload newer than every worker. The wait lets a rolling upgrade pass.
pub async fn discard_unservable(
    database: &Database,
    worker: &Worker,
    alive: Duration,
    patience: Duration,
) -> Result<u64, StorageError> {
    let mut tx = begin(database.queue_pool(), "begin").await?;
    let rows: Vec<(Uuid, bool)> = sqlx::query_as(
        "with able as (
             select w.queues, w.kinds
             from carrel.worker w
             where w.last_seen > clock_timestamp() - make_interval(secs => $1)
         ),
         stuck as (
             select j.id
             from carrel.job j
             where j.state = 'available'
               and j.run_at < clock_timestamp() - make_interval(secs => $2)
               and not coalesce(j.payload_version <= ($4::smallint[])[array_position($3::text[], j.kind)], false)
               and exists (select from able a where a.queues ? j.queue)
               and not exists (
                   select from able a
                   where a.queues ? j.queue and j.payload_version <= (a.kinds ->> j.kind)::smallint
               )
             limit $5
             for no key update skip locked
         )
         update carrel.job j
         set state = 'discarded',
             error_code = case when exists (select from able a where a.kinds ? j.kind) then 'payload_too_new' else 'unknown_kind' end,
             error_message = 'no worker can run kind ' || j.kind || ' with payload version ' || j.payload_version,
             finished_at = clock_timestamp()
         from stuck s
         where j.id = s.id
         returning j.id, j.has_dependents",
    )
    .bind(alive.as_secs_f64())
    .bind(patience.as_secs_f64())
    .bind(worker.kind_columns().0)
    .bind(worker.kind_columns().1)
    .bind(BATCH)
    .fetch_all(&mut *tx)
    .await?;
    let needed: Vec<Uuid> = rows.iter().filter(|(_, needed)| *needed).map(|(id, _)| *id).collect();
    if !needed.is_empty() {
        cancel_dependents(&mut tx, &needed).await?;
    }
    tx.commit().await?;
    Ok(rows.len() as u64)
}

/// Moves jobs that ended longer ago than `linger` without completing to the history, where completed jobs go at once;
/// answers how many. At most a batch per call.
pub async fn archive(database: &Database, linger: Duration) -> Result<u64, StorageError> {
    let moved: i64 =
        sqlx::query_scalar("select carrel.archive_jobs(clock_timestamp() - make_interval(secs => $1), $2)")
            .bind(linger.as_secs_f64())
            .bind(BATCH as i32)
            .fetch_one(database.queue_pool())
            .await?;
    Ok(moved.unsigned_abs())
}

/// Removes what the lists of running and dispatched jobs say of jobs that are neither.
pub async fn tidy_lists(database: &Database) -> Result<(), StorageError> {
    sqlx::query("select carrel.tidy_lists()").execute(database.queue_pool()).await?;
    Ok(())
}

/// Makes the history's partitions of the coming week; answers how many were missing.
pub async fn prepare_history(database: &Database) -> Result<u32, StorageError> {
    let made: i32 = sqlx::query_scalar("select carrel.prepare_job_history()").fetch_one(database.queue_pool()).await?;
    Ok(made.unsigned_abs())
}

/// Removes jobs that ended longer ago than `keep`, with their attempts, and workers not seen for a day; answers how many
/// jobs. Whole days are dropped as partitions, so a job may stay up to a day longer. For a `keep` under a day, and for what
/// lies outside the partitions, at most a batch of rows per call is deleted. A job that something unfinished still needs
/// stays, so that it can be told why that waits.
pub async fn delete_finished(database: &Database, keep: Duration) -> Result<u64, StorageError> {
    sqlx::query("delete from carrel.worker where last_seen < clock_timestamp() - interval '1 day'")
        .execute(database.queue_pool())
        .await?;
    sqlx::query("delete from carrel.cron_tick where fired_at < clock_timestamp() - make_interval(secs => $1)")
        .bind(keep.max(DAY).as_secs_f64())
        .execute(database.queue_pool())
        .await?;
    archive(database, keep.min(LINGER)).await?;
    let dropped: i64 =
        sqlx::query_scalar("select carrel.drop_job_history(clock_timestamp() - make_interval(secs => $1))")
            .bind(keep.as_secs_f64())
            .fetch_one(database.queue_pool())
            .await?;
    let rows = keep + if keep < DAY { Duration::ZERO } else { DAY };
    let deleted: i64 =
        sqlx::query_scalar("select carrel.delete_job_history(clock_timestamp() - make_interval(secs => $1), $2)")
            .bind(rows.as_secs_f64())
            .bind(BATCH as i32)
            .fetch_one(database.queue_pool())
            .await?;
    Ok((dropped + deleted).unsigned_abs())
}
