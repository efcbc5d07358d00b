//! What a row found, as a line of a table and as JSON.

use serde::Serialize;
use std::fmt;

/// One row of the matrix, with one transport and one number of workers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Its name.
    pub fault: String,
    /// `redis` or `postgres`.
    pub transport: String,
    /// Workers at the start.
    pub workers: usize,
    /// What was chosen with.
    pub seed: u64,
    /// Jobs whose enqueuing was committed, with those that jobs asked for.
    pub jobs: usize,
    /// Jobs that did not end as they must.
    pub lost: usize,
    /// Effects written more than once, or by a job that did not complete.
    pub twice: usize,
    /// Executions beyond the first of each job.
    pub restarted: usize,
    /// Executions whose end the fence refused.
    pub stale: usize,
    /// Injuries done.
    pub injuries: usize,
    /// Longest time from the end of an injury until work went on; for a killed worker until its last job ran again.
    pub recovery_s: Option<f64>,
    /// The most that the row allows.
    pub allowed_s: Option<f64>,
    /// Longest time between two starts from the first injury on, where no worker was killed.
    pub pause_s: Option<f64>,
    /// How long the row took.
    pub took_s: f64,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// Why the row did not run.
    pub skipped: Option<String>,
    /// What is wrong; empty when the row holds.
    pub problems: Vec<String>,
}

impl Report {
    /// True when every number is right.
    pub fn holds(&self) -> bool {
        self.problems.is_empty()
    }
}

/// The head of the table.
pub const HEAD: &str = "\
fault                    transport  workers    jobs  lost  twice  restarted  stale  recovery s    limit  pause s
------------------------ ---------  -------  ------  ----  -----  ---------  -----  ----------  -------  -------";

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = &self.skipped {
            return write!(f, "{:<24} {:<9}  {:>7}  not run: {reason}", self.fault, self.transport, self.workers);
        }
        let seconds = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        write!(
            f,
            "{:<24} {:<9}  {:>7}  {:>6}  {:>4}  {:>5}  {:>9}  {:>5}  {:>10}  {:>7}  {:>7}",
            self.fault,
            self.transport,
            self.workers,
            self.jobs,
            self.lost,
            self.twice,
            self.restarted,
            self.stale,
            seconds(self.recovery_s),
            seconds(self.allowed_s),
            seconds(self.pause_s),
        )?;
        if !self.notes.is_empty() {
            write!(f, "  {}", self.notes.join("; "))?;
        }
        for problem in &self.problems {
            write!(f, "\n    WRONG: {problem}")?;
        }
        Ok(())
    }
}
