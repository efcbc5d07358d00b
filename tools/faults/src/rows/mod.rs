//! The rows of the matrix.

mod workers;

use crate::lab::Lab;
use crate::report::Report;
use crate::stage::{Plan, Stage, Way};
use anyhow::{Context, Result};
use futures::future::BoxFuture;

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
    /// It runs in the tests as well.
    pub short: bool,
    act: Act,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A row of the table below: name, function, what it does, and what it needs.
macro_rules! row {
    ($name:literal, $act:path, $about:literal) => {
        Row { name: $name, about: $about, redis_only: false, short: false, act: |stage| Box::pin($act(stage)) }
    };
    ($name:literal, $act:path, $about:literal, short) => {
        Row { name: $name, about: $about, redis_only: false, short: true, act: |stage| Box::pin($act(stage)) }
    };
    ($name:literal, $act:path, $about:literal, redis) => {
        Row { name: $name, about: $about, redis_only: true, short: false, act: |stage| Box::pin($act(stage)) }
    };
    ($name:literal, $act:path, $about:literal, redis, short) => {
        Row { name: $name, about: $about, redis_only: true, short: true, act: |stage| Box::pin($act(stage)) }
    };
}

/// Every row, in the order in which they run.
pub const ROWS: &[Row] = &[
    row!("none", workers::none, "no fault at all", short),
    row!("kill", workers::kill, "a random worker is killed with KILL, ten times", short),
    row!("stop", workers::stop, "a worker is stopped for longer than its lease, then goes on", short),
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
