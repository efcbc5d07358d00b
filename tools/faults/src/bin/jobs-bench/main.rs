//! jobs-bench: how fast jobs run, beside raw apalis-redis in the same rounds.

mod figures;
mod peer;
mod rounds;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Rounds of each measurement, interleaved.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Depth of the deepest backlog.
    #[arg(long, default_value_t = 1_000_000)]
    deepest: usize,
    /// Only these: rate, depth, latency, wal.
    #[arg(long)]
    only: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A worker of the peer, for our own use.
    Peer {
        /// Redis.
        #[arg(long)]
        redis: String,
    },
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build()?.block_on(async {
        match arguments.command {
            Some(Command::Peer { redis }) => peer::work(&redis).await,
            None => rounds::run(arguments.rounds, arguments.deepest, &arguments.only).await,
        }
    })
}
