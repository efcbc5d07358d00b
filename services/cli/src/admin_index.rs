//! `carrel admin index`: index generations, for a change of the embedding model without downtime.

use crate::admin_jobs::{database, said};
use crate::admin_store::workspaces;
use crate::output;
use anyhow::{Result, bail};
use carrel_assembly::{SystemIds, next_space};
use carrel_domain::Actor;
use carrel_operations::start_filling;
use carrel_runtime::config::Settings;
use carrel_storage::generations::{self, GenerationState};
use carrel_storage::{Database, StorageError};
use clap::Subcommand;
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Subcommand)]
pub(crate) enum AdminIndex {
    /// List the generations with their state, and how far the one is that is being filled.
    Generations,
    /// Open a generation for the model of inference.next, and fill it by jobs. Run it again to add what is lacking.
    Build {
        /// Wait until it is filled, and show how far it is.
        #[arg(long)]
        wait: bool,
    },
    /// Let the filled generation answer, in one transaction. Refused while a vector is lacking.
    Switch,
    /// Remove a generation that does not answer, with its vectors.
    Drop {
        /// Its number.
        number: i16,
    },
}

impl AdminIndex {
    pub(crate) async fn run(&self, settings: &Settings, as_json: bool) -> Result<ExitCode> {
        let database = database(settings)?;
        match self {
            Self::Generations => list(&database, as_json).await?,
            Self::Build { wait } => build(settings, &database, *wait, as_json).await?,
            Self::Switch => switch(&database, as_json).await?,
            Self::Drop { number } => {
                let done = generations::drop(&database, *number).await;
                if !refused(done, "generation_live", "it answers searches; switch to another one first")? {
                    bail!("there is no generation {number}");
                }
                said(as_json, &json!({ "dropped": number }), &format!("generation {number} is gone"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Says what the refusal of the database means here.
fn refused<T>(result: Result<T, StorageError>, constraint: &str, meaning: &str) -> Result<T> {
    match result {
        Err(error) if error.is_constraint(constraint) => bail!("{meaning}"),
        other => Ok(other?),
    }
}

async fn list(database: &Database, as_json: bool) -> Result<()> {
    let rows = generations::list(database).await?;
    let counts = generations::count_all(database).await?;
    let vectors = |no: i16| counts.iter().find(|(of, _)| *of == no).map_or(0, |(_, vectors)| *vectors);
    let mut shown = Vec::new();
    for row in &rows {
        let no = row.generation.no;
        let lacking = match row.state {
            GenerationState::Filling => Some(generations::missing(database, no).await?),
            _ => None,
        };
        if !as_json {
            let lacking = lacking.map(|number| format!(", {number} lacking")).unwrap_or_default();
            println!(
                "{no:>3}  {:<8}  {} ({} numbers)  {} vectors{lacking}",
                row.state.as_str(),
                row.generation.space,
                row.generation.dimension,
                vectors(no)
            );
        }
        shown.push(json!({
            "number": no, "state": row.state.as_str(), "space": row.generation.space,
            "dimension": row.generation.dimension, "vectors": vectors(no), "lacking": lacking,
            "created_at": row.created_at, "live_since": row.live_since,
        }));
    }
    if as_json {
        return output::json(&shown);
    }
    if rows.is_empty() {
        println!("There is no generation yet; the first document opens one.");
    }
    Ok(())
}

async fn build(settings: &Settings, database: &Database, wait: bool, as_json: bool) -> Result<()> {
    let Some((space, dimension)) = next_space(settings)? else {
        bail!("set inference.next to the new model in every program first, and start them again");
    };
    let opened = generations::open(database, &space, dimension).await;
    let opened = refused(opened, "generation_live", "the live generation is of this model already")?;
    let ids: Vec<_> = workspaces(settings).await?.into_iter().map(|(id, _)| id).collect();
    let jobs = start_filling(database, &SystemIds, &ids, opened, &Actor::Operator).await?;
    if !wait {
        let text = format!("generation {opened} is being filled; `carrel admin index generations` says how far it is");
        return said(as_json, &json!({ "generation": opened, "space": space, "jobs": jobs }), &text);
    }
    let mut lacking = generations::missing(database, opened).await?;
    let total = lacking;
    let bar = output::bar(total, !as_json);
    bar.set_prefix("vectors");
    while lacking > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        lacking = generations::missing(database, opened).await?;
        bar.set_length(total.max(lacking));
        bar.set_position(total.saturating_sub(lacking));
    }
    bar.finish_and_clear();
    let text = format!("generation {opened} is filled; `carrel admin index switch` lets it answer");
    said(as_json, &json!({ "generation": opened, "space": space, "filled": total }), &text)
}

async fn switch(database: &Database, as_json: bool) -> Result<()> {
    let rows = generations::list(database).await?;
    let Some(row) = rows.iter().find(|row| row.state == GenerationState::Filling) else {
        bail!("no generation is being filled; `carrel admin index build` opens one");
    };
    let no = row.generation.no;
    let meaning = "it lacks vectors; wait, or run `carrel admin index build --wait` again (every program that indexes must \
                   know inference.next)";
    refused(generations::switch(database, no).await, "generation_incomplete", meaning)?;
    let text = format!(
        "generation {no} ({}) answers now. Make inference.next the inference.embedder when it suits, then drop the old one.",
        row.generation.space
    );
    said(as_json, &json!({ "live": no, "space": row.generation.space }), &text)
}
