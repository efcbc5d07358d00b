//! The rows of the matrix.

mod boundaries;
mod delivery;
mod load;
mod outbox;
mod payload;
mod postgres;
mod redis;
mod rules;
mod workers;

use crate::lab::Lab;
use crate::report::Report;
use crate::stage::{Plan, Stage, Way};
use anyhow::{Context, Result};
use futures::future::BoxFuture;
use std::time::Duration;

/// How long a row may take to settle beyond its work.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a row does on its stage.
type Act = for<'a> fn(&'a mut Stage) -> BoxFuture<'a, Result<()>>;

/// One row.
#[derive(Clone, Copy)]
pub struct Row {
    /// How `--fault` calls it.
    pub name: &'static str,
    /// In a sentence.
    pub about: &'static str,
    /// It hurts Redis, so it needs one.
    pub redis_only: bool,
    act: Act,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("name", &self.name).finish_non_exhaustive()
    }
}

const fn row(name: &'static str, about: &'static str, act: Act) -> Row {
    Row { name, about, redis_only: false, act }
}

impl Row {
    /// Hurts Redis, or what only Redis has.
    const fn with_redis(mut self) -> Self {
        self.redis_only = true;
        self
    }
}

/// A function of a row, boxed.
macro_rules! act {
    ($path:path $(, $argument:expr)*) => {
        |stage| Box::pin($path(stage $(, $argument)*))
    };
}

