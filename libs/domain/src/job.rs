//! Jobs: what they are, the states they pass through, and how their attempts end.

use crate::ids::{EffectId, JobId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The queues that exist. A deployment picks which of them a worker serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueName {
    /// Extract, screen, split.
    Ingest,
    /// Embed, plan, gather, report.
    Ai,
    /// Mail, webhooks, connectors.
    Notify,
    /// Roll-ups and exports.
    Analytics,
    /// Retention, merges of the index, fixity.
    Maintenance,
}

impl QueueName {
    /// Every queue.
    pub const ALL: [Self; 5] = [Self::Ingest, Self::Ai, Self::Notify, Self::Analytics, Self::Maintenance];

    /// The name on the wire, in SQL and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Ai => "ai",
            Self::Notify => "notify",
            Self::Analytics => "analytics",
            Self::Maintenance => "maintenance",
        }
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no queue.
#[derive(Debug, thiserror::Error)]
#[error("unknown queue {0:?}; the queues are ingest, ai, notify, analytics and maintenance")]
pub struct UnknownQueue(pub String);

impl FromStr for QueueName {
    type Err = UnknownQueue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|queue| queue.as_str() == text).ok_or_else(|| UnknownQueue(text.to_owned()))
    }
}

/// The state of a job as people see it. `Blocked`, `Scheduled`, `Available` and `Retryable` wait;
/// `Completed`, `Discarded` and `Cancelled` are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for other jobs.
    Blocked,
    /// Waits for its time, never tried yet.
    Scheduled,
    /// Could start now.
    Available,
    /// Failed and waits for its next attempt.
    Retryable,
    /// Held by a worker.
    Running,
    /// Done; its results are committed.
    Completed,
    /// A dead letter: gave up, with a reason. Can be replayed.
    Discarded,
    /// Stopped on request.
    Cancelled,
}

impl JobState {
    /// True when the job will never run again.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Discarded | Self::Cancelled)
    }

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Scheduled => "scheduled",
            Self::Available => "available",
            Self::Retryable => "retryable",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Discarded => "discarded",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A kind of job: its payload type with all that must be decided once per kind.
///
/// A payload carries ids, not content. `KIND` never changes once released.
pub trait JobKind: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Stable name, `noun.verb`.
    const KIND: &'static str;
    /// Where it runs.
    const QUEUE: QueueName;
    /// Version of the payload's shape; a worker refuses what is newer than it knows.
    const PAYLOAD_VERSION: i16 = 1;
    /// Attempts before it becomes a dead letter, from 1.
    const MAX_ATTEMPTS: u16;
    /// Wall-clock limit of one attempt.
    const TIMEOUT: Duration;
    /// Smaller runs first.
    const PRIORITY: i16 = 0;
}

/// What to enqueue.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// Id of the new job; chosen by the caller so that it can be answered before the commit.
    pub id: JobId,
    /// [`JobKind::KIND`].
    pub kind: &'static str,
    /// [`JobKind::QUEUE`].
    pub queue: QueueName,
    /// The payload as JSON.
    pub payload: serde_json::Value,
    /// [`JobKind::PAYLOAD_VERSION`].
    pub payload_version: i16,
    /// Smaller runs first.
    pub priority: i16,
    /// Earliest start; `None` is now.
    pub run_at: Option<DateTime<Utc>>,
    /// Attempts before it becomes a dead letter.
    pub max_attempts: u16,
    /// Wall-clock limit of one attempt.
    pub timeout: Duration,
    /// At most one job that is not final may exist per kind and key; enqueuing again answers the existing one.
    pub unique_key: Option<String>,
    /// Jobs with the same key share a limit on how many run at once.
    pub limit_key: Option<String>,
    /// The job that asked for this one.
    pub parent: Option<JobId>,
    /// Jobs that must complete first.
    pub needs: Vec<JobId>,
    /// W3C trace context of the request that asked for it.
    pub traceparent: Option<String>,
}

/// The payload could not be written as JSON.
#[derive(Debug, thiserror::Error)]
#[error("the payload of {kind} is not JSON")]
pub struct PayloadError {
    /// The kind.
    pub kind: &'static str,
    /// Why.
    pub source: serde_json::Error,
}

