//! What a handler has at hand.

use crate::claims::Held;
use crate::completer::Completer;
use crate::error::JobError;
use crate::failpoints::fail_point;
use carrel_domain::job::{EffectSpec, Progress};
use carrel_domain::{Actor, EffectId, OperationContext, RequestId, Scopes};
use carrel_storage::jobs::{self, ClaimedJob};
use carrel_storage::{Database, Transaction};
use serde_json::Value;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Least time between two writes of a job's progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// Proof that the job was completed; only [`JobContext::complete`] and [`JobContext::finish`] make it.
#[derive(Debug)]
pub struct Completed(());

/// One execution of one job.
#[derive(Debug)]
pub struct JobContext {
    job: ClaimedJob,
    database: Database,
    held: Arc<Held>,
    completer: Completer,
    started: Instant,
}

impl JobContext {
    pub(crate) fn new(job: ClaimedJob, database: Database, held: Arc<Held>, completer: Completer) -> Self {
        Self { job, database, held, completer, started: Instant::now() }
    }

    /// The job.
    pub fn job(&self) -> &ClaimedJob {
        &self.job
    }

    /// The context for operations on the job's behalf: its workspace, every scope, the database's time of now.
    pub fn operation(&self) -> OperationContext {
        let elapsed = chrono::Duration::from_std(self.started.elapsed()).unwrap_or_default();
        OperationContext {
            actor: Actor::Job { id: self.job.id },
            workspace: self.job.workspace,
            scopes: Scopes::all(),
            request_id: RequestId(self.job.claim.0),
            now: self.job.started_at + elapsed,
            traceparent: self.job.traceparent.clone(),
        }
    }

    /// Cancelled when the job should stop: on request, when its claim is lost, when its time is over, or when the
    /// process is stopping. Answer [`JobError::Cancelled`] then; what that means for the job is decided here.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.held.token
    }

    /// Fails with [`JobError::Cancelled`] when the job should stop.
    pub fn check_cancelled(&self) -> Result<(), JobError> {
        if self.held.token.is_cancelled() { Err(JobError::Cancelled) } else { Ok(()) }
    }

    /// Shows how far the job is, twice a second at most: nobody sees more, and a job that is over sooner writes none of it.
    pub async fn progress(&self, progress: Progress) {
        {
            let mut last = self.held.progress.lock().unwrap_or_else(PoisonError::into_inner);
            if last.unwrap_or(self.started).elapsed() < PROGRESS_INTERVAL {
                return;
            }
            *last = Some(Instant::now());
        }
        if let Err(error) = jobs::write_progress(&self.database, self.job.id, self.job.claim, &progress).await {
            // Losing a progress note is no reason to fail the job.
            tracing::debug!(job = %self.job.id, error = %crate::error::chain(&error), "progress was not written");
        }
    }

    /// Starts a transaction in the job's workspace. Its commit does not wait for the disk unless it decides an effect: should
    /// PostgreSQL go down at that moment, the job runs again ([`Database::begin_job`]).
    pub async fn begin(&self) -> Result<Transaction, JobError> {
        Ok(self.database.begin_job(self.job.workspace).await?)
    }

    /// Decides an effect in `transaction`: it is sent after the commit, and only then. A key that was used before answers
    /// the effect that there is.
    pub async fn effect(&self, transaction: &mut Transaction, mut spec: EffectSpec) -> Result<EffectId, JobError> {
        if spec.traceparent.is_none() {
            spec.traceparent.clone_from(&self.job.traceparent);
        }
        let id = spec.id;
        let ids = jobs::record_effects(transaction, &[spec], Some(self.job.id)).await?;
        Ok(ids.first().copied().unwrap_or(id))
    }

    /// Completes the job and commits `transaction`, with all that was written in it, in one step.
    ///
    /// Fails with [`JobError::Stale`] when the claim is no longer held; the transaction is rolled back then.
    pub async fn complete(&self, mut transaction: Transaction, result: Value) -> Result<Completed, JobError> {
        self.held.ending();
        if !jobs::complete(&mut transaction, self.job.id, self.job.claim, &result).await? {
            transaction.rollback().await?;
            return Err(JobError::Stale);
        }
        fail_point!("complete.before_commit");
        transaction.commit().await?;
        fail_point!("complete.committed");
        Ok(Completed(()))
    }

    /// Completes a job that leaves nothing but `result`. Completions of several jobs share a statement and a commit, so this
    /// costs a fraction of [`JobContext::complete`] with an empty transaction.
    ///
    /// Fails with [`JobError::Stale`] when the claim is no longer held.
    pub async fn finish(&self, result: Value) -> Result<Completed, JobError> {
        fail_point!("complete.before_commit");
        self.held.ending();
        if !self.completer.complete(self.job.id, self.job.claim, result).await? {
            return Err(JobError::Stale);
        }
        fail_point!("complete.committed");
        Ok(Completed(()))
    }
}
