//! How a job says that it did not complete, and what can be wrong with a worker.

use carrel_storage::StorageError;
use std::time::Duration;

/// Why an attempt did not complete its job.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Try again, while attempts are left.
    #[error("{code}: {message}")]
    Retry {
        /// Stable code.
        code: String,
        /// For people, without document text.
        message: String,
        /// Wait before the next attempt; `None` is exponential backoff with full jitter.
        after: Option<Duration>,
    },
    /// Give up now: a dead letter.
    #[error("{code}: {message}")]
    Fail {
        /// Stable code.
        code: String,
        /// For people, without document text.
        message: String,
    },
    /// Not yet; try again after this time without charging the attempt.
    #[error("put off for {} s", .0.as_secs_f64())]
    Snooze(Duration),
    /// Stopped because [`crate::JobContext::cancellation`] asked for it.
    #[error("stopped on request")]
    Cancelled,
    /// The claim was lost; whatever was done has been rolled back.
    #[error("the claim on the job was lost")]
    Stale,
}

impl JobError {
    /// A failure worth another attempt after the usual backoff.
    pub fn retry(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Retry { code: code.into(), message: message.into(), after: None }
    }

    /// A failure that another attempt cannot mend.
    pub fn fail(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Fail { code: code.into(), message: message.into() }
    }
}

impl From<StorageError> for JobError {
    fn from(error: StorageError) -> Self {
        let code = match &error {
            StorageError::Unavailable(_) => "database_unavailable",
            StorageError::Conflict(_) => "transaction_conflict",
            StorageError::TimedOut(_) => "statement_timed_out",
            StorageError::Store(_) => "store_failed",
            StorageError::Constraint { .. } => "constraint_refused",
            StorageError::Inconsistent { .. } => "inconsistent_row",
            StorageError::Damaged { .. } => "original_damaged",
            _ => "database_refused",
        };
        let message = chain(&error);
        if error.is_retryable() { Self::retry(code, message) } else { Self::fail(code, message) }
    }
}

/// The error and its sources in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// What can be wrong with a worker's set-up.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The worker would serve nothing.
    #[error("the worker serves no queue; name at least one with a concurrency above 0")]
    NoQueue,
    /// Two handlers for one kind.
    #[error("kind {0} has two handlers")]
    DuplicateKind(&'static str),
    /// Two senders for one kind of effect.
    #[error("effect kind {0} has two senders")]
    DuplicateEffect(&'static str),
    /// A schedule that cannot be kept.
    #[error("schedule {name} cannot be kept: {problem}")]
    Schedule {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The lease is too short to be renewed in time.
    #[error("the lease of {} ms is shorter than 300 ms", .0.as_millis())]
    LeaseTooShort(Duration),
    /// The address of Redis cannot be read.
    #[error("the Redis address is not valid")]
    RedisAddress(#[source] redis::RedisError),
    /// The keeper's thread could not be started.
    #[error("the thread that keeps leases alive could not be started")]
    Keeper(#[source] std::io::Error),
    /// apalis gave up.
    #[error("the worker loop ended: {0}")]
    Loop(String),
}
