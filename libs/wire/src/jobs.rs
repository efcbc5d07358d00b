//! Jobs.

use crate::FailureBody;
use carrel_domain::{JobId, WorkerId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobBody {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: JobId,
    /// What it does.
    #[schema(example = "document.extract")]
    pub kind: String,
    /// Where it runs.
    #[schema(example = "ingest")]
    pub queue: String,
    /// `blocked`, `scheduled`, `available`, `retryable`, `running`, `completed`, `discarded` or `cancelled`.
    #[schema(example = "running")]
    pub state: String,
    /// Smaller runs first.
    pub priority: i16,
    /// What it works on.
    #[schema(value_type = Object)]
    pub payload: Value,
    /// Attempts begun.
    pub attempt: u16,
    /// Attempts before it becomes a dead letter.
    pub max_attempts: u16,
    /// Earliest (next) start.
    pub run_at: DateTime<Utc>,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub progress: Option<ProgressBody>,
    /// Why it failed last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_error: Option<FailureBody>,
    /// The job that asked for it.
    #[schema(value_type = Option<Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent_id: Option<JobId>,
    /// The ended job that it tries again.
    #[schema(value_type = Option<Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replay_of: Option<JobId>,
    /// Bound to one unfinished job per kind and key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unique_key: Option<String>,
    /// Shares a limit on how many run at once.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit_key: Option<String>,
    /// When someone asked to cancel it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When its last attempt began.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finished_at: Option<DateTime<Utc>>,
}

/// How far a job is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProgressBody {
    /// Units finished.
    pub done: u64,
    /// Units in all, when known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total: Option<u64>,
    /// What is happening.
    pub note: String,
}

/// A job that explains itself.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobPageBody {
    /// The job.
    #[serde(flatten)]
    pub job: JobBody,
    /// Why it is where it is; empty when it has ended.
    pub waits: Vec<WaitBody>,
    /// Every attempt, oldest first.
    pub attempts: Vec<AttemptBody>,
}

/// One reason why a job has not ended.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WaitBody {
    /// `needs`, `until`, `queue_paused`, `limit`, `no_worker_for_queue`, `no_worker_for_kind`, `in_line`, `running_on` or
    /// `cancel_requested`.
    pub reason: String,
    /// In a sentence.
    pub message: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<DateTime<Utc>>,
}

/// One attempt of a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AttemptBody {
    /// From 1.
    pub number: u16,
    /// Its start.
    pub started_at: DateTime<Utc>,
    /// Its end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_at: Option<DateTime<Utc>>,
    /// The start of the worker process that ran it.
    #[schema(value_type = Option<Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub worker_id: Option<WorkerId>,
    /// `running`, `completed`, `failed`, `discarded`, `snoozed`, `released`, `cancelled` or `crashed`.
    pub outcome: String,
    /// Why it did not succeed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<FailureBody>,
}

/// The job to watch after a retry: the same one, or the one that replays it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct RetryBody {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub job_id: JobId,
}

/// A dead letter and the job that now stands for it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct RetriedBody {
    /// The job that had given up.
    #[schema(value_type = Uuid)]
    pub dead_letter_id: JobId,
    /// The job that tries it again.
    #[schema(value_type = Uuid)]
    pub job_id: JobId,
}

/// Dead letters that run again.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RetriesBody {
    /// At most 500, oldest first; empty when none is left that was not replayed before.
    pub jobs: Vec<RetriedBody>,
}
