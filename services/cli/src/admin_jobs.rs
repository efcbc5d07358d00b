//! `carrel admin jobs`: what concerns the jobs of every workspace.

use crate::output;
use anyhow::{Result, bail};
use carrel_domain::job::QueueName;
use carrel_runtime::config::Settings;
use carrel_storage::{Database, DatabaseOptions, jobs};
use clap::Subcommand;
use secrecy::ExposeSecret;
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Subcommand)]
pub(crate) enum AdminJobs {
    /// Check on the live system what the job system promises (I1 to I10 of docs/RELIABILITY.md). Ends with an error if
    /// anything contradicts it.
    Audit {
        /// Seconds that an expired lease may wait for the sweeper: a third of the lease, and some more.
        #[arg(long, default_value_t = 20)]
        grace: u64,
    },
    /// Show how many jobs each queue holds and for how long the oldest has been waiting.
    Queues,
    /// Stop a queue from handing out jobs, everywhere. What runs goes on.
    Pause {
        /// The queue.
        queue: QueueName,
        /// Shown to those who ask why their job waits.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let a paused queue go on.
    Resume {
        /// The queue.
        queue: QueueName,
    },
    /// Bound how many jobs with a limit key run at once, over all workspaces; without a number, lift the bound.
    Limit {
        /// The key.
        key: String,
        /// How many.
        max: Option<u32>,
    },
}

impl AdminJobs {
    pub(crate) async fn run(&self, settings: &Settings, as_json: bool) -> Result<ExitCode> {
        let database = database(settings)?;
        match self {
            Self::Audit { grace } => return audit(&database, Duration::from_secs(*grace), as_json).await,
            Self::Queues => queues(&database, as_json).await?,
            Self::Pause { queue, reason } => {
                jobs::pause_queue(&database, *queue, reason.as_deref()).await?;
                said(as_json, &json!({ "paused": queue }), &format!("queue {queue} is paused; what runs goes on"))?;
            }
            Self::Resume { queue } => {
                jobs::resume_queue(&database, *queue).await?;
                said(as_json, &json!({ "resumed": queue }), &format!("queue {queue} goes on"))?;
            }
            Self::Limit { key, max } => {
                jobs::set_limit(&database, key, *max).await?;
                let bound = max.map_or_else(|| "any number".to_owned(), |max| format!("at most {max}"));
                said(as_json, &json!({ "key": key, "max": max }), &format!("{bound} with key {key} may run at once"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

pub(crate) fn said(as_json: bool, value: &serde_json::Value, line: &str) -> Result<()> {
    if as_json {
        return output::json(value);
    }
    println!("{line}");
    Ok(())
}

/// The services' connection: as configured, or to the private server of a `carrel up` that runs on this machine.
pub(crate) fn database(settings: &Settings) -> Result<Database> {
    let configured = settings.database.url.as_ref().or(settings.database.admin_url.as_ref());
    let url = match configured {
        Some(url) => url.expose_secret().to_owned(),
        None => {
            let folder = settings.database.embedded.data_dir.clone();
            let folder = folder.unwrap_or_else(|| carrel_postgres::data_dir().join("postgres"));
            let Some(running) = carrel_postgres::Running::find(&folder) else {
                bail!(
                    "no database is configured and no private one runs; set CARREL__DATABASE__URL, or start `carrel up`"
                );
            };
            running.url(carrel_postgres::SUPERUSER, "carrel")
        }
    };
    let mut options = DatabaseOptions::new(url);
    options.application_name = "carrel-admin".to_owned();
    options.pool_size = 1;
    options.queue_pool_size = 1;
    Ok(Database::connect_lazy(&options)?)
}

async fn audit(database: &Database, grace: Duration, as_json: bool) -> Result<ExitCode> {
    let checks = jobs::audit(database, grace).await?;
    let sound = checks.iter().all(jobs::Check::ok);
    if as_json {
        let rows: Vec<_> = checks
            .iter()
            .map(|check| {
                json!({
                    "invariant": check.invariant, "statement": check.statement, "ok": check.ok(),
                    "violations": check.violations, "samples": check.samples,
                })
            })
            .collect();
        output::json(&rows)?;
    } else {
        for check in &checks {
            let verdict = if check.ok() { "ok" } else { "FAIL" };
            println!("{verdict:<5} {:<4} {}", check.invariant, check.statement);
            if !check.ok() {
                println!("      {} rows contradict it, as {:?}", check.violations, check.samples);
            }
        }
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn queues(database: &Database, as_json: bool) -> Result<()> {
    let depths = jobs::depths(database).await?;
    if as_json {
        let rows: Vec<_> = depths
            .iter()
            .map(|depth| {
                json!({
                    "queue": depth.queue, "state": depth.state, "jobs": depth.jobs,
                    "oldest_seconds": depth.oldest.as_secs_f64(),
                })
            })
            .collect();
        return output::json(&rows);
    }
    if depths.is_empty() {
        println!("No job waits or runs.");
    }
    for depth in depths {
        println!(
            "{:<12} {:<10} {:>8}  oldest {:.0} s",
            depth.queue,
            depth.state,
            depth.jobs,
            depth.oldest.as_secs_f64()
        );
    }
    Ok(())
}
