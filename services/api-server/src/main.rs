//! carrel-api: the REST API and the web page.

use anyhow::Result;
use carrel_runtime::config::{Settings, Sources};
use carrel_runtime::{build, lifecycle, probe, telemetry};
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// The REST API and the web page of Carrel. Every setting is described in config/base.yaml.
#[derive(Parser)]
#[command(version = build::text())]
struct Arguments {
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
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => lifecycle::failed("carrel-api", error.as_ref()),
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let sources = Sources::from_process(arguments.config_dir.as_deref(), arguments.config.as_deref());
    let settings = Settings::load(&sources)?;
    if arguments.check_health {
        probe::ready(settings.server.metrics_listen)?;
        return Ok(());
    }
    // Requests wait for the database far more than they compute.
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(async {
        let telemetry = telemetry::init("carrel-api", &settings.telemetry)?;
        let stop = lifecycle::stop_on_signal()?;
        let ended = carrel_assembly::run_api(&settings, stop).await;
        telemetry.shutdown().await;
        Ok(ended?)
    })
}
