//! Jobs, as those who wait for them see them.

use crate::{Answer, CursorKey, Listing, Once, OperationError, Operations, Resource};
use carrel_domain::{JobId, OperationContext, Scope};
use carrel_storage::jobs::{self, Cancelled, Explanation, Job, JobFilter, Retried};
use carrel_storage::{After, access};
use serde_json::json;
use std::time::Duration;

/// A worker that was not seen for so long does not count as serving.
const WORKER_ALIVE: Duration = Duration::from_secs(60);
/// Dead letters replayed in one transaction.
const REPLAY_BATCH: u32 = 500;

impl Operations {
    /// Jobs, newest first.
    pub async fn list_jobs(
        &self,
        context: &OperationContext,
        filter: &JobFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Listing<Job>, OperationError> {
        context.require(Scope::JobsRead)?;
        let conditions = format!("{filter:?}");
        let key = CursorKey::new("jobs", &[&conditions]);
        let after = cursor.map(|text| key.decode(text)).transpose()?;
        let limit = self.page_size(limit)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let before = after.map(|after| JobId(after.id));
        let mut rows = jobs::list(&mut transaction, filter, before, limit + 1).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let last = rows.last().filter(|_| more).map(|job| After { at: job.created_at, id: job.id.0 });
        Ok(Listing { rows, next: last.map(|after| key.encode(after)) })
    }

    /// One job with its attempts, and why it waits.
    pub async fn explain_job(&self, context: &OperationContext, id: JobId) -> Result<Explanation, OperationError> {
        context.require(Scope::JobsRead)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        jobs::explain(&mut transaction, id, WORKER_ALIVE).await?.ok_or(OperationError::NotFound(Resource::Job))
    }

    /// Runs a job again: one that waits for its next attempt starts now; one that ended is replayed as a new job, whose
    /// id is answered.
    pub async fn retry_job(
        &self,
        context: &OperationContext,
        id: JobId,
        once: Once<'_, JobId>,
    ) -> Result<Answer<JobId>, OperationError> {
        context.require(Scope::JobsWrite)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        if let Some(reply) = once.claim(&mut transaction, context.now).await? {
            return Ok(Answer::Repeated(reply));
        }
        let retried = jobs::retry(&mut transaction, id, self.new_id(), &context.actor).await?;
        let answer = match retried.ok_or(OperationError::NotFound(Resource::Job))? {
            Retried::Hastened => id,
            Retried::Replayed(new) => new,
            Retried::Refused(state) => {
                return Err(OperationError::JobState { state: state.as_str(), wanted: "retried" });
            }
        };
        access::audit(&mut transaction, context, "retry_job", Some(id.0), json!({ "job": answer })).await?;
        once.commit(transaction, context.now, answer).await
    }

    /// Replays up to 500 dead letters, oldest first, of `kind` or of every kind; answers each with the job that now stands for
    /// it. Those that were replayed before are left out, so calling again goes on where this call ended.
    pub async fn retry_dead_jobs(
        &self,
        context: &OperationContext,
        kind: Option<&str>,
        once: Once<'_, Vec<(JobId, JobId)>>,
    ) -> Result<Answer<Vec<(JobId, JobId)>>, OperationError> {
        context.require(Scope::JobsWrite)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        if let Some(reply) = once.claim(&mut transaction, context.now).await? {
            return Ok(Answer::Repeated(reply));
        }
        let replayed =
            jobs::replay_dead(&mut transaction, kind, REPLAY_BATCH, &context.actor, || self.new_id()).await?;
        let details = json!({ "kind": kind, "jobs": replayed.len() });
        access::audit(&mut transaction, context, "retry_dead_jobs", None, details).await?;
        once.commit(transaction, context.now, replayed).await
    }

    /// Cancels a job: at once when it waits, as soon as it notices when it runs.
    pub async fn cancel_job(
        &self,
        context: &OperationContext,
        id: JobId,
        once: Once<'_, ()>,
    ) -> Result<Answer<()>, OperationError> {
        context.require(Scope::JobsWrite)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        if let Some(reply) = once.claim(&mut transaction, context.now).await? {
            return Ok(Answer::Repeated(reply));
        }
        match jobs::cancel(&mut transaction, id).await?.ok_or(OperationError::NotFound(Resource::Job))? {
            Cancelled::AtOnce { .. } | Cancelled::Requested => {}
            Cancelled::Refused(state) => {
                return Err(OperationError::JobState { state: state.as_str(), wanted: "cancelled" });
            }
        }
        access::audit(&mut transaction, context, "cancel_job", Some(id.0), json!({})).await?;
        once.commit(transaction, context.now, ()).await
    }
}
