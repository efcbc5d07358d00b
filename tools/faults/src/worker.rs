//! The process that is hurt: a worker with the probe jobs, set up by arguments.

use crate::events::Journal;
use crate::probe::{self, Release, Tick};
use anyhow::Result;
use carrel_domain::WorkerId;
use carrel_domain::job::{CatchUp, QueueName, Schedule};
use carrel_queue::{RedisOptions, Transport, WorkerBuilder};
use carrel_storage::{Database, DatabaseOptions};
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Its arguments.
#[derive(Clone, Debug, clap::Parser)]
pub struct WorkerArguments {
    /// This start of the process.
    #[arg(long)]
    pub id: WorkerId,
    /// The service's login.
    #[arg(long)]
    pub database: String,
    /// PostgreSQL alone when not given.
    #[arg(long)]
    pub redis: Option<String>,
    /// Put before every key of Redis.
    #[arg(long, default_value = "carrel:")]
    pub prefix: String,
    /// Jobs at once.
    #[arg(long, default_value_t = 8)]
    pub concurrency: usize,
    /// Threads of the runtime.
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
    /// Milliseconds that a claim holds.
    #[arg(long, default_value_t = 3000)]
    pub lease: u64,
    /// Milliseconds from the stop to the end.
    #[arg(long, default_value_t = 4000)]
    pub drain: u64,
    /// Milliseconds between looks without an announcement.
    #[arg(long, default_value_t = 5000)]
    pub poll: u64,
    /// Milliseconds that a job may wait which nobody can run.
    #[arg(long, default_value_t = 600_000)]
    pub unservable: u64,
    /// Which release it plays.
    #[arg(long, value_enum, default_value = "new")]
    pub release: Release,
    /// A job by the calendar, every second.
    #[arg(long)]
    pub ticks: bool,
    /// Where handlers note their starts.
    #[arg(long)]
    pub events: Option<PathBuf>,
}

/// Makes the panic of a fail point what it stands for: the end of the process.
pub fn end_at_fail_points() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        hook(info);
        let text = info.payload_as_str().unwrap_or_default();
        if text.starts_with("failpoint") {
            std::process::abort();
        }
    }));
}

/// Works until SIGTERM.
pub async fn work(arguments: WorkerArguments) -> Result<()> {
    let mut options = DatabaseOptions::new(&arguments.database);
    options.application_name = format!("probe {}", arguments.id);
    let database = Database::connect_lazy(&options)?;
    let transport = arguments.redis.map_or(Transport::Postgres, |url| {
        let mut options = RedisOptions::new(url);
        options.prefix.clone_from(&arguments.prefix);
        Transport::Redis(options)
    });
    let mut builder = WorkerBuilder::new(database, arguments.id)
        .queues([(QueueName::Ingest, arguments.concurrency)])
        .transport(transport)
        .lease(Duration::from_millis(arguments.lease))
        .drain(Duration::from_millis(arguments.drain))
        .poll(Duration::from_millis(arguments.poll))
        .backoff(Duration::from_millis(20))
        .unservable_after(Duration::from_millis(arguments.unservable))
        .described("probe", env!("CARGO_PKG_VERSION"));
    if arguments.ticks {
        let mut schedule = Schedule::new("probe-tick", "* * * * * *", &Tick {})?;
        schedule.catch_up = CatchUp::All;
        builder = builder.schedule(schedule);
    }
    // The places that FAILPOINTS names, if this build has any.
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    let journal = Journal::open(arguments.events.as_deref())?;
    let worker = probe::register(builder, journal, arguments.release).build()?;
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        terminated.recv().await;
        stop.cancel();
    });
    Ok(worker.run(shutdown).await?)
}
