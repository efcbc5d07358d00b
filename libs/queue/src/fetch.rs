//! Fills the free slots of one queue with claimed jobs.

use crate::backend::{Delivery, Inbox};
use crate::carrier::{Carrier, Look};
use crate::error::chain;
use crate::failpoints::fail_point;
use crate::worker::Shared;
use carrel_domain::JobId;
use carrel_domain::job::QueueName;
use carrel_storage::StorageError;
use carrel_storage::jobs::{self, ClaimedJob};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// First wait when due jobs exist but neighbours hold them.
const CONTENDED: Duration = Duration::from_millis(5);
/// First and longest wait after an error of PostgreSQL.
const ERROR_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How long an id may be on its way before it is sent again.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(30);
/// The same when the list is empty, so that the id must have been popped or lost.
const EMPTY_PATIENCE: Duration = Duration::from_millis(300);
/// How often to look at a list that has ids.
const FILLED_PAUSE: Duration = Duration::from_secs(1);
/// How soon to look again when a neighbour was filling the list.
const NEIGHBOUR_PAUSE: Duration = Duration::from_millis(20);
/// How long to gather free slots while more is due than can be taken: one claim of many jobs costs hardly more than one of
/// one.
const GATHER: Duration = Duration::from_millis(3);
/// How often to look whether an absent Redis is back.
const PROBE_PAUSE: Duration = Duration::from_millis(500);

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
    /// The last claim took all that it could, so more may be due.
    pressed: AtomicBool,
    /// About how many ids are left in Redis; neighbours take some too.
    stock: AtomicUsize,
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
            pressed: AtomicBool::new(false),
            stock: AtomicUsize::new(0),
        }
    }

    /// Something may have become due, or the next due time has changed.
    pub(crate) fn announce(&self) {
        self.wake.notify_one();
        self.pump.notify_one();
    }

    /// Adds the other free slots; while more is due than can be taken, waits a moment for half of all.
    async fn gather(&self, slots: &mut OwnedSemaphorePermit) {
        let missing = (self.concurrency / 2).saturating_sub(slots.num_permits() + self.slots.available_permits());
        if missing > 0 && self.pressed.load(Ordering::Relaxed) {
            let wanted = u32::try_from(missing + self.slots.available_permits()).unwrap_or(u32::MAX);
            let freed = tokio::time::timeout(GATHER, Arc::clone(&self.slots).acquire_many_owned(wanted)).await;
            if let Ok(Ok(freed)) = freed {
                slots.merge(freed);
            }
        }
        let free = u32::try_from(self.slots.available_permits()).unwrap_or(u32::MAX);
        if let Ok(more) = Arc::clone(&self.slots).try_acquire_many_owned(free) {
            slots.merge(more);
        }
    }

    /// Takes `popped` ids off the stock and answers whether it wants to be filled up.
    fn runs_low(&self, popped: usize, hungry: bool) -> bool {
        let before = self.stock.load(Ordering::Relaxed);
        let left = if hungry { 0 } else { before.saturating_sub(popped) };
        self.stock.store(left, Ordering::Relaxed);
        self.more.load(Ordering::Relaxed) && left <= self.window() / 2
    }

    fn window(&self) -> usize {
        (self.concurrency * 16).clamp(32, 1000)
    }
}

