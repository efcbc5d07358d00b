//! One execution: handler, limits, and what its end means for the job.

use crate::backend::Delivery;
use crate::claims::{Held, Stop};
use crate::context::{Completed, JobContext};
use crate::error::{JobError, chain};
use crate::failpoints::fail_point;
use crate::worker::Shared;
use carrel_storage::jobs::{self, AttemptEnd, ClaimedJob, Ended};
use futures::FutureExt;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// Runs the job and records how it ended. Never fails: what cannot be recorded is left to the lease.
pub(crate) async fn execute(shared: Arc<Shared>, delivery: Delivery) {
    let Delivery { job, hold, slot } = delivery;
    let span = (shared.span)(&job);
    async {
        let started = Instant::now();
        let (kind, queue) = (job.kind.clone(), job.queue.as_str());
        metrics::counter!("carrel_jobs_started_total", "kind" => kind.clone(), "queue" => queue).increment(1);
        metrics::histogram!("carrel_job_wait_seconds", "queue" => queue).record(job.waited);
        let outcome = attempt(&shared, job, &hold.held).await;
        metrics::counter!("carrel_jobs_finished_total", "kind" => kind.clone(), "queue" => queue, "outcome" => outcome)
            .increment(1);
        metrics::histogram!("carrel_job_duration_seconds", "kind" => kind, "queue" => queue).record(started.elapsed());
    }
    .instrument(span)
    .await;
    drop(hold);
    drop(slot);
}

enum Verdict {
    Completed,
    Error(JobError),
    Abandoned,
}

/// Answers the outcome's name.
async fn attempt(shared: &Shared, job: ClaimedJob, held: &Arc<Held>) -> &'static str {
    let cx = JobContext::new(job, shared.database.clone(), Arc::clone(held), shared.completer.clone());
    let verdict = run(shared, &cx, held).await;
    held.ending();
    let job = cx.job();
    match verdict {
        Verdict::Completed => {
            tracing::debug!(attempt = job.attempt, "job completed");
            "completed"
        }
        Verdict::Abandoned => {
            tracing::warn!(attempt = job.attempt, "job released: the worker stops and the job did not");
            "released"
        }
        Verdict::Error(JobError::Stale) => stale(shared, job).await,
        Verdict::Error(error) => match held.stopped() {
            Some(Stop::Lost) => stale(shared, job).await,
            // Whatever it says, it was we who stopped it. Only a final failure stands.
            Some(Stop::Draining) if !matches!(error, JobError::Fail { .. }) => release(shared, job).await,
            _ => record(shared, job, error).await,
        },
    }
}

async fn release(shared: &Shared, job: &ClaimedJob) -> &'static str {
    match jobs::give_back(&shared.database, &[(job.id, job.claim)]).await {
        // It stays when its cancellation was requested in the meantime.
        Ok(0) => return record(shared, job, JobError::Cancelled).await,
        Ok(_) => tracing::info!(attempt = job.attempt, "job released: the worker stops"),
        Err(error) => tracing::warn!(error = %chain(&error), "job was not given back; its lease will run out"),
    }
    "released"
}

async fn run(shared: &Shared, cx: &JobContext, held: &Held) -> Verdict {
    let job = cx.job();
    let Some(handler) = shared.handlers.get(&job.kind) else {
        // The claim asks for known kinds only, so this is a fault of ours, not of the job.
        return Verdict::Error(JobError::retry("unknown_kind", format!("no handler for kind {}", job.kind)));
    };
    fail_point!("run.started");
    let handler = AssertUnwindSafe(handler.run(cx)).catch_unwind();
    let ended = tokio::select! {
        ended = tokio::time::timeout(job.timeout, handler) => ended,
        () = held.abandoned.cancelled() => return Verdict::Abandoned,
    };
    match ended {
        Ok(Ok(Ok(Completed { .. }))) => Verdict::Completed,
        Ok(Ok(Err(error))) => Verdict::Error(error),
        Ok(Err(panic)) => Verdict::Error(JobError::retry("panicked", panic_message(panic.as_ref()))),
        Err(_) => {
            // What the handler left running elsewhere should see it too.
            held.stop(Stop::TimedOut);
            let message = format!("it took longer than {} s", job.timeout.as_secs_f64());
            Verdict::Error(JobError::retry("timed_out", message))
        }
    }
}

pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the handler panicked").chars().take(500).collect()
}

async fn stale(shared: &Shared, job: &ClaimedJob) -> &'static str {
    match jobs::note_refusal(&shared.database, job, shared.identity.id).await {
        Ok(false) => {
            tracing::info!(attempt = job.attempt, "job completed; the answer to its commit had been lost");
            return "completed";
        }
        Ok(true) => {}
        // A record for people; the fence itself has held.
        Err(error) => tracing::debug!(error = %chain(&error), "the refusal was not noted"),
    }
    metrics::counter!("carrel_jobs_stale_total", "kind" => job.kind.clone(), "queue" => job.queue.as_str())
        .increment(1);
    tracing::warn!(attempt = job.attempt, "job execution discarded: its claim was lost");
    "stale"
}

async fn record(shared: &Shared, job: &ClaimedJob, error: JobError) -> &'static str {
    let end = match error {
        JobError::Retry { code, message, after } => AttemptEnd::Retry { code, message, after, base: shared.backoff },
        JobError::Fail { code, message } => AttemptEnd::Discard { code, message },
        JobError::Snooze(wait) => AttemptEnd::Snooze(wait),
        JobError::Cancelled | JobError::Stale => AttemptEnd::Cancel,
    };
    let deadline = Instant::now() + shared.identity.lease;
    let mut pause = Duration::from_millis(100);
    let ended = loop {
        match jobs::end_attempt(&shared.database, job.id, job.claim, &end).await {
            Ok(ended) => break ended,
            Err(error) if error.is_retryable() && Instant::now() + pause < deadline => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), "the end of a job was not recorded; its lease will run out");
                return "unrecorded";
            }
        }
    };
    let outcome = match (&ended, &end) {
        (Ended::Stale, _) => return stale(shared, job).await,
        (Ended::Waits, AttemptEnd::Snooze(_)) => "snoozed",
        (Ended::Waits, _) => "retryable",
        (Ended::Final(state), _) => state.as_str(),
    };
    match &end {
        AttemptEnd::Retry { code, message, .. } | AttemptEnd::Discard { code, message } => {
            tracing::warn!(attempt = job.attempt, outcome, code, message, "job attempt failed");
        }
        AttemptEnd::Snooze(_) | AttemptEnd::Cancel => {
            tracing::info!(attempt = job.attempt, outcome, "job attempt ended");
        }
    }
    if ended == Ended::Waits
        && let Some(lane) = shared.lane(job.queue)
    {
        // The queue has a new next due time.
        lane.announce();
    }
    outcome
}
