//! Fills the free slots of one queue with claimed jobs.

use crate::backend::{Delivery, Inbox};
use crate::carrier::Carrier;
use crate::error::chain;
use crate::worker::Shared;
use carrel_domain::JobId;
use carrel_domain::job::QueueName;
use carrel_storage::StorageError;
use carrel_storage::jobs::{self, ClaimedJob};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// First wait when due jobs exist but neighbours hold them.
const CONTENDED: Duration = Duration::from_millis(5);
/// First and longest wait after an error of PostgreSQL.
const ERROR_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How long Redis may be away before jobs are claimed without it.
const REDIS_PATIENCE: Duration = Duration::from_secs(5);
/// How long an id may be on its way before it is sent again.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(30);
/// The same when the list is empty, so that the id must have been popped or lost.
const EMPTY_PATIENCE: Duration = Duration::from_secs(1);

/// One queue that this worker serves.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) queue: QueueName,
    pub(crate) concurrency: usize,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) slots: Arc<Semaphore>,
    /// Cancelled when the fetcher has ended and nothing unstarted is left.
    pub(crate) fetched: CancellationToken,
    wake: Notify,
    pump: Notify,
    /// The last dispatch filled its window, so PostgreSQL may have more.
    more: AtomicBool,
}

impl Lane {
    pub(crate) fn new(queue: QueueName, concurrency: usize) -> Self {
        Self {
            queue,
            concurrency,
            inbox: Arc::new(Inbox::default()),
            slots: Arc::new(Semaphore::new(concurrency)),
            fetched: CancellationToken::new(),
            wake: Notify::new(),
            pump: Notify::new(),
            more: AtomicBool::new(false),
        }
    }

    /// Something may have become due, or the next due time has changed.
    pub(crate) fn announce(&self) {
        self.wake.notify_one();
        self.pump.notify_one();
    }

    fn window(&self) -> usize {
        (self.concurrency * 8).min(1000)
    }
}

/// Fetches until `stop`, then gives back what has not started.
pub(crate) async fn fetch(shared: &Arc<Shared>, lane: &Lane, stop: &CancellationToken) {
    let mut pauses = Pauses::default();
    let mut redis_away: Option<Instant> = None;
    loop {
        let slot = tokio::select! {
            () = stop.cancelled() => break,
            slot = Arc::clone(&lane.slots).acquire_owned() => slot,
        };
        let Ok(mut slots) = slot else { break };
        let free = u32::try_from(lane.slots.available_permits()).unwrap_or(u32::MAX);
        if let Ok(more) = Arc::clone(&lane.slots).try_acquire_many_owned(free) {
            slots.merge(more);
        }
        match &shared.carrier {
            Some(carrier) if redis_away.is_none_or(|since| since.elapsed() < REDIS_PATIENCE) || carrier.is_back().await => {
                let popped = tokio::select! {
                    () = stop.cancelled() => break,
                    popped = carrier.pop(lane.queue, slots.num_permits()) => popped,
                };
                match popped {
                    Ok(popped) => {
                        if redis_away.take().is_some() {
                            tracing::info!(queue = %lane.queue, "Redis is back");
                        }
                        shared.vitals.redis.store(true, Ordering::Relaxed);
                        let hungry = popped.ids.len() < slots.num_permits();
                        if popped.nudged || (hungry && lane.more.load(Ordering::Relaxed)) {
                            lane.pump.notify_one();
                        }
                        claim_popped(shared, lane, slots, &popped.ids, stop).await;
                    }
                    Err(error) => {
                        shared.vitals.redis.store(false, Ordering::Relaxed);
                        if redis_away.is_none() {
                            tracing::warn!(queue = %lane.queue, error = %chain(&error), "Redis is away");
                            redis_away = Some(Instant::now());
                        }
                        drop(slots);
                        rest(lane, ERROR_PAUSE.0, stop).await;
                    }
                }
            }
            _ => claim_due(shared, lane, slots, &mut pauses, stop).await,
        }
    }
    let unstarted = lane.inbox.take_all();
    let claims: Vec<_> = unstarted.iter().map(|delivery| (delivery.job.id, delivery.job.claim)).collect();
    if let Err(error) = jobs::give_back(&shared.database, &claims).await {
        tracing::warn!(jobs = claims.len(), error = %chain(&error), "unstarted jobs were not given back; their leases will run out");
    }
    lane.fetched.cancel();
}

#[derive(Default)]
struct Pauses {
    contended: Option<Duration>,
    failing: Option<Duration>,
}

