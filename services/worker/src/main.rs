//! carrel-worker: runs jobs.

use anyhow::Result;
use carrel_runtime::config::{Settings, Sources};
use carrel_runtime::{build, lifecycle, probe, telemetry};
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the jobs of Carrel. Start as many as there is work for; each says which queues it serves.
#[derive(Parser)]
#[command(version = build::text())]
struct Arguments {
    /// Queues with the number of jobs at a time, for example ingest=4,notify=2. The queue `ai` belongs to carrel-ai.
    #[arg(long, default_value = "ingest=3,notify=2,analytics=1,maintenance=1")]
    queues: String,
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
    // The process reads documents in children of itself.
    if carrel_extract::is_child() {
        return carrel_extract::child_main();
    }
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => lifecycle::failed("carrel-worker", error.as_ref()),
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let queues = carrel_assembly::parse_queues(&arguments.queues)?;
    let sources = Sources::from_process(arguments.config_dir.as_deref(), arguments.config.as_deref());
    let settings = Settings::load(&sources)?;
    if arguments.check_health {
        probe::ready(settings.server.metrics_listen)?;
        return Ok(());
    }
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(async {
        let telemetry = telemetry::init("carrel-worker", &settings.telemetry)?;
        let stop = lifecycle::stop_on_signal()?;
        let ended = carrel_assembly::run_worker(&settings, &queues, stop).await;
        telemetry.shutdown().await;
        Ok(ended?)
    })
}
