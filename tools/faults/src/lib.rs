//! Hurts the job system and counts what it loses: PostgreSQL, Redis and worker processes of its own, one row of the
//! matrix after the other, each with a count of jobs lost and effects written twice.
//!
//! Invariants: a row never passes on what a worker says of itself, only on what the database holds and on what the
//! handlers noted when they began; the same seed chooses the same victims; whatever is started here ends with us.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use carrel_faults::{Lab, LabOptions, Plan, rows};
//! let lab = Lab::start(LabOptions::default()).await?;
//! let (_, report) = rows::run(lab, rows::find("kill")?, &Plan::default()).await?;
//! assert_eq!((report.lost, report.twice), (0, 0));
//! # Ok(()) }
//! ```

#![expect(clippy::disallowed_methods, reason = "measures real time, and its jobs need no injected ids")]

pub mod crew;
pub mod events;
pub mod lab;
pub mod probe;
pub mod report;
pub mod rows;
pub mod servers;
pub mod stage;
pub mod verdict;
pub mod worker;

pub use lab::{Lab, LabOptions};
pub use report::Report;
pub use stage::{Plan, Stage, Way};
