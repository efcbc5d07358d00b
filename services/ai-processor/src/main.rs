//! carrel-ai: embeds, plans, gathers, writes.

use anyhow::Result;
use carrel_runtime::config::{Settings, Sources};
use carrel_runtime::{build, lifecycle, probe, telemetry};
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the jobs of Carrel that need the model, and embeds queries for the API.
#[derive(Parser)]
#[command(version = build::text())]
struct Arguments {
    /// Jobs at a time.
    #[arg(long, default_value_t = 2)]
    concurrency: usize,
    /// Folder with <environment>.yaml (else CARREL_CONFIG_DIR, else /etc/carrel).
    #[arg(long)]
    config_dir: Option<PathBuf>,
    /// One more settings file, stronger than the folder's.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Ask the program that runs here with the same settings whether it is ready, and end: 0 when it is.
    #[arg(long)]
    check_health: bool,
}

fn main() -> ExitCode {
    // A worker may read documents in children of itself.
    if carrel_extract::is_child() {
        return carrel_extract::child_main();
    }
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => lifecycle::failed("carrel-ai", error.as_ref()),
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let sources = Sources::from_process(arguments.config_dir.as_deref(), arguments.config.as_deref());
    let settings = Settings::load(&sources)?;
    if arguments.check_health {
        probe::ready(settings.server.metrics_listen)?;
        return Ok(());
    }
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(async {
        let telemetry = telemetry::init("carrel-ai", &settings.telemetry)?;
        let stop = lifecycle::stop_on_signal()?;
        let ended = carrel_assembly::run_ai(&settings, arguments.concurrency, stop).await;
        telemetry.shutdown().await;
        Ok(ended?)
    })
}
