//! Jobs: enqueue, claim, complete, sweep, explain.
//!
//! Two sides. Operations work inside a [`Transaction`](crate::Transaction), behind the workspace wall: [`enqueue`],
//! [`get`], [`list`], [`explain`], [`retry`], [`cancel`] and [`complete`]. The job machinery works over every workspace
//! as the role carrel_queue, through [`Database`](crate::Database): [`claim_next`], [`claim`], [`dispatch`], [`give_back`],
//! [`finish`], [`end_attempt`], [`sweep`], [`LeaseConnection`], [`Signals`] and the rest.
//!
//! Invariants: a statement that ends or prolongs an execution names the job's id and its claim, so a worker that has
//! lost its claim changes nothing; every time is the database's; a job that ended never runs again, a replay is a new job.

mod audit;
mod claim;
mod control;
mod effect;
mod end;
mod enqueue;
mod lease;
mod read;
mod replay;
mod schedule;
mod signals;
mod stats;
mod sweep;

pub use audit::{Check, audit, census, refusals};
pub use claim::{ClaimedJob, Worker, claim, claim_next, dispatch, give_back, next_due};
pub use control::{Cancelled, Retried, cancel, pause_queue, resume_queue, retry, set_limit};
pub use effect::{
    ClaimedEffect, EffectDepth, EffectEnd, EffectState, claim_effects, delete_settled, effect_depths, next_effect,
    record_effects, replay_effects, settle_effect, sweep_effects,
};
pub use end::{AttemptEnd, Ended, complete, end_attempt, finish, note_refusal};
pub use enqueue::enqueue;
pub use lease::{LeaseConnection, Renewal, deregister, register, write_progress};
pub use read::{Attempt, AttemptOutcome, Explanation, Job, JobFailure, JobFilter, Wait, explain, get, list};
pub use replay::replay_dead;
pub use schedule::{Decision, DueSchedule, define_schedule, due_schedules, fire_schedule, next_schedule};
pub use signals::{Signal, Signals, wake};
pub use stats::{Depth, depths, unfinished, wait_until_final};
pub use sweep::{LINGER, Swept, archive, delete_finished, discard_unservable, prepare_history, sweep, tidy_lists};

use crate::StorageError;
use carrel_domain::job::QueueName;
use std::time::Duration;
use uuid::Uuid;

/// Channel on which committed work is announced; the payload is the queue's name.
pub(crate) const WAKE_CHANNEL: &str = "carrel_jobs";
/// Channel on which a cancellation of a running job is announced; the payload is the job's id.
pub(crate) const CANCEL_CHANNEL: &str = "carrel_cancel";

fn inconsistent(column: &'static str, row: Uuid, problem: impl std::fmt::Display) -> StorageError {
    StorageError::Inconsistent { table: "job", column, row: row.to_string(), problem: problem.to_string() }
}

fn queue_name(row: Uuid, text: &str) -> Result<QueueName, StorageError> {
    text.parse().map_err(|error| inconsistent("queue", row, error))
}

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
