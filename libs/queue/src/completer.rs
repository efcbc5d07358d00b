//! Completes jobs that leave nothing but their result: many in one statement, one commit for all of them.

use crate::error::{JobError, chain};
use crate::worker::Shared;
use carrel_domain::{ClaimToken, JobId};
use carrel_storage::StorageError;
use carrel_storage::jobs;
use serde_json::Value;
use std::collections::HashSet;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Completions in one statement.
const BATCH: usize = 256;
/// First and longest wait before another try.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A job that is done, and who wants to know whether its claim was still held.
struct Ending {
    id: JobId,
    claim: ClaimToken,
    result: Value,
    answer: oneshot::Sender<Result<bool, JobError>>,
}

/// Where handlers hand in what is done.
#[derive(Clone, Debug)]
pub(crate) struct Completer {
    endings: mpsc::UnboundedSender<Ending>,
}

/// The other end, for [`run`].
pub(crate) struct Endings(mpsc::UnboundedReceiver<Ending>);

/// Unbounded, and still never longer than the worker's slots: every handler waits for its answer.
pub(crate) fn channel() -> (Completer, Endings) {
    let (endings, receiver) = mpsc::unbounded_channel();
    (Completer { endings }, Endings(receiver))
}

impl Completer {
    /// Answers whether the claim was still held, and so the job is completed.
    pub(crate) async fn complete(&self, id: JobId, claim: ClaimToken, result: Value) -> Result<bool, JobError> {
        let (answer, answered) = oneshot::channel();
        let gone = || JobError::retry("worker_stopped", "the worker stopped before the job was completed");
        self.endings.send(Ending { id, claim, result, answer }).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// Completes what is handed in until every [`Completer`] is gone. While one statement is under way, the next batch gathers.
pub(crate) async fn run(shared: &Shared, mut endings: Endings) {
    let mut batch = Vec::with_capacity(BATCH);
    while endings.0.recv_many(&mut batch, BATCH).await > 0 {
        let mut ends = Vec::with_capacity(batch.len());
        let mut answers = Vec::with_capacity(batch.len());
        for ending in batch.drain(..) {
            ends.push((ending.id, ending.claim, ending.result));
            answers.push((ending.claim, ending.answer));
        }
        let ended = complete(shared, &ends).await;
        for (claim, answer) in answers {
            let told = match &ended {
                Ok(held) => Ok(held.contains(&claim)),
                Err(error) if error.is_retryable() => Err(JobError::retry("database_unavailable", chain(error))),
                Err(error) => Err(JobError::fail("database_refused", chain(error))),
            };
            // A handler that timed out meanwhile no longer listens; the row says how it went.
            let _ = answer.send(told);
        }
    }
}

/// Tries for as long as the leases may hold. A second try after a lost answer finds the claim gone; whoever asks then
/// learns from the history that it was this claim that completed the job.
async fn complete(shared: &Shared, ends: &[(JobId, ClaimToken, Value)]) -> Result<HashSet<ClaimToken>, StorageError> {
    let deadline = Instant::now() + shared.identity.lease;
    let mut pause = PAUSE.0;
    loop {
        match jobs::finish(&shared.database, ends).await {
            Ok(held) => return Ok(held.into_iter().collect()),
            Err(error) if error.is_retryable() && Instant::now() + pause < deadline => {
                tracing::debug!(error = %chain(&error), jobs = ends.len(), "completions were not written; trying on");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
            }
            Err(error) => return Err(error),
        }
    }
}
