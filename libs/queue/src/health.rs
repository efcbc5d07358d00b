//! Whether the worker can do its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What the parts of a worker last saw.
#[derive(Debug)]
pub(crate) struct Vitals {
    born: Instant,
    lease: Duration,
    /// Milliseconds after `born`; 0 is never.
    renewed: AtomicU64,
    pub(crate) listening: AtomicBool,
    pub(crate) draining: AtomicBool,
    uses_redis: bool,
    pub(crate) redis: AtomicBool,
    /// Whether `redis` has been found out yet.
    pub(crate) redis_seen: AtomicBool,
}

impl Vitals {
    pub(crate) fn new(lease: Duration, uses_redis: bool) -> Self {
        Self {
            born: Instant::now(),
            lease,
            renewed: AtomicU64::new(0),
            listening: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            uses_redis,
            redis: AtomicBool::new(false),
            redis_seen: AtomicBool::new(false),
        }
    }

    pub(crate) fn renewed(&self) {
        let elapsed = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.renewed.store(elapsed.max(1), Ordering::Relaxed);
    }
}

/// A moment's answer of [`WorkerHealth::report`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerReport {
    /// Leases were renewed, or could have been, within the last lease.
    pub keeps_leases: bool,
    /// PostgreSQL's announcements arrive; without them jobs start a few seconds later.
    pub listening: bool,
    /// Redis answers; `None` without Redis. Without it jobs are claimed from PostgreSQL.
    pub redis: Option<bool>,
    /// The worker is stopping.
    pub draining: bool,
}

impl WorkerReport {
    /// True when the worker takes jobs.
    pub fn is_ready(&self) -> bool {
        self.keeps_leases && !self.draining
    }
}

/// A handle for readiness probes.
#[derive(Clone, Debug)]
pub struct WorkerHealth(pub(crate) Arc<Vitals>);

impl WorkerHealth {
    /// What the worker last saw.
    pub fn report(&self) -> WorkerReport {
        let vitals = &self.0;
        let renewed = vitals.renewed.load(Ordering::Relaxed);
        let now = u64::try_from(vitals.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        let lease = u64::try_from(vitals.lease.as_millis()).unwrap_or(u64::MAX);
        WorkerReport {
            keeps_leases: renewed > 0 && now.saturating_sub(renewed) < lease,
            listening: vitals.listening.load(Ordering::Relaxed),
            redis: vitals.uses_redis.then(|| vitals.redis.load(Ordering::Relaxed)),
            draining: vitals.draining.load(Ordering::Relaxed),
        }
    }
}
