//! The claims that this process holds, and why an execution should stop.

use carrel_domain::{ClaimToken, JobId};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How much longer than its timeout an execution that does not yield keeps its lease.
const OVERTIME: Duration = Duration::from_secs(30);

/// Why an execution was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Someone cancelled the job.
    Requested,
    /// Another worker may hold the job by now.
    Lost,
    /// This process is stopping.
    Draining,
    /// The attempt took too long.
    TimedOut,
}

/// One claim that is held.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) id: JobId,
    pub(crate) claim: ClaimToken,
    pub(crate) token: CancellationToken,
    /// Set when the process no longer waits for the handler.
    pub(crate) abandoned: CancellationToken,
    stop: OnceLock<Stop>,
    /// Set when the end of the attempt is being written, by a statement that looks at the claim itself.
    ending: AtomicBool,
    renew_until: Instant,
    /// When progress was last written.
    pub(crate) progress: Mutex<Option<Instant>>,
}

impl Held {
    /// Asks the execution to stop; the first reason counts.
    pub(crate) fn stop(&self, reason: Stop) {
        // A second reason changes nothing.
        let _ = self.stop.set(reason);
        self.token.cancel();
    }

    /// Says that the claim may be gone from now on because the attempt has ended.
    pub(crate) fn ending(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    pub(crate) fn stopped(&self) -> Option<Stop> {
        self.stop.get().copied()
    }
}

/// Every claim of the process.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    held: Mutex<HashMap<ClaimToken, Arc<Held>>>,
}

impl Claims {
    fn lock(&self) -> MutexGuard<'_, HashMap<ClaimToken, Arc<Held>>> {
        // Every critical section below leaves the map whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds the claim until the guard is dropped.
    pub(crate) fn hold(self: &Arc<Self>, id: JobId, claim: ClaimToken, timeout: Duration) -> Hold {
        let held = Arc::new(Held {
            id,
            claim,
            token: CancellationToken::new(),
            abandoned: CancellationToken::new(),
            stop: OnceLock::new(),
            ending: AtomicBool::new(false),
            renew_until: Instant::now() + timeout + OVERTIME,
            progress: Mutex::new(None),
        });
        self.lock().insert(claim, Arc::clone(&held));
        Hold { claims: Arc::clone(self), held }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Held>> {
        self.lock().values().cloned().collect()
    }

    /// The claims to renew: not those whose handler has long outlived its limit.
    pub(crate) fn to_renew(&self) -> Vec<(JobId, ClaimToken)> {
        let now = Instant::now();
        self.lock().values().filter(|held| held.renew_until > now).map(|held| (held.id, held.claim)).collect()
    }

    /// Stops those of `asked` that were not renewed, but for those whose own end has just been written.
    pub(crate) fn lose(&self, asked: &[(JobId, ClaimToken)], renewed: &HashSet<ClaimToken>) -> usize {
        let held = self.lock();
        let lost = asked.iter().filter(|(_, claim)| !renewed.contains(claim)).filter_map(|(_, claim)| held.get(claim));
        let mut count = 0;
        for claim in lost.filter(|claim| !claim.ending.load(Ordering::Relaxed)) {
            if claim.stopped() != Some(Stop::Lost) {
                count += 1;
            }
            claim.stop(Stop::Lost);
        }
        count
    }

    pub(crate) fn stop(&self, claim: ClaimToken, reason: Stop) {
        if let Some(held) = self.lock().get(&claim) {
            held.stop(reason);
        }
    }

    pub(crate) fn stop_job(&self, id: JobId, reason: Stop) {
        for held in self.lock().values().filter(|held| held.id == id) {
            held.stop(reason);
        }
    }

    pub(crate) fn stop_all(&self, reason: Stop) {
        for held in self.lock().values() {
            held.stop(reason);
        }
    }
}

/// Holds a claim; dropping it lets the lease run out unless the job has ended.
#[derive(Debug)]
pub(crate) struct Hold {
    claims: Arc<Claims>,
    pub(crate) held: Arc<Held>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.claims.lock().remove(&self.held.claim);
    }
}

#[cfg(test)]
mod tests {
    use super::{Claims, Stop};
    use carrel_domain::{ClaimToken, JobId};
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::time::Duration;
    use uuid::Uuid;

    #[test]
    fn a_claim_that_ends_itself_is_not_lost() {
        let claims = Arc::new(Claims::default());
        let [ended, taken] =
            [1, 2].map(|n| claims.hold(JobId(Uuid::from_u128(n)), ClaimToken(Uuid::from_u128(n)), Duration::ZERO));
        let asked = claims.to_renew();
        ended.held.ending();
        assert_eq!(claims.lose(&asked, &HashSet::new()), 1);
        assert_eq!(taken.held.stopped(), Some(Stop::Lost));
        assert_eq!(ended.held.stopped(), None);
    }
}
