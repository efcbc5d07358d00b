//! Sends effects: what was decided in a transaction leaves the system here, with its key.
//!
//! An effect is sent at least once and carries the same key every time; a receiver that remembers keys acts once. It is
//! sent twice only when the process ends between the receiver's answer and our note of it.

use crate::error::chain;
use crate::failpoints::fail_point;
use crate::worker::Shared;
use async_trait::async_trait;
use carrel_domain::job::EffectKind;
use carrel_storage::jobs::{self, ClaimedEffect, EffectEnd, EffectState};
use futures::FutureExt;
use serde_json::Value;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// First and longest wait after an error of PostgreSQL.
const ERROR_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long the end of an attempt is tried to be recorded.
const RECORD_PATIENCE: Duration = Duration::from_secs(10);

/// Why an attempt to send did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// Try again, while attempts are left.
    #[error("{code}: {message}")]
    Retry {
        /// Stable code.
        code: String,
        /// For people, without document text.
        message: String,
        /// Wait before the next attempt, e.g. what the receiver asked for; `None` is exponential backoff with full jitter.
        after: Option<Duration>,
    },
    /// The receiver will never take it.
    #[error("{code}: {message}")]
    Refused {
        /// Stable code.
        code: String,
        /// For people, without document text.
        message: String,
    },
}

impl EffectError {
    /// A failure worth another attempt after the usual backoff.
    pub fn retry(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Retry { code: code.into(), message: message.into(), after: None }
    }

    /// A failure that another attempt cannot mend.
    pub fn refused(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Refused { code: code.into(), message: message.into() }
    }
}

/// Sends effects of kind `E`.
///
/// One effect may be sent more than once, always with the same [`ClaimedEffect::key`]: pass the key on (as
/// `Idempotency-Key`, `Message-ID`, `webhook-id`), so that the receiver acts once.
#[async_trait]
pub trait EffectSender<E: EffectKind>: Send + Sync + 'static {
    /// One attempt; answers what the receiver said.
    async fn send(&self, effect: &ClaimedEffect, payload: E) -> Result<Value, EffectError>;
}

/// A sender whose kind has been forgotten.
#[async_trait]
pub(crate) trait AnySender: Send + Sync + 'static {
    async fn send(&self, effect: &ClaimedEffect) -> Result<Value, EffectError>;
}

struct Typed<E, S> {
    sender: S,
    kind: PhantomData<fn() -> E>,
}

#[async_trait]
impl<E: EffectKind, S: EffectSender<E>> AnySender for Typed<E, S> {
    async fn send(&self, effect: &ClaimedEffect) -> Result<Value, EffectError> {
        let payload = serde_json::from_value(effect.payload.clone()).map_err(|error| {
            EffectError::refused("payload_unreadable", format!("the payload is no {}: {error}", E::KIND))
        })?;
        self.sender.send(effect, payload).await
    }
}

/// Every kind of effect that a worker can send.
#[derive(Clone, Default)]
pub(crate) struct Senders {
    by_kind: HashMap<&'static str, (Duration, Arc<dyn AnySender>)>,
}

impl Senders {
    /// False when the kind has a sender already.
    pub(crate) fn add<E: EffectKind>(&mut self, sender: impl EffectSender<E>) -> bool {
        let sender: Arc<dyn AnySender> = Arc::new(Typed { sender, kind: PhantomData::<fn() -> E> });
        self.by_kind.insert(E::KIND, (E::BACKOFF, sender)).is_none()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_kind.is_empty()
    }

    fn kinds(&self) -> Vec<&'static str> {
        let mut kinds: Vec<_> = self.by_kind.keys().copied().collect();
        kinds.sort_unstable();
        kinds
    }
}