/// Every row, in the order in which they run.
pub const ROWS: &[Row] = &[
    row("none", "no fault at all", act!(workers::none)),
    row("kill", "a worker at work is killed with KILL, ten times", act!(workers::kill)),
    row("kill-lease-30", "the same once, with the lease of a release", act!(workers::kill_lease_30)),
    row("term", "workers with long jobs get TERM; every third job does not stop when asked", act!(workers::term)),
    row("stop", "a worker is stopped for twice its lease, then goes on", act!(workers::stop)),
    row("redis-kill", "Redis is killed and started again, empty", act!(redis::kill)).with_redis(),
    row("redis-term", "Redis is stopped and started again, empty", act!(redis::term)).with_redis(),
    row("redis-flushall", "FLUSHALL", act!(redis::flushall)).with_redis(),
    row("redis-del", "the list of ids is deleted", act!(redis::del)).with_redis(),
    row("redis-wrong-type", "another program's string lies where the list should be", act!(redis::wrong_type))
        .with_redis(),
    row("redis-full", "Redis refuses writes: maxmemory with noeviction", act!(redis::full)).with_redis(),
    row("redis-stall-0.3", "Redis does not answer for 0.3 s", act!(redis::stall_300)).with_redis(),
    row("redis-stall-0.8", "Redis does not answer for 0.8 s", act!(redis::stall_800)).with_redis(),
    row("redis-stall-3", "Redis does not answer for 3 s", act!(redis::stall_3000)).with_redis(),
    row("redis-stall-30", "Redis does not answer for 30 s", act!(redis::stall_30000)).with_redis(),
    row("redis-absent", "Redis is not there when workers start; it comes after half a minute", act!(redis::absent))
        .with_redis(),
    row("pg-restart", "PostgreSQL ends at once and is started again", act!(postgres::restart)),
    row("pg-failover", "PostgreSQL ends at once and its synchronous replica takes over", act!(postgres::fail_over)),
    row("pg-disconnect", "every connection to PostgreSQL is ended by it", act!(postgres::disconnect)),
    row("pg-exhausted", "others hold every connection that PostgreSQL has for 5 s", act!(postgres::exhausted)),
    row("pg-no-room", "the disk of PostgreSQL's tables is full for 4 s", act!(postgres::no_room)),
    row(
        "crash-enqueue.committed",
        "a worker ends after committing jobs that it asked for",
        act!(boundaries::crash, "enqueue.committed"),
    ),
    row("crash-pump.dispatched", "… before ids that it chose are in Redis", act!(boundaries::crash, "pump.dispatched"))
        .with_redis(),
    row("crash-pump.pushed", "… after ids are in Redis", act!(boundaries::crash, "pump.pushed")).with_redis(),
    row("crash-fetch.popped", "… after ids left Redis, before the claim", act!(boundaries::crash, "fetch.popped"))
        .with_redis(),
    row("crash-fetch.claimed", "… after the claim, before the handler", act!(boundaries::crash, "fetch.claimed")),
    row("crash-run.started", "… when the handler begins", act!(boundaries::crash, "run.started")),
    row(
        "crash-before-commit",
        "… before the commit of results and completion",
        act!(boundaries::crash, "complete.before_commit"),
    ),
    row(
        "crash-effect.before_send",
        "… with a claimed effect, before it is sent",
        act!(boundaries::crash, "effect.before_send"),
    ),
    row("crash-effect.sent", "… after sending an effect, before noting that", act!(boundaries::crash, "effect.sent")),
    row("crash-effect.recorded", "… after noting that an effect was sent", act!(boundaries::crash, "effect.recorded")),
    row("outbox", "jobs decide letters while workers are killed; each arrives with one key", act!(outbox::mailing)),
    row("calendar", "a job every second by the calendar of 3 or 5 workers, which are killed", act!(outbox::calendar)),
    row(
        "crash-committed",
        "… after the commit of results and completion",
        act!(boundaries::crash, "complete.committed"),
    ),
    row("delivery-repeated", "every id is delivered five times more, in another order", act!(delivery::repeated))
        .with_redis(),
    row("delivery-garbage", "unknown ids, random bytes and a megabyte of nothing in the list", act!(delivery::garbage))
        .with_redis(),
    row("unreadable", "unknown kinds, newer payloads, payloads that are none", act!(payload::unreadable)),
    row("panic", "handlers panic", act!(payload::panic)),
    row("abort", "a handler ends its process each time", act!(payload::abort)),
    row("stack-overflow", "a handler overflows its stack each time", act!(payload::overflow)),
    row("out-of-memory", "a handler takes all memory that its process may have", act!(payload::memory)),
    row("poisons", "several such jobs among innocent ones", act!(payload::poisons)),
    row("cpu-bound", "handlers hold every thread for more than twice the lease", act!(payload::busy)),
    row("clock", "the clock of a worker is ten minutes ahead, then behind", act!(payload::clock)),
    row("rolling", "workers of a new release replace the old ones while both enqueue", act!(payload::rolling)),
    row("limit", "a limit of two at once while workers are killed", act!(rules::limit)),
    row("pause", "the queue is paused while workers are killed", act!(rules::pause)),
    row("scheduled", "jobs with a time and with failures while workers are killed", act!(rules::schedule)),
    row("cancel", "half of the jobs are cancelled while workers are killed", act!(rules::cancel)),
    row("backlog", "200,000 jobs wait; urgent ones come; workers are killed", act!(load::backlog)),
    row("burst", "20,000 jobs in 2,000 transactions at once", act!(load::burst)),
    row("soak", "a random mix of faults for --minutes", act!(load::soak)),
];

/// The row of that name.
pub fn find(name: &str) -> Result<&'static Row> {
    ROWS.iter().find(|row| row.name == name).with_context(|| format!("no fault is named {name}; --list names them"))
}

/// Runs a row once. An error is one of the harness; what the system did wrong stands in the report.
pub async fn run(lab: Lab, row: &Row, plan: &Plan) -> Result<(Lab, Report)> {
    let mut stage = Stage::set(lab, plan, row.name).await.with_context(|| format!("{}: cannot be set up", row.name))?;
    if let Err(error) = (row.act)(&mut stage).await {
        stage.report.problems.push(format!("the row broke off: {error:#}"));
    }
    stage.strike().await
}

/// True when the row has a meaning with this transport.
pub fn applies(row: &Row, way: Way) -> bool {
    way == Way::Redis || !row.redis_only
}
