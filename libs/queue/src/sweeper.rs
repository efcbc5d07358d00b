//! Periodic work of every worker: expired leases, jobs that nobody can run, old jobs, figures. No leader: rows are
//! skipped where a neighbour is at work.

use crate::claims::Stop;
use crate::error::chain;
use crate::worker::Shared;
use carrel_storage::StorageError;
use carrel_storage::jobs::{self, Signal, Signals};
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often old jobs are looked for.
const RETENTION_PERIOD: Duration = Duration::from_hours(1);
/// How often the depths are counted.
const DEPTHS_PERIOD: Duration = Duration::from_secs(15);
/// What reads every waiting job may take this part of the time at most.
const SHARE: u32 = 20;

/// Sweeps until `stop`.
pub(crate) async fn sweep(shared: &Shared, stop: &CancellationToken) {
    let period = (shared.identity.lease / 3).max(Duration::from_millis(100));
    let mut retained: Option<Instant> = None;
    let (mut counted, mut searched) = (Pace::new(DEPTHS_PERIOD), Pace::new(period));
    // A queue of ours that is empty says so from the beginning: no figure would look like no worker.
    let ours = shared.lanes.iter().map(|lane| (lane.queue.as_str().to_owned(), "available".to_owned()));
    let (mut gauges, mut effect_gauges) = (ours.collect::<HashSet<_>>(), HashSet::new());
    let mut failing = false;
    loop {
        let mut result = pass(shared).await;
        if result.is_ok() && searched.is_due() {
            let begun = Instant::now();
            result = discard_unservable(shared).await;
            searched.took(begun);
        }
        if result.is_ok() && counted.is_due() {
            let begun = Instant::now();
            result = publish_depths(shared, &mut gauges).await;
            if result.is_ok() {
                result = publish_effects(shared, &mut effect_gauges).await;
            }
            counted.took(begun);
        }
        if result.is_ok() && retained.is_none_or(|at| at.elapsed() >= RETENTION_PERIOD) {
            retained = Some(Instant::now());
            result = retain(shared).await;
        }
        match result {
            Ok(()) => failing = false,
            Err(error) => {
                if !failing {
                    tracing::warn!(error = %chain(&error), "the sweep failed; trying on");
                }
                failing = true;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(period) => {}
        }
    }
}

/// When to do again what takes the longer, the more jobs wait.
struct Pace {
    period: Duration,
    next: Instant,
}

impl Pace {
    fn new(period: Duration) -> Self {
        Self { period, next: Instant::now() }
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    fn took(&mut self, begun: Instant) {
        self.next = Instant::now() + self.period.max(begun.elapsed() * SHARE);
    }
}

async fn discard_unservable(shared: &Shared) -> Result<(), StorageError> {
    let identity = &shared.identity;
    let unservable =
        jobs::discard_unservable(&shared.database, identity, identity.lease * 2, shared.unservable_after).await?;
    if unservable > 0 {
        tracing::warn!(jobs = unservable, "discarded jobs that no worker can run");
    }
    Ok(())
}

async fn pass(shared: &Shared) -> Result<(), StorageError> {
    let swept = jobs::sweep(&shared.database).await?;
    if swept.revived + swept.discarded + swept.cancelled > 0 {
        metrics::counter!("carrel_jobs_crashed_total").increment(swept.revived + swept.discarded + swept.cancelled);
        tracing::warn!(
            revived = swept.revived,
            discarded = swept.discarded,
            cancelled = swept.cancelled,
            "ended executions whose worker had vanished"
        );
    }
    jobs::tidy_lists(&shared.database).await?;
    jobs::archive(&shared.database, jobs::LINGER).await?;
    let given_up = jobs::sweep_effects(&shared.database).await?;
    if given_up > 0 {
        tracing::warn!(effects = given_up, "gave up effects whose worker vanished at the last attempt");
    }
    Ok(())
}

/// Keeps the history: partitions for the days to come, none for days long gone.
async fn retain(shared: &Shared) -> Result<(), StorageError> {
    let made = jobs::prepare_history(&shared.database).await?;
    if made > 0 {
        tracing::debug!(partitions = made, "made partitions for the history of jobs");
    }
    let mut deleted = 0;
    loop {
        let batch = jobs::delete_finished(&shared.database, shared.keep_finished).await?;
        deleted += batch;
        if batch == 0 {
            break;
        }
    }
    if deleted > 0 {
        tracing::info!(jobs = deleted, "deleted old jobs");
    }
    while jobs::delete_settled(&shared.database, shared.keep_finished).await? > 0 {}
    Ok(())
}

async fn publish_depths(shared: &Shared, known: &mut HashSet<(String, String)>) -> Result<(), StorageError> {
    let depths = jobs::depths(&shared.database).await?;
    for (queue, state) in known.iter() {
        // A state that emptied has no row any more.
        metrics::gauge!("carrel_jobs_depth", "queue" => queue.clone(), "state" => state.clone()).set(0.0);
        metrics::gauge!("carrel_jobs_oldest_seconds", "queue" => queue.clone(), "state" => state.clone()).set(0.0);
    }
    for depth in depths {
        let (queue, state) = (depth.queue, depth.state);
        metrics::gauge!("carrel_jobs_depth", "queue" => queue.clone(), "state" => state.clone()).set(depth.jobs as f64);
        metrics::gauge!("carrel_jobs_oldest_seconds", "queue" => queue.clone(), "state" => state.clone())
            .set(depth.oldest.as_secs_f64());
        known.insert((queue, state));
    }
    Ok(())
}

async fn publish_effects(shared: &Shared, known: &mut HashSet<(String, String)>) -> Result<(), StorageError> {
    let depths = jobs::effect_depths(&shared.database).await?;
    for (kind, state) in known.iter() {
        metrics::gauge!("carrel_effects_depth", "kind" => kind.clone(), "state" => state.clone()).set(0.0);
        metrics::gauge!("carrel_effects_oldest_seconds", "kind" => kind.clone(), "state" => state.clone()).set(0.0);
    }
    for depth in depths {
        let (kind, state) = (depth.kind, depth.state);
        metrics::gauge!("carrel_effects_depth", "kind" => kind.clone(), "state" => state.clone())
            .set(depth.effects as f64);
        metrics::gauge!("carrel_effects_oldest_seconds", "kind" => kind.clone(), "state" => state.clone())
            .set(depth.oldest.as_secs_f64());
        known.insert((kind, state));
    }
    Ok(())
}

/// Hears PostgreSQL's announcements until `stop`.
pub(crate) async fn listen(shared: &Shared, stop: &CancellationToken) {
    let mut failing = false;
    loop {
        let error = tokio::select! {
            () = stop.cancelled() => return,
            Err(error) = hear(shared) => error,
        };
        shared.vitals.listening.store(false, Ordering::Relaxed);
        if !failing {
            tracing::warn!(error = %chain(&error), "PostgreSQL's announcements are not heard; looking every few seconds");
        }
        failing = !shared.vitals.listening.load(Ordering::Relaxed);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

async fn hear(shared: &Shared) -> Result<std::convert::Infallible, StorageError> {
    let mut signals = Signals::connect(&shared.database).await?;
    shared.vitals.listening.store(true, Ordering::Relaxed);
    // What was announced before we listened.
    shared.announce_all();
    loop {
        match signals.next().await? {
            Signal::Wake(queue) => {
                if let Some(lane) = shared.lane(queue) {
                    lane.announce();
                }
            }
            Signal::Cancel(id) => shared.claims.stop_job(id, Stop::Requested),
            Signal::Effects => shared.effects.notify_one(),
            Signal::Missed => shared.announce_all(),
        }
    }
}