/// Fetches until `stop`, then gives back what has not started.
pub(crate) async fn fetch(shared: &Arc<Shared>, lane: &Lane, stop: &CancellationToken) {
    let mut pauses = Pauses::default();
    loop {
        let slot = tokio::select! {
            () = stop.cancelled() => break,
            slot = Arc::clone(&lane.slots).acquire_owned() => slot,
        };
        let Ok(mut slots) = slot else { break };
        lane.gather(&mut slots).await;
        match &shared.carrier {
            Some(carrier) if shared.vitals.redis.load(Ordering::Relaxed) => {
                let popped = tokio::select! {
                    () = stop.cancelled() => break,
                    popped = carrier.pop(lane.queue, slots.num_permits()) => popped,
                };
                match popped {
                    Ok(popped) => {
                        if !popped.is_empty() {
                            fail_point!("fetch.popped");
                        }
                        let hungry = popped.len() < slots.num_permits();
                        lane.pressed.store(!hungry, Ordering::Relaxed);
                        if lane.runs_low(popped.len(), hungry) {
                            lane.pump.notify_one();
                        }
                        claim_popped(shared, lane, slots, &popped, stop).await;
                    }
                    // From now on PostgreSQL is asked itself; the pump finds out when Redis is back.
                    Err(error) => shared.redis_is(false, Some(&error)),
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
    let wanted = slots.num_permits();
    let claimed = jobs::claim_next(&shared.database, &shared.identity, lane.queue, wanted).await;
    lane.pressed.store(claimed.as_ref().is_ok_and(|claimed| claimed.len() == wanted), Ordering::Relaxed);
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
                    metrics::counter!("carrel_jobs_refused_total", "queue" => lane.queue.as_str())
                        .increment(refused as u64);
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
    if !claimed.is_empty() {
        fail_point!("fetch.claimed");
    }
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

/// Keeps Redis' list of the queue filled from PostgreSQL until `stop`, and watches whether Redis answers.
pub(crate) async fn pump(shared: &Shared, carrier: &Carrier, lane: &Lane, stop: &CancellationToken) {
    let mut failing = false;
    loop {
        let wait = match pump_once(shared, carrier, lane).await {
            Ok(wait) => {
                shared.redis_is(true, None);
                failing = false;
                wait
            }
            Err(PumpError::Redis(error)) => {
                shared.redis_is(false, Some(&error));
                PROBE_PAUSE
            }
            Err(PumpError::Storage(error)) => {
                if !failing {
                    tracing::warn!(queue = %lane.queue, error = %chain(&error), "jobs cannot be dispatched; trying on");
                }
                failing = true;
                PROBE_PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = lane.pump.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum PumpError {
    #[error("Redis failed")]
    Redis(#[from] redis::RedisError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Answers how long to wait unless something is announced.
async fn pump_once(shared: &Shared, carrier: &Carrier, lane: &Lane) -> Result<Duration, PumpError> {
    let look = carrier.look(lane.queue).await?;
    let window = lane.window();
    if look.waiting > window / 2 && !look.forgot {
        return Ok(FILLED_PAUSE);
    }
    let patience = match look {
        Look { forgot: true, .. } => Duration::ZERO,
        Look { waiting: 0, .. } => EMPTY_PATIENCE,
        Look { .. } => DELIVERY_PATIENCE,
    };
    let room = window.saturating_sub(look.waiting).max(1);
    let Some(ids) = jobs::dispatch(&shared.database, &shared.identity, lane.queue, room, patience).await? else {
        return Ok(NEIGHBOUR_PAUSE);
    };
    lane.more.store(ids.len() == room, Ordering::Relaxed);
    lane.stock.store(look.waiting + ids.len(), Ordering::Relaxed);
    if !ids.is_empty() {
        fail_point!("pump.dispatched");
        carrier.push(lane.queue, &ids).await?;
        fail_point!("pump.pushed");
    }
    if look.forgot {
        carrier.remember(lane.queue, &look).await?;
    }
    if !ids.is_empty() {
        return Ok(EMPTY_PATIENCE);
    }
    let due = jobs::next_due(&shared.database, &shared.identity, lane.queue).await?;
    Ok(match due {
        // Sent and not yet taken, or held up: look whether it was lost.
        Some(Duration::ZERO) if look.waiting == 0 => EMPTY_PATIENCE,
        Some(Duration::ZERO) => FILLED_PAUSE,
        Some(wait) => wait.min(shared.poll),
        None => shared.poll,
    })
}