/// Sends effects until `stop`, then lets the attempts that run come to their end.
pub(crate) async fn dispatch(shared: &Arc<Shared>, stop: &CancellationToken) {
    if shared.senders.is_empty() {
        return;
    }
    let kinds = shared.senders.kinds();
    let slots = Arc::new(Semaphore::new(shared.effects_at_once));
    let attempts = TaskTracker::new();
    let mut failing: Option<Duration> = None;
    loop {
        let slot = tokio::select! {
            () = stop.cancelled() => break,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let Ok(mut free) = slot else { break };
        let more = u32::try_from(slots.available_permits()).unwrap_or(u32::MAX);
        if let Ok(more) = Arc::clone(&slots).try_acquire_many_owned(more) {
            free.merge(more);
        }
        let wait = match claim(shared, &kinds, free, &attempts).await {
            Ok(wait) => {
                failing = None;
                wait
            }
            Err(error) => {
                if failing.is_none() {
                    tracing::warn!(error = %chain(&error), "effects cannot be claimed; trying on");
                }
                let wait = failing.map_or(ERROR_PAUSE.0, |last| last * 2).min(ERROR_PAUSE.1);
                failing = Some(wait);
                Some(wait)
            }
        };
        if let Some(wait) = wait {
            tokio::select! {
                () = stop.cancelled() => break,
                () = shared.effects.notified(), if failing.is_none() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
    attempts.close();
    // What takes longer is sent again by another worker, with the same key.
    if tokio::time::timeout(shared.drain, attempts.wait()).await.is_err() {
        tracing::warn!(effects = attempts.len(), "effects were still being sent when the worker stopped");
    }
}

/// Answers how long to wait, if nothing was due.
async fn claim(
    shared: &Arc<Shared>,
    kinds: &[&str],
    mut free: OwnedSemaphorePermit,
    attempts: &TaskTracker,
) -> Result<Option<Duration>, carrel_storage::StorageError> {
    let claimed = jobs::claim_effects(&shared.database, shared.identity.id, kinds, free.num_permits()).await?;
    if claimed.is_empty() {
        let due = jobs::next_effect(&shared.database, kinds).await?;
        // Due and not claimed: a neighbour is at it.
        let wait = due.map_or(shared.poll, |due| due.max(Duration::from_millis(20)).min(shared.poll));
        return Ok(Some(wait));
    }
    for effect in claimed {
        // PostgreSQL never answers more effects than it was asked for.
        let Some(slot) = free.split(1) else { break };
        let shared = Arc::clone(shared);
        attempts.spawn(async move {
            attempt(&shared, &effect).await;
            drop(slot);
        });
    }
    Ok(None)
}

async fn attempt(shared: &Shared, effect: &ClaimedEffect) {
    let started = Instant::now();
    fail_point!("effect.before_send");
    let end = send(shared, effect).await;
    fail_point!("effect.sent");
    let deadline = Instant::now() + RECORD_PATIENCE;
    let mut pause = Duration::from_millis(100);
    let state = loop {
        match jobs::settle_effect(&shared.database, effect.id, effect.claim, &end).await {
            Ok(state) => break state,
            Err(error) if error.is_retryable() && Instant::now() + pause < deadline => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
            Err(error) => {
                tracing::error!(effect = %effect.id, kind = effect.kind, error = %chain(&error), "the end of an attempt to send was not recorded; it will be sent again");
                return;
            }
        }
    };
    fail_point!("effect.recorded");
    let outcome = match state {
        Some(EffectState::Sent) => "sent",
        Some(EffectState::Pending) => "retry",
        Some(EffectState::Dead) => "dead",
        None => "stale",
    };
    let kind = effect.kind.clone();
    metrics::counter!("carrel_effect_attempts_total", "kind" => kind.clone(), "outcome" => outcome).increment(1);
    metrics::histogram!("carrel_effect_duration_seconds", "kind" => kind).record(started.elapsed());
    match &end {
        EffectEnd::Retry { code, message, .. } | EffectEnd::Dead { code, message } => {
            tracing::warn!(effect = %effect.id, kind = effect.kind, attempt = effect.attempt, outcome, code, message, "an effect was not sent");
        }
        EffectEnd::Sent { .. } => {
            tracing::debug!(effect = %effect.id, kind = effect.kind, attempt = effect.attempt, outcome, "an effect was sent");
        }
    }
    if state == Some(EffectState::Pending) {
        // There is a new next due time.
        shared.effects.notify_one();
    }
}

async fn send(shared: &Shared, effect: &ClaimedEffect) -> EffectEnd {
    let Some((base, sender)) = shared.senders.by_kind.get(effect.kind.as_str()) else {
        // The claim asks for known kinds only, so this is a fault of ours, not of the effect.
        let message = format!("no sender for kind {}", effect.kind);
        return EffectEnd::Retry { code: "unknown_kind".to_owned(), message, after: None, base: ERROR_PAUSE.1 };
    };
    let retry =
        |code: &str, message: String| EffectEnd::Retry { code: code.to_owned(), message, after: None, base: *base };
    let sending = AssertUnwindSafe(sender.send(effect)).catch_unwind();
    match tokio::time::timeout(effect.timeout, sending).await {
        Ok(Ok(Ok(receipt))) => EffectEnd::Sent { receipt },
        Ok(Ok(Err(EffectError::Retry { code, message, after }))) => {
            EffectEnd::Retry { code, message, after, base: *base }
        }
        Ok(Ok(Err(EffectError::Refused { code, message }))) => EffectEnd::Dead { code, message },
        Ok(Err(panic)) => retry("panicked", crate::execute::panic_message(panic.as_ref())),
        Err(_) => retry("timed_out", format!("it took longer than {} s", effect.timeout.as_secs_f64())),
    }
}
