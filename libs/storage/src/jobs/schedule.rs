//! Schedules: which ticks have been decided. What a cron expression means is the caller's knowledge.

use super::{inconsistent, milliseconds};
use crate::{Database, StorageError};
use carrel_domain::job::{CatchUp, Schedule};
use carrel_domain::{JobId, WorkspaceId};
use chrono::{DateTime, Utc};
use std::time::Duration;
use uuid::Uuid;

/// A schedule of one workspace that has something to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueSchedule {
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// Its name.
    pub name: String,
    /// The cron expression.
    pub spec: String,
    /// IANA name of its time zone.
    pub time_zone: String,
    /// What becomes of missed ticks.
    pub catch_up: CatchUp,
    /// Every tick up to here has been decided.
    pub decided_until: DateTime<Utc>,
    /// The database's time of now.
    pub now: DateTime<Utc>,
}

/// What was decided of a [`DueSchedule`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Ticks that become jobs.
    pub ticks: Vec<DateTime<Utc>>,
    /// Every tick up to here is decided now.
    pub decided_until: DateTime<Utc>,
    /// The next tick; `None` when there is none.
    pub next: Option<DateTime<Utc>>,
}

/// Puts a schedule into every workspace, or brings it up to date there; answers in how many something changed.
pub async fn define_schedule(database: &Database, schedule: &Schedule) -> Result<u64, StorageError> {
    let changed: i64 =
        sqlx::query_scalar("select carrel.define_schedule($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
            .bind(schedule.name)
            .bind(&schedule.spec)
            .bind(&schedule.time_zone)
            .bind(schedule.catch_up.as_str())
            .bind(schedule.kind)
            .bind(schedule.queue.as_str())
            .bind(&schedule.payload)
            .bind(schedule.payload_version)
            .bind(schedule.priority)
            .bind(i16::try_from(schedule.max_attempts.max(1)).unwrap_or(i16::MAX))
            .bind(milliseconds(schedule.timeout).max(1))
            .fetch_one(database.queue_pool())
            .await?;
    Ok(changed.unsigned_abs())
}

/// Schedules of all workspaces whose next tick has come or is not known yet, the longest due first.
pub async fn due_schedules(database: &Database, limit: u32) -> Result<Vec<DueSchedule>, StorageError> {
    type Row = (Uuid, String, String, String, String, DateTime<Utc>, DateTime<Utc>);
    let rows: Vec<Row> = sqlx::query_as(
        "select s.workspace_id, s.name, s.spec, s.time_zone, s.catch_up, s.decided_until, clock_timestamp()
         from carrel.schedule s
         where s.paused_at is null and (s.next_at is null or s.next_at <= clock_timestamp())
         order by s.next_at nulls first
         limit $1",
    )
    .bind(i64::from(limit))
    .fetch_all(database.queue_pool())
    .await?;
    rows.into_iter()
        .map(|(workspace, name, spec, time_zone, catch_up, decided_until, now)| {
            let catch_up = match catch_up.as_str() {
                "skip" => CatchUp::Skip,
                "one" => CatchUp::One,
                "all" => CatchUp::All,
                other => return Err(inconsistent("catch_up", workspace, format!("{other:?} is no way to catch up"))),
            };
            Ok(DueSchedule { workspace: WorkspaceId(workspace), name, spec, time_zone, catch_up, decided_until, now })
        })
        .collect()
}

/// Fires the ticks of a decision, each as one job, and answers these. Empty when a neighbour decided in the meantime.
pub async fn fire_schedule(
    database: &Database,
    schedule: &DueSchedule,
    decision: &Decision,
) -> Result<Vec<JobId>, StorageError> {
    let jobs: Vec<Uuid> = sqlx::query_scalar("select f from carrel.fire_schedule($1, $2, $3, $4, $5, $6) f")
        .bind(schedule.workspace.0)
        .bind(&schedule.name)
        .bind(schedule.decided_until)
        .bind(&decision.ticks)
        .bind(decision.decided_until)
        // A schedule without a next tick is looked at again when it changes.
        .bind(decision.next.unwrap_or(FAR))
        .fetch_all(database.queue_pool())
        .await?;
    Ok(jobs.into_iter().map(JobId).collect())
}

/// A time that never comes.
const FAR: DateTime<Utc> = DateTime::from_timestamp_nanos(i64::MAX);

/// How long until a schedule has something to decide, by the database's clock; `None` when there is no schedule.
pub async fn next_schedule(database: &Database) -> Result<Option<Duration>, StorageError> {
    let wait: Option<f64> = sqlx::query_scalar(
        "select extract(epoch from min(coalesce(s.next_at, clock_timestamp())) - clock_timestamp())::float8
         from carrel.schedule s
         where s.paused_at is null",
    )
    .fetch_one(database.queue_pool())
    .await?;
    Ok(wait.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)))
}