/// Claims what PostgreSQL holds due, or waits until there may be something.
async fn claim_due(
    shared: &Arc<Shared>,
    lane: &Lane,
    slots: OwnedSemaphorePermit,
    pauses: &mut Pauses,
    stop: &CancellationToken,
) {
    let claimed = jobs::claim_next(&shared.database, &shared.identity, lane.queue, slots.num_permits()).await;
    match claimed {
        Ok(claimed) if !claimed.is_empty() => {
            *pauses = Pauses::default();
            deliver(shared, lane, slots, claimed);
        }
        Ok(_) => {
            drop(slots);
            pauses.failing = None;
            // Polling is the fallback, so a failure to ask is as good as not knowing.
            let due = jobs::next_due(&shared.database, &shared.identity, lane.queue).await.unwrap_or_default();
            let wait = match due {
                Some(Duration::ZERO) => {
                    let wait = pauses.contended.map_or(CONTENDED, |last| last * 2);
                    wait.min(shared.poll)
                }
                Some(wait) => wait.min(shared.poll),
                None => shared.poll,
            };
            pauses.contended = (due == Some(Duration::ZERO)).then_some(wait);
            rest(lane, wait, stop).await;
        }
        Err(error) => {
            drop(slots);
            let wait = failed(&mut pauses.failing, lane, &error);
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

/// Claims what Redis brought. While PostgreSQL is away the ids are kept.
async fn claim_popped(
    shared: &Arc<Shared>,
    lane: &Lane,
    slots: OwnedSemaphorePermit,
    ids: &[JobId],
    stop: &CancellationToken,
) {
    if ids.is_empty() {
        return;
    }
    let mut failing = None;
    loop {
        match jobs::claim(&shared.database, &shared.identity, lane.queue, ids).await {
            Ok(claimed) => {
                let refused = ids.len() - claimed.len();
                if refused > 0 {
                    metrics::counter!("carrel_jobs_refused_total", "queue" => lane.queue.as_str()).increment(refused as u64);
                }
                deliver(shared, lane, slots, claimed);
                return;
            }
            Err(error) => {
                let wait = failed(&mut failing, lane, &error);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    }
}

fn failed(failing: &mut Option<Duration>, lane: &Lane, error: &StorageError) -> Duration {
    if failing.is_none() {
        tracing::warn!(queue = %lane.queue, error = %chain(error), "jobs cannot be claimed; trying on");
    }
    let wait = failing.map_or(ERROR_PAUSE.0, |last| last * 2).min(ERROR_PAUSE.1);
    *failing = Some(wait);
    wait
}

fn deliver(shared: &Arc<Shared>, lane: &Lane, mut slots: OwnedSemaphorePermit, claimed: Vec<ClaimedJob>) {
    let mut deliveries = Vec::with_capacity(claimed.len());
    for job in claimed {
        let hold = shared.claims.hold(job.id, job.claim, job.timeout);
        // PostgreSQL never answers more jobs than it was asked for.
        let Some(slot) = slots.split(1) else { break };
        deliveries.push(Delivery { job, hold, slot });
    }
    lane.inbox.put(deliveries);
}

async fn rest(lane: &Lane, wait: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = lane.wake.notified() => {}
        () = tokio::time::sleep(wait) => {}
    }
}

/// Keeps Redis' list of the queue filled from PostgreSQL until `stop`.
pub(crate) async fn pump(shared: &Shared, carrier: &Carrier, lane: &Lane, stop: &CancellationToken) {
    let mut failing = false;
    loop {
        let wait = match pump_once(shared, carrier, lane).await {
            Ok(wait) => {
                failing = false;
                wait
            }
            Err(error) => {
                if !failing {
                    tracing::warn!(queue = %lane.queue, error = %chain(error.as_ref()), "jobs cannot be dispatched; trying on");
                }
                failing = true;
                Duration::from_millis(500)
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = lane.pump.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn pump_once(
    shared: &Shared,
    carrier: &Carrier,
    lane: &Lane,
) -> Result<Duration, Box<dyn std::error::Error + Send + Sync>> {
    let waiting = carrier.len(lane.queue).await?;
    let window = lane.window();
    if waiting > window / 2 {
        return Ok(EMPTY_PATIENCE);
    }
    let patience = if waiting == 0 { EMPTY_PATIENCE } else { DELIVERY_PATIENCE };
    let room = window - waiting;
    let ids = jobs::dispatch(&shared.database, &shared.identity, lane.queue, room, patience).await?;
    lane.more.store(ids.len() == room, Ordering::Relaxed);
    if !ids.is_empty() {
        carrier.push(lane.queue, &ids).await?;
        return Ok(EMPTY_PATIENCE);
    }
    let due = jobs::next_due(&shared.database, &shared.identity, lane.queue).await?;
    Ok(match due {
        // Sent and not yet taken, or held up: look whether it was lost.
        Some(Duration::ZERO) => EMPTY_PATIENCE,
        Some(wait) => wait.min(shared.poll),
        None => shared.poll,
    })
}
