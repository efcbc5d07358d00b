//! A worker with probe jobs; `carrel-faults` starts and hurts it.

use anyhow::Result;
use carrel_faults::worker::{WorkerArguments, end_at_fail_points, work};
use clap::Parser;

fn main() -> Result<()> {
    let arguments = WorkerArguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    end_at_fail_points();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(arguments.threads).enable_all().build()?.block_on(work(arguments))
}
