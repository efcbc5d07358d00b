//! A PostgreSQL and a Redis that may be hurt.

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A port nobody listens on.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Sends a signal to a process that we started.
pub fn signal(process: &Child, signal: Signal) -> Result<()> {
    let id = process.id().context("the process has ended")?;
    let pid = Pid::from_raw(i32::try_from(id)?).context("no process")?;
    Ok(kill_process(pid, signal)?)
}

/// A program that the kernel ends when we end, however we end.
pub fn tied(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// PostgreSQL on a loopback port. Commits are flushed: what it has confirmed survives its death.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    port: u16,
    settings: String,
}

impl Postgres {
    /// Makes a server in `folder` and starts it; `settings` are added to those of the tests.
    pub async fn start(folder: &Path, settings: &str) -> Result<Self> {
        let server = Self {
            folder: folder.to_owned(),
            port: free_port()?,
            settings: format!(
                "fsync=on synchronous_commit=on full_page_writes=on wal_level=replica max_wal_senders=4 max_connections=60 {settings}"
            ),
        };
        server.up().await?;
        Ok(server)
    }

    async fn script(&self, action: &str) -> Result<()> {
        let mut command = Command::new(root().join("scripts/lib/test-postgres"));
        command.arg(action).arg(&self.folder);
        if action == "start" {
            command.arg(self.port.to_string());
        }
        let log = File::create(self.folder.with_extension("log"))?;
        // The server keeps these open, so they must be no pipes of ours.
        command.env("CARREL_TEST_POSTGRES_SETTINGS", &self.settings).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        let status = command.status().await.context("scripts/lib/test-postgres cannot be run")?;
        ensure!(status.success(), "test-postgres {action} failed; see {}", self.folder.display());
        Ok(())
    }

    /// Starts it again after [`Postgres::stop`].
    pub async fn up(&self) -> Result<()> {
        self.script("start").await
    }

    /// Ends it at once, without a checkpoint: connections break and the start has to recover.
    pub async fn stop(&self) -> Result<()> {
        self.script("stop").await
    }

    /// Starts a streaming replica of this one in `folder`.
    pub async fn replica(&self, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut command = Command::new(root().join("scripts/lib/test-postgres"));
        command.arg("follow").arg(folder).arg(self.port.to_string()).stdin(Stdio::null());
        command.env("CARREL_TEST_POSTGRES_SETTINGS", &self.settings);
        let log = folder.with_extension("log");
        let told = folder.with_extension("address");
        // The server keeps these open, so they must be no pipes of ours.
        command.stdout(File::create(&told)?).stderr(File::create(&log)?);
        let status = command.status().await.context("scripts/lib/test-postgres cannot be run")?;
        ensure!(status.success(), "no replica; see {}", log.display());
        let address = std::fs::read_to_string(&told)?;
        let port = address.split(['/', ':']).filter_map(|word| word.parse().ok()).next_back();
        let port = port.with_context(|| format!("{address} names no port"))?;
        Ok(Self { folder: folder.to_owned(), port, settings: self.settings.clone() })
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database for a login.
    pub fn url(&self, login: &str, database: &str) -> String {
        address(self.port, login, database)
    }
}

/// The address of a database behind a port of this machine.
pub fn address(port: u16, login: &str, database: &str) -> String {
    format!("postgres://{login}@127.0.0.1:{port}/{database}")
}

/// One address for whichever server serves just now, as a cluster's service is.
#[derive(Debug)]
pub struct Door {
    port: u16,
    target: Arc<AtomicU16>,
    _porter: AbortOnDropHandle<()>,
}

impl Door {
    /// Opens a port that leads to another.
    pub async fn open(target: u16) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let target = Arc::new(AtomicU16::new(target));
        let leads_to = Arc::clone(&target);
        let porter = tokio::spawn(async move {
            let mut guests = JoinSet::new();
            while let Ok((mut guest, _)) = listener.accept().await {
                let to = leads_to.load(Ordering::Relaxed);
                guests.spawn(async move {
                    // A server that is away ends the connection, as its own port would.
                    if let Ok(mut host) = TcpStream::connect(("127.0.0.1", to)).await {
                        let _ = tokio::io::copy_bidirectional(&mut guest, &mut host).await;
                    }
                });
                while guests.try_join_next().is_some() {}
            }
        });
        Ok(Self { port, target, _porter: AbortOnDropHandle::new(porter) })
    }

    /// New connections go there.
    pub fn lead_to(&self, target: u16) {
        self.target.store(target, Ordering::Relaxed);
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let script = root().join("scripts/lib/test-postgres");
        // Nothing is left to do when even that fails; the folder goes anyway.
        let _ = std::process::Command::new(script).arg("stop").arg(&self.folder).status();
    }
}

/// Redis on a loopback port, without persistence.
#[derive(Debug)]
pub struct Redis {
    folder: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Redis {
    /// Starts a server that keeps its files in `folder`.
    pub async fn start(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut server = Self { folder: folder.to_owned(), port: free_port()?, process: None };
        server.up().await?;
        Ok(server)
    }

    /// Starts it, unless it runs, and waits until it answers. It remembers nothing.
    pub async fn up(&mut self) -> Result<()> {
        if self.process.is_some() {
            return Ok(());
        }
        let log = File::options().create(true).append(true).open(self.folder.join("redis.log"))?;
        let mut command = tied("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &self.port.to_string()]);
        // DEBUG is how a test makes it slow.
        command.args(["--enable-debug-command", "yes"]).arg("--dir").arg(&self.folder);
        command.stdout(log.try_clone()?).stderr(log);
        self.process = Some(command.spawn().context("redis-server cannot be started")?);
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.ask(&redis::cmd("PING")).await.is_err() {
            ensure!(Instant::now() < deadline, "Redis does not answer");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Ends it with `signal` and waits until it is gone.
    pub async fn end(&mut self, with: Signal) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            signal(&process, with)?;
            process.wait().await?;
        }
        Ok(())
    }

    /// Stops it from answering; connections stay open.
    pub fn pause(&self) -> Result<()> {
        signal(self.process.as_ref().context("Redis does not run")?, Signal::STOP)
    }

    /// Undoes [`Redis::pause`].
    pub fn resume(&self) -> Result<()> {
        signal(self.process.as_ref().context("Redis does not run")?, Signal::CONT)
    }

    /// One command on a connection of its own.
    pub async fn ask(&self, command: &redis::Cmd) -> Result<redis::Value> {
        let client = redis::Client::open(self.url())?;
        // A busy machine is no fault.
        let patience = Some(Duration::from_secs(20));
        let config =
            redis::AsyncConnectionConfig::new().set_connection_timeout(patience).set_response_timeout(patience);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        match command.query_async(&mut connection).await {
            Ok(value) => Ok(value),
            Err(error) => bail!("Redis: {error}"),
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}
