//! A streaming replica that may answer reads: how far it is behind, and whether that is near enough.
//!
//! Invariant: a read never goes to a replica that has not replayed everything the primary had written `max_lag` ago. The
//! clocks of the servers do not matter: positions in the primary's log are noted together with this process's time, and
//! the newest of them that the replica has reached tells how old its answers are. (`pg_last_xact_replay_timestamp()` grows on
//! a primary that nobody writes to, and a replica that lost its connection believes that it is up to date.)

use sqlx::PgPool;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// How often positions are compared.
const PERIOD: Duration = Duration::from_secs(1);
/// How long each server may take to tell its position.
const PATIENCE: Duration = Duration::from_secs(2);

/// The replica's connections, and what is known of its age.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) pool: PgPool,
    max_lag: Duration,
    watched: AtomicBool,
    /// The moment whose state of the primary the replica is known to hold.
    reached: Mutex<Option<Instant>>,
}

impl Replica {
    pub(crate) fn new(pool: PgPool, max_lag: Duration) -> Self {
        Self { pool, max_lag, watched: AtomicBool::new(false), reached: Mutex::new(None) }
    }

    /// Whether a read may go there now. The first call begins to watch; until positions were compared, it may not.
    pub(crate) fn is_near(self: &Arc<Self>, primary: &PgPool) -> bool {
        if !self.watched.swap(true, Ordering::Relaxed) {
            tokio::spawn(watch(Arc::downgrade(self), primary.clone()));
        }
        let reached = *self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.is_some_and(|reached| reached.elapsed() <= self.max_lag)
    }

    /// No further reads until positions were compared again.
    pub(crate) fn distrust(&self) {
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn compare(&self, primary: &PgPool, noted: &mut VecDeque<(Instant, i64)>) {
        // Taken before the primary is asked, so that the answer is at least this new.
        let now = Instant::now();
        if let Ok(Ok(written)) = timeout(PATIENCE, position(primary, WRITTEN)).await
            && let Some(written) = written
        {
            noted.push_back((now, written));
        }
        let replayed = timeout(PATIENCE, position(&self.pool, REPLAYED)).await;
        let replayed = replayed.ok().and_then(Result::ok).flatten();
        let reached = replayed.and_then(|replayed| newest(noted, replayed));
        // What is older than any read may be is of no use, except for the age that people are told.
        while noted.len() > 1 && noted.front().is_some_and(|(at, _)| at.elapsed() > self.max_lag * 2) {
            noted.pop_front();
        }
        let lag = reached.map_or(f64::INFINITY, |reached| reached.elapsed().as_secs_f64());
        metrics::gauge!("carrel_database_replica_lag_seconds").set(lag);
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = reached;
    }
}

const WRITTEN: &str = "select (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint";
/// Null on a server that is no replica: it may be the primary of before, which nobody follows any more.
const REPLAYED: &str =
    "select case when pg_is_in_recovery() then (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint end";

async fn position(pool: &PgPool, statement: &'static str) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar(statement).fetch_one(pool).await
}

/// When the primary was last known to be where the replica is now.
fn newest(noted: &VecDeque<(Instant, i64)>, replayed: i64) -> Option<Instant> {
    noted.iter().rev().find(|(_, written)| *written <= replayed).map(|(at, _)| *at)
}

/// Compares for as long as somebody holds the replica.
async fn watch(replica: Weak<Replica>, primary: PgPool) {
    let mut noted = VecDeque::new();
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(replica) = replica.upgrade() else { return };
        if primary.is_closed() || replica.pool.is_closed() {
            return;
        }
        replica.compare(&primary, &mut noted).await;
    }
}

#[cfg(test)]
mod tests {
    use super::newest;
    use std::collections::VecDeque;
    use std::time::Duration;
    use tokio::time::Instant;

    #[test]
    fn a_replica_is_as_old_as_the_last_position_that_it_has_reached() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let noted = VecDeque::from([(at(0), 100), (at(1), 200), (at(2), 200), (at(3), 300)]);
        assert_eq!(newest(&noted, 99), None);
        assert_eq!(newest(&noted, 100), Some(at(0)));
        assert_eq!(newest(&noted, 250), Some(at(2)), "nothing was written between 1 and 2");
        assert_eq!(newest(&noted, 900), Some(at(3)));
    }
}
