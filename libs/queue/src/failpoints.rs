//! Places where a test can stop the process, compiled in under the feature `failpoints` alone.

/// Every place, in the order in which a job passes them. `enqueue.committed` lies in carrel-storage.
#[cfg(feature = "failpoints")]
pub const FAIL_POINTS: [&str; 12] = [
    // The jobs are committed; whoever asked for them has not heard of it.
    "enqueue.committed",
    // Ids are marked as on their way, and not yet in Redis.
    "pump.dispatched",
    // Ids are in Redis, and the pump has not said so anywhere.
    "pump.pushed",
    // Ids have left Redis, and nobody has claimed them.
    "fetch.popped",
    // Jobs are claimed, and no handler has begun.
    "fetch.claimed",
    // A handler is about to begin.
    "run.started",
    // What the job did and its completion are written, and not committed.
    "complete.before_commit",
    // They are committed, and the worker has not heard of it.
    "complete.committed",
    // An effect is claimed, and not sent.
    "effect.before_send",
    // It is sent, and that is not recorded.
    "effect.sent",
    // It is recorded.
    "effect.recorded",
    // A tick is decided, and not written.
    "schedule.before_fire",
];

/// Does what a test configured for the place; nothing without the feature.
macro_rules! fail_point {
    ($place:literal) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($place);
    };
}
pub(crate) use fail_point;