impl JobSpec {
    /// A job of kind `K` that can start at once.
    pub fn new<K: JobKind>(id: JobId, payload: &K) -> Result<Self, PayloadError> {
        let payload = serde_json::to_value(payload).map_err(|source| PayloadError { kind: K::KIND, source })?;
        Ok(Self {
            id,
            kind: K::KIND,
            queue: K::QUEUE,
            payload,
            payload_version: K::PAYLOAD_VERSION,
            priority: K::PRIORITY,
            run_at: None,
            max_attempts: K::MAX_ATTEMPTS,
            timeout: K::TIMEOUT,
            unique_key: None,
            limit_key: None,
            parent: None,
            needs: Vec::new(),
            traceparent: None,
        })
    }
}

/// How far a running job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Units finished.
    pub done: u64,
    /// Units in all, when known.
    pub total: Option<u64>,
    /// What is happening, in a few words, without personal data.
    pub note: String,
}

/// A kind of effect: something that must leave the system, with all that must be decided once per kind.
///
/// `KIND` never changes once released.
pub trait EffectKind: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Stable name, `noun.verb`.
    const KIND: &'static str;
    /// Attempts before it is dead, from 1.
    const MAX_ATTEMPTS: u16;
    /// Wall-clock limit of one attempt.
    const TIMEOUT: Duration;
    /// Bound of the random wait before the second attempt; doubles with every further one, up to an hour.
    const BACKOFF: Duration = Duration::from_secs(5);
}

/// What to send.
#[derive(Clone, Debug)]
pub struct EffectSpec {
    /// Id of the new effect.
    pub id: EffectId,
    /// [`EffectKind::KIND`].
    pub kind: &'static str,
    /// One effect per workspace, kind and key, however often it is decided. Travels to the receiver, so that it can tell a
    /// repeated attempt from another effect.
    pub key: String,
    /// The payload as JSON.
    pub payload: serde_json::Value,
    /// Earliest attempt; `None` is now.
    pub run_at: Option<DateTime<Utc>>,
    /// Attempts before it is dead.
    pub max_attempts: u16,
    /// Wall-clock limit of one attempt.
    pub timeout: Duration,
    /// W3C trace context of the request that asked for it.
    pub traceparent: Option<String>,
}

impl EffectSpec {
    /// An effect of kind `E` that can be sent at once.
    pub fn new<E: EffectKind>(id: EffectId, key: impl Into<String>, payload: &E) -> Result<Self, PayloadError> {
        let payload = serde_json::to_value(payload).map_err(|source| PayloadError { kind: E::KIND, source })?;
        Ok(Self {
            id,
            kind: E::KIND,
            key: key.into(),
            payload,
            run_at: None,
            max_attempts: E::MAX_ATTEMPTS,
            timeout: E::TIMEOUT,
            traceparent: None,
        })
    }
}

/// What becomes of ticks that no worker was there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// They are left out.
    Skip,
    /// The last of them runs.
    One,
    /// Every one of them runs.
    All,
}

impl CatchUp {
    /// The name in SQL and in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::One => "one",
            Self::All => "all",
        }
    }
}

/// A job that comes by the calendar, in every workspace.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Stable name, one schedule each.
    pub name: &'static str,
    /// Cron expression of five fields, or six with seconds first.
    pub spec: String,
    /// IANA name of the time zone in which the expression is read, e.g. `Europe/Berlin`.
    pub time_zone: String,
    /// What becomes of missed ticks.
    pub catch_up: CatchUp,
    /// [`JobKind::KIND`].
    pub kind: &'static str,
    /// [`JobKind::QUEUE`].
    pub queue: QueueName,
    /// The payload as JSON.
    pub payload: serde_json::Value,
    /// [`JobKind::PAYLOAD_VERSION`].
    pub payload_version: i16,
    /// Smaller runs first.
    pub priority: i16,
    /// Attempts before it becomes a dead letter.
    pub max_attempts: u16,
    /// Wall-clock limit of one attempt.
    pub timeout: Duration,
}

impl Schedule {
    /// Jobs of kind `K` at the ticks of `spec` in UTC; of missed ticks, the last runs.
    pub fn new<K: JobKind>(name: &'static str, spec: impl Into<String>, payload: &K) -> Result<Self, PayloadError> {
        let payload = serde_json::to_value(payload).map_err(|source| PayloadError { kind: K::KIND, source })?;
        Ok(Self {
            name,
            spec: spec.into(),
            time_zone: "UTC".to_owned(),
            catch_up: CatchUp::One,
            kind: K::KIND,
            queue: K::QUEUE,
            payload,
            payload_version: K::PAYLOAD_VERSION,
            priority: K::PRIORITY,
            max_attempts: K::MAX_ATTEMPTS,
            timeout: K::TIMEOUT,
        })
    }
}
