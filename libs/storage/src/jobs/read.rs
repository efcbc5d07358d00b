//! Seeing jobs: one, many, and why one waits.

use super::{inconsistent, queue_name};
use crate::{StorageError, Transaction};
use carrel_domain::job::{JobState, Progress, QueueName};
use carrel_domain::{Actor, JobId, WorkerId, WorkspaceId};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use std::time::Duration;
use uuid::Uuid;

/// Why an attempt, or the job, did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFailure {
    /// Stable code.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A job as people see it.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// Its kind.
    pub kind: String,
    /// Where it runs.
    pub queue: QueueName,
    /// Where it stands.
    pub state: JobState,
    /// Smaller runs first.
    pub priority: i16,
    /// The payload as JSON.
    pub payload: Value,
    /// Earliest (next) start.
    pub run_at: DateTime<Utc>,
    /// Attempts begun.
    pub attempt: u16,
    /// Attempts before it becomes a dead letter.
    pub max_attempts: u16,
    /// Wall-clock limit of one attempt.
    pub timeout: Duration,
    /// Bound to one unfinished job per kind and key.
    pub unique_key: Option<String>,
    /// Shares a limit on how many run at once.
    pub limit_key: Option<String>,
    /// The job that asked for it.
    pub parent: Option<JobId>,
    /// The ended job that it tries again.
    pub replay_of: Option<JobId>,
    /// How far it is.
    pub progress: Option<Progress>,
    /// What it answered.
    pub result: Option<Value>,
    /// The last failure, or why it was discarded or cancelled.
    pub last_error: Option<JobFailure>,
    /// When someone asked to cancel it.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// W3C trace context of the request that asked for it.
    pub traceparent: Option<String>,
    /// Who asked for it.
    pub created_by: Actor,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Start of the last attempt.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct JobRow {
    id: Uuid,
    workspace_id: Uuid,
    kind: String,
    queue: String,
    shown: String,
    priority: i16,
    payload: Value,
    run_at: DateTime<Utc>,
    attempt: i16,
    max_attempts: i16,
    timeout_ms: i32,
    unique_key: Option<String>,
    limit_key: Option<String>,
    parent_id: Option<Uuid>,
    replay_of: Option<Uuid>,
    progress: Option<Json<Progress>>,
    result: Option<Value>,
    error_code: Option<String>,
    error_message: Option<String>,
    cancel_requested_at: Option<DateTime<Utc>>,
    traceparent: Option<String>,
    created_by: Json<Actor>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<JobRow> for Job {
    type Error = StorageError;

    fn try_from(row: JobRow) -> Result<Self, StorageError> {
        Ok(Self {
            id: JobId(row.id),
            workspace: WorkspaceId(row.workspace_id),
            queue: queue_name(row.id, &row.queue)?,
            state: shown(row.id, &row.shown)?,
            kind: row.kind,
            priority: row.priority,
            payload: row.payload,
            run_at: row.run_at,
            attempt: row.attempt.unsigned_abs(),
            max_attempts: row.max_attempts.unsigned_abs(),
            timeout: Duration::from_millis(row.timeout_ms.unsigned_abs().into()),
            unique_key: row.unique_key,
            limit_key: row.limit_key,
            parent: row.parent_id.map(JobId),
            replay_of: row.replay_of.map(JobId),
            progress: row.progress.map(|progress| progress.0),
            result: row.result,
            last_error: failure(row.error_code, row.error_message),
            cancel_requested_at: row.cancel_requested_at,
            traceparent: row.traceparent,
            created_by: row.created_by.0,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}

fn failure(code: Option<String>, message: Option<String>) -> Option<JobFailure> {
    code.map(|code| JobFailure { code, message: message.unwrap_or_default() })
}

pub(super) fn shown(row: Uuid, text: &str) -> Result<JobState, StorageError> {
    Ok(match text {
        "blocked" => JobState::Blocked,
        "scheduled" => JobState::Scheduled,
        "available" => JobState::Available,
        "retryable" => JobState::Retryable,
        "running" => JobState::Running,
        "completed" => JobState::Completed,
        "discarded" => JobState::Discarded,
        "cancelled" => JobState::Cancelled,
        other => return Err(inconsistent("state", row, format!("{other:?} is no state"))),
    })
}

/// How many jobs ahead of another are counted.
const AHEAD_COUNTED: i64 = 10_000;

/// Which jobs to list. Everything that is `None` or empty matches all.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// In one of these states.
    pub states: Vec<JobState>,
    /// Of this kind.
    pub kind: Option<String>,
    /// In this queue.
    pub queue: Option<QueueName>,
    /// Asked for by this job.
    pub parent: Option<JobId>,
    /// The payload contains this JSON, e.g. `{"document": "…"}`.
    pub payload: Option<Value>,
}

/// What a [`Job`] is made of, with the conditions that follow.
macro_rules! select_jobs {
    ($conditions:literal) => {
        concat!(
            "select j.id, j.workspace_id, j.kind, j.queue, s.shown, j.priority, j.payload, j.run_at, j.attempt,
                    j.max_attempts, j.timeout_ms, j.unique_key, j.limit_key, j.parent_id, j.replay_of, j.progress,
                    j.result, j.error_code, j.error_message, j.cancel_requested_at, j.traceparent, j.created_by,
                    j.created_at, j.started_at, j.finished_at
             from carrel.job_all j
             cross join lateral (
                 select case when j.state <> 'available' then j.state
                             when j.run_at <= clock_timestamp() then 'available'
                             when j.attempt > 0 then 'retryable'
                             else 'scheduled' end as shown
             ) s ",
            $conditions
        )
    };
}

/// One job.
pub async fn get(tx: &mut Transaction, id: JobId) -> Result<Option<Job>, StorageError> {
    let row: Option<JobRow> =
        sqlx::query_as(select_jobs!("where j.id = $1")).bind(id.0).fetch_optional(tx.connection()).await?;
    row.map(Job::try_from).transpose()
}

/// Up to `limit` jobs, newest first; `before` is the last id of the page before.
pub async fn list(
    tx: &mut Transaction,
    filter: &JobFilter,
    before: Option<JobId>,
    limit: u32,
) -> Result<Vec<Job>, StorageError> {
    let states: Option<Vec<&str>> =
        (!filter.states.is_empty()).then(|| filter.states.iter().map(|state| state.as_str()).collect());
    let rows: Vec<JobRow> = sqlx::query_as(select_jobs!(
        "where ($1::uuid is null or j.id < $1)
           and ($2::text[] is null or s.shown = any ($2))
           and ($3::text is null or j.kind = $3)
           and ($4::text is null or j.queue = $4)
           and ($5::uuid is null or j.parent_id = $5)
           and ($6::jsonb is null or j.payload @> $6)
         order by j.id desc
         limit $7"
    ))
    .bind(before.map(|id| id.0))
    .bind(states)
    .bind(&filter.kind)
    .bind(filter.queue.map(QueueName::as_str))
    .bind(filter.parent.map(|id| id.0))
    .bind(&filter.payload)
    .bind(i64::from(limit))
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(Job::try_from).collect()
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// Still running.
    Running,
    /// Completed the job.
    Completed,
    /// Failed; the job was to be tried again.
    Failed,
    /// Failed for good.
    Discarded,
    /// Put off by itself.
    Snoozed,
    /// Given back by a worker that was stopping.
    Released,
    /// Stopped on request.
    Cancelled,
    /// Its worker vanished.
    Crashed,
}

/// One execution.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// From 1; an attempt that was not charged has the number of the one after it.
    pub number: u16,
    /// Who ran it.
    pub worker: Option<WorkerId>,
    /// Its start.
    pub started_at: DateTime<Utc>,
    /// Its end.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// Why it did not succeed.
    pub error: Option<JobFailure>,
}

/// One reason why a job is where it is.
#[derive(Clone, Debug)]
pub enum Wait {
    /// Needs jobs that have not completed.
    Needs(Vec<(JobId, String, JobState)>),
    /// Starts at this time.
    Until(DateTime<Utc>),
    /// Its queue is paused.
    QueuePaused {
        /// Since when.
        since: DateTime<Utc>,
        /// What the operator said.
        reason: Option<String>,
    },
    /// As many jobs with its limit key as may run could be running.
    Limit {
        /// The key.
        key: String,
        /// How many may run at once.
        max: u32,
    },
    /// No live worker serves its queue.
    NoWorkerForQueue,
    /// Live workers serve its queue, but none knows its kind and payload version.
    NoWorkerForKind,
    /// Could start; so many of the workspace's jobs in its queue stand before it.
    InLine {
        /// Due jobs of the same workspace and queue that run first; counted up to 10,000.
        ahead: u64,
    },
    /// Held by a worker.
    RunningOn {
        /// Which.
        worker: Option<WorkerId>,
        /// Its host, while the worker is known.
        host: Option<String>,
        /// Since when.
        since: DateTime<Utc>,
        /// When the claim ends unless it is renewed.
        lease_until: Option<DateTime<Utc>>,
    },
    /// Runs, and was asked to stop.
    CancelRequested(DateTime<Utc>),
}

/// A job with the reasons why it is where it is, and its attempts, oldest first.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The job.
    pub job: Job,
    /// Empty for a job that has ended.
    pub waits: Vec<Wait>,
    /// Every execution.
    pub attempts: Vec<Attempt>,
}

/// Tells why a job waits, who holds it, and what its attempts met. A worker counts as live when seen within `alive`.
pub async fn explain(tx: &mut Transaction, id: JobId, alive: Duration) -> Result<Option<Explanation>, StorageError> {
    let Some(job) = get(tx, id).await? else { return Ok(None) };
    let mut attempts = ended_attempts(tx, id).await?;
    let mut waits = Vec::new();
    let (worker, host, lease_until): (Option<Uuid>, Option<String>, Option<DateTime<Utc>>) = sqlx::query_as(
        "select j.worker_id, w.host, j.lease_until
         from carrel.job_all j
         left join carrel.worker w on w.id = j.worker_id
         where j.id = $1",
    )
    .bind(id.0)
    .fetch_one(tx.connection())
    .await?;
    let worker = worker.map(WorkerId);
    if let Some(started_at) = job.started_at
        && matches!(job.state, JobState::Running | JobState::Completed)
    {
        let outcome = if job.state == JobState::Running { AttemptOutcome::Running } else { AttemptOutcome::Completed };
        attempts.push(Attempt {
            number: job.attempt,
            worker,
            started_at,
            ended_at: job.finished_at,
            outcome,
            error: None,
        });
        if job.state == JobState::Running {
            waits.push(Wait::RunningOn { worker, host, since: started_at, lease_until });
            waits.extend(job.cancel_requested_at.map(Wait::CancelRequested));
        }
    }
    match job.state {
        JobState::Blocked => waits.push(Wait::Needs(unmet_needs(tx, id).await?)),
        JobState::Scheduled | JobState::Retryable => waits.push(Wait::Until(job.run_at)),
        _ => {}
    }
    if matches!(job.state, JobState::Scheduled | JobState::Retryable | JobState::Available) {
        hindrances(tx, &job, alive, &mut waits).await?;
        if job.state == JobState::Available {
            waits.push(Wait::InLine { ahead: ahead_of(tx, &job).await? });
        }
    }
    Ok(Some(Explanation { job, waits, attempts }))
}

async fn ended_attempts(tx: &mut Transaction, id: JobId) -> Result<Vec<Attempt>, StorageError> {
    type Row = (i16, Option<Uuid>, DateTime<Utc>, DateTime<Utc>, String, Option<String>, Option<String>);
    let rows: Vec<Row> = sqlx::query_as(
        "select a.attempt, a.worker_id, a.started_at, a.ended_at, a.outcome, a.error_code, a.error_message
         from carrel.job_attempt a
         where a.job_id = $1
         order by a.id
         limit 1000",
    )
    .bind(id.0)
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter()
        .map(|(number, worker, started_at, ended_at, outcome, code, message)| {
            Ok(Attempt {
                number: number.unsigned_abs(),
                worker: worker.map(WorkerId),
                started_at,
                ended_at: Some(ended_at),
                outcome: match outcome.as_str() {
                    "failed" => AttemptOutcome::Failed,
                    "discarded" => AttemptOutcome::Discarded,
                    "snoozed" => AttemptOutcome::Snoozed,
                    "released" => AttemptOutcome::Released,
                    "cancelled" => AttemptOutcome::Cancelled,
                    "crashed" => AttemptOutcome::Crashed,
                    other => return Err(inconsistent("outcome", id.0, format!("{other:?} is no outcome"))),
                },
                error: failure(code, message),
            })
        })
        .collect()
}

async fn unmet_needs(tx: &mut Transaction, id: JobId) -> Result<Vec<(JobId, String, JobState)>, StorageError> {
    let rows: Vec<(Uuid, String, String)> = sqlx::query_as(
        "select n.id, n.kind,
                case when n.state <> 'available' then n.state
                     when n.run_at <= clock_timestamp() then 'available'
                     when n.attempt > 0 then 'retryable'
                     else 'scheduled' end
         from carrel.job_dep d
         join carrel.job_all n on n.id = d.needs_id
         where d.job_id = $1 and n.state <> 'completed'
         order by n.id
         limit 100",
    )
    .bind(id.0)
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(|(id, kind, state)| Ok((JobId(id), kind, shown(id, &state)?))).collect()
}

async fn hindrances(
    tx: &mut Transaction,
    job: &Job,
    alive: Duration,
    waits: &mut Vec<Wait>,
) -> Result<(), StorageError> {
    type Row = (Option<DateTime<Utc>>, Option<String>, Option<i32>, bool, bool);
    let (paused_at, reason, max, served, known): Row = sqlx::query_as(
        "select q.paused_at, q.paused_reason, l.max,
                exists (select from carrel.worker w where w.last_seen > clock_timestamp() - make_interval(secs => $2)
                        and w.queues ? j.queue),
                exists (select from carrel.worker w where w.last_seen > clock_timestamp() - make_interval(secs => $2)
                        and w.queues ? j.queue and j.payload_version <= (w.kinds ->> j.kind)::smallint)
         from carrel.job j
         left join carrel.queue q on q.name = j.queue
         left join carrel.job_limit l on l.key = j.limit_key
         where j.id = $1",
    )
    .bind(job.id.0)
    .bind(alive.as_secs_f64())
    .fetch_one(tx.connection())
    .await?;
    if let Some(since) = paused_at {
        waits.push(Wait::QueuePaused { since, reason });
    }
    if let (Some(key), Some(max)) = (&job.limit_key, max) {
        waits.push(Wait::Limit { key: key.clone(), max: max.unsigned_abs() });
    }
    match (served, known) {
        (false, _) => waits.push(Wait::NoWorkerForQueue),
        (true, false) => waits.push(Wait::NoWorkerForKind),
        (true, true) => {}
    }
    Ok(())
}

async fn ahead_of(tx: &mut Transaction, job: &Job) -> Result<u64, StorageError> {
    let (ahead,): (i64,) = sqlx::query_as(
        "select count(*)
         from (select
               from carrel.job j
               where j.queue = $1 and j.state = 'available' and j.run_at <= clock_timestamp()
                 and (j.priority, j.run_at, j.id) < ($2, $3, $4)
               limit $5) a",
    )
    .bind(job.queue.as_str())
    .bind(job.priority)
    .bind(job.run_at)
    .bind(job.id.0)
    .bind(AHEAD_COUNTED)
    .fetch_one(tx.connection())
    .await?;
    Ok(ahead.unsigned_abs())
}
