//! The server as a child process.

use crate::account::Account;
use crate::cluster::{self, Lock};
use crate::error::{IoContext, PostgresError};
use crate::installation::Installation;
use crate::postmaster::{self, Leftover, Running, socket_url};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// The role that owns the cluster, unless [`ServerConfig::superuser`] says otherwise.
pub const SUPERUSER: &str = "carrel_owner";

/// The port that names the socket when there is no TCP port.
const SOCKET_PORT: u16 = 5432;
/// `sun_path` holds 108 bytes with its terminating zero.
const SOCKET_PATH_LIMIT: usize = 107;
/// Usual [`ServerConfig::start_limit`].
const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);

/// Settings for a small machine, and for a log that never holds what was stored.
const SETTINGS: [(&str, &str); 20] = [
    ("max_connections", "60"),
    ("max_worker_processes", "4"),
    ("max_parallel_workers", "2"),
    ("autovacuum_max_workers", "2"),
    // Nothing subscribes here; without workers its launcher process is not started either.
    ("max_logical_replication_workers", "0"),
    ("maintenance_work_mem", "64MB"),
    ("work_mem", "8MB"),
    // Short queries: compiling them costs more than it saves.
    ("jit", "off"),
    ("wal_compression", "on"),
    ("wal_level", "replica"),
    ("max_wal_senders", "2"),
    // Where backups stop being made, their slot must not fill the disk.
    ("max_slot_wal_keep_size", "4GB"),
    ("max_wal_size", "512MB"),
    ("min_wal_size", "80MB"),
    ("random_page_cost", "1.1"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    // Statements and row values in error messages would carry document text into the log.
    ("log_min_error_statement", "panic"),
    ("log_error_verbosity", "terse"),
    ("unix_socket_permissions", "0700"),
];

/// What to start, and where.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The programs.
    pub installation: Installation,
    /// Holds the cluster, the lock, the log and the socket; made if missing.
    pub data_dir: PathBuf,
    /// The role that owns the cluster; only read when the cluster is made.
    pub superuser: String,
    /// A loopback port for tools that cannot use a socket. Every local account may then connect as any role.
    pub tcp_port: Option<u16>,
    /// Server settings that win over the built-in ones, for example `("fsync", "off")` in tests.
    pub settings: Vec<(String, String)>,
    /// How long it may take until it answers; a restored cluster replays its log first.
    pub start_limit: Duration,
}

impl ServerConfig {
    /// A server reachable through its socket only.
    pub fn new(installation: Installation, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            installation,
            data_dir: data_dir.into(),
            superuser: SUPERUSER.to_owned(),
            tcp_port: None,
            settings: Vec::new(),
            start_limit: START_LIMIT,
        }
    }

    /// Adds a server setting.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }
}

/// A running server. Dropping it asks for a fast shutdown without waiting; [`Server::stop`] waits.
#[derive(Debug)]
pub struct Server {
    child: Arc<Mutex<ChildState>>,
    exit: watch::Receiver<Option<String>>,
    socket_dir: PathBuf,
    port: u16,
    // Order matters: the lock goes last. A successor waits for a server that is still shutting down.
    _temporary_socket_dir: Option<tempfile::TempDir>,
    _lock: Lock,
}

/// Whether the process id still means our child.
#[derive(Debug)]
enum ChildState {
    Running(Pid),
    Ended,
}

impl Server {
    /// Makes the cluster if needed, starts the server and waits until it accepts connections (at most 60 s).
    pub async fn start(config: ServerConfig) -> Result<Self, PostgresError> {
        let prepared = tokio::task::spawn_blocking(move || Prepared::new(&config)).await;
        // The closure does not panic and is not aborted; a panic would only be passed on.
        let prepared = prepared.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        prepared.launch().await
    }

    /// A connection address for SQL clients, through the socket.
    pub fn url(&self, user: &str, database: &str) -> String {
        socket_url(&self.socket_dir, self.port, user, database)
    }

    /// The folder of the socket.
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The port that names the socket (and the TCP port, where one was asked for).
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until the server has ended, however that came about, and says how.
    pub async fn exited(&self) -> String {
        let mut exit = self.exit.clone();
        match exit.wait_for(Option::is_some).await {
            Ok(status) => status.clone().unwrap_or_default(),
            Err(_) => "the watching thread ended".to_owned(),
        }
    }

    /// Fast shutdown: connections are cut, open transactions rolled back, everything committed is on disk. After 60 s
    /// the server is told to end at once and recovers on its next start.
    pub async fn stop(self) -> Result<(), PostgresError> {
        self.signal(Signal::INT);
        if tokio::time::timeout(STOP_LIMIT, self.exited()).await.is_ok() {
            return Ok(());
        }
        self.signal(Signal::QUIT);
        tokio::time::timeout(Duration::from_secs(5), self.exited())
            .await
            .map_err(|_| PostgresError::Timeout { what: "stop", seconds: STOP_LIMIT.as_secs() })?;
        Ok(())
    }

    fn is_child(&self, pid: i32) -> bool {
        let state = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*state, ChildState::Running(child) if child.as_raw_nonzero().get() == pid)
    }

    fn signal(&self, signal: Signal) {
        let state = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if let ChildState::Running(pid) = *state
            && let Err(error) = rustix::process::kill_process(pid, signal)
        {
            tracing::warn!(%error, "the PostgreSQL server could not be signalled");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::INT);
    }
}

/// Everything on disk is ready; the server is not started.
struct Prepared {
    command: Command,
    cluster: PathBuf,
    log_path: PathBuf,
    log_start: u64,
    socket_dir: PathBuf,
    temporary_socket_dir: Option<tempfile::TempDir>,
    port: u16,
    start_limit: Duration,
    lock: Lock,
}

impl Prepared {
    fn new(config: &ServerConfig) -> Result<Self, PostgresError> {
        let data_dir = config.data_dir.as_path();
        if !data_dir.exists() {
            std::fs::create_dir_all(data_dir).context("create", data_dir)?;
            // Others may pass through (the server's account must), not look around.
            let passable = std::fs::Permissions::from_mode(0o711);
            std::fs::set_permissions(data_dir, passable).context("protect", data_dir)?;
        }
        let data_dir = &data_dir.canonicalize().context("resolve", data_dir)?;
        let lock = Lock::take(data_dir)?;
        let account = Account::choose(&cluster::cluster_dir(data_dir))?;
        let cluster = cluster::prepare(data_dir, &config.installation, &account, &config.superuser)?;
        account.check_reach(&cluster.join("PG_VERSION"))?;
        let program = config.installation.program("postgres");
        account.check_reach(&program)?;
        clear_leftover(&cluster)?;
        cluster::write_access_rules(&cluster, config.tcp_port.is_some())?;

        let port = config.tcp_port.unwrap_or(SOCKET_PORT);
        let (socket_dir, temporary_socket_dir) = socket_folder(data_dir, port, &account)?;
        let (log, log_path) = cluster::open_log(data_dir)?;
        let log_start = log.metadata().map_or(0, |metadata| metadata.len());
        let second_handle = log.try_clone().context("open", &log_path)?;

        let arguments = arguments(&cluster, &socket_dir, port, config);
        let mut command = with_parent_death_signal(&account, &program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(second_handle)
            // Ctrl-C in a terminal goes to the whole group; the server must outlive our own draining.
            .process_group(0);
        let start_limit = config.start_limit;
        Ok(Self { command, cluster, log_path, log_start, socket_dir, temporary_socket_dir, port, start_limit, lock })
    }

    async fn launch(self) -> Result<Server, PostgresError> {
        let Self { command, cluster, log_path, log_start, socket_dir, temporary_socket_dir, port, start_limit, lock } =
            self;
        let (started, start) = oneshot::channel();
        let (exit_sender, exit) = watch::channel(None);
        // The kernel sends the parent-death signal when the *thread* that made the child ends, so the child needs a
        // thread that lives as long as it does; a runtime's threads come and go.
        std::thread::Builder::new()
            .name("postgres".to_owned())
            .stack_size(64 * 1024)
            .spawn(move || watch_over(command, started, &exit_sender))
            .context("start a thread for", &cluster)?;
        let child = match start.await {
            Ok(spawned) => spawned.context("start the server of", &cluster)?,
            Err(_) => {
                return Err(PostgresError::EndedEarly { status: "thread lost".to_owned(), log: String::new() });
            }
        };
        let server = Server { child, exit, socket_dir, port, _temporary_socket_dir: temporary_socket_dir, _lock: lock };
        wait_until_ready(&server, &cluster, &log_path, log_start, start_limit).await?;
        tracing::info!(socket = %server.socket_dir.display(), port, "the PostgreSQL server is ready");
        Ok(server)
    }
}

/// Waits for the end of a server that a dead predecessor left, and tells it to hurry.
fn clear_leftover(cluster: &Path) -> Result<(), PostgresError> {
    let start = Instant::now();
    let mut told = false;
    loop {
        let Leftover::Orphan(pid) = postmaster::leftover(cluster)? else {
            return Ok(());
        };
        if !told {
            tracing::warn!(pid = pid.as_raw_nonzero().get(), "ending a PostgreSQL server whose parent has died");
            postmaster::ask_fast_shutdown(pid);
            told = true;
        }
        if start.elapsed() > STOP_LIMIT {
            return Err(PostgresError::Timeout { what: "stop", seconds: STOP_LIMIT.as_secs() });
        }
        std::thread::sleep(POLL);
    }
}

/// `run` below the data folder, or a fresh folder below the temporary one where that path would be too long.
fn socket_folder(
    data_dir: &Path,
    port: u16,
    account: &Account,
) -> Result<(PathBuf, Option<tempfile::TempDir>), PostgresError> {
    let socket_name = format!("/.s.PGSQL.{port}.lock");
    let preferred = data_dir.join("run");
    if preferred.as_os_str().len() + socket_name.len() <= SOCKET_PATH_LIMIT {
        account.private_dir(&preferred)?;
        return Ok((preferred, None));
    }
    let parent = std::env::temp_dir();
    let folder = tempfile::Builder::new().prefix("carrel-").tempdir().context("create a folder in", &parent)?;
    account.private_dir(folder.path())?;
    account.check_reach(folder.path())?;
    Ok((folder.path().to_owned(), Some(folder)))
}

fn arguments(cluster: &Path, socket_dir: &Path, port: u16, config: &ServerConfig) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["-D".into(), cluster.into()];
    let mut set = |name: &str, value: &str| {
        arguments.push("-c".into());
        arguments.push(format!("{name}={value}").into());
    };
    set("port", &port.to_string());
    set("listen_addresses", if config.tcp_port.is_some() { "127.0.0.1" } else { "" });
    set("shared_buffers", &format!("{}MB", shared_buffers(memory())));
    for (name, value) in SETTINGS {
        set(name, value);
    }
    if config.installation.major() >= 18 {
        // The default keeps three idle I/O workers.
        set("io_method", "sync");
    }
    for (name, value) in &config.settings {
        set(name, value);
    }
    arguments.push("-k".into());
    arguments.push(socket_dir.into());
    arguments
}

/// Mebibytes of this machine's memory that the server keeps pages in: a sixteenth, so that a small machine keeps its
/// memory for others and the index of a large archive is not read from the kernel for every query.
fn shared_buffers(memory: Option<u64>) -> u64 {
    memory.map_or(64, |mebibytes| (mebibytes / 16).clamp(64, 512))
}

/// Mebibytes that this process may use: of the machine (proc(5)), or of its control group where that is less.
fn memory() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = machine.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let machine: u64 = line.split_whitespace().next()?.parse().ok()?;
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|bytes| bytes.trim().parse::<u64>().ok());
    Some(group.map_or(machine / 1024, |bytes| (bytes >> 20).min(machine / 1024)))
}

/// Runs the server through setpriv(1) where it exists, so that the kernel asks it to end when we die without a chance to.
fn with_parent_death_signal(account: &Account, program: &Path) -> Command {
    for setpriv in ["/usr/bin/setpriv", "/bin/setpriv"] {
        if Path::new(setpriv).exists() {
            let mut command = account.command(Path::new(setpriv));
            command.args(["--pdeathsig", "INT", "--"]).arg(program);
            return command;
        }
    }
    account.command(program)
}

/// Body of the watching thread: starts the server and waits for its end.
fn watch_over(
    mut command: Command,
    started: oneshot::Sender<std::io::Result<Arc<Mutex<ChildState>>>>,
    exit: &watch::Sender<Option<String>>,
) {
    let mut child: Child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let pid = Pid::from_child(&child);
    let state = Arc::new(Mutex::new(ChildState::Running(pid)));
    if started.send(Ok(Arc::clone(&state))).is_err() {
        // Whoever wanted the server has gone away.
        postmaster::ask_fast_shutdown(pid);
    }
    // Wait without reaping, so that the process id cannot be given to another process before the state says so.
    while rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).err()
        == Some(rustix::io::Errno::INTR)
    {}
    *state.lock().unwrap_or_else(PoisonError::into_inner) = ChildState::Ended;
    let status = match child.wait() {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::debug!(%status, "the PostgreSQL server has ended");
    exit.send_replace(Some(status));
}

async fn wait_until_ready(
    server: &Server,
    cluster: &Path,
    log_path: &Path,
    log_start: u64,
    limit: Duration,
) -> Result<(), PostgresError> {
    let start = Instant::now();
    loop {
        if let Ok(status) = tokio::time::timeout(POLL, server.exited()).await {
            return Err(PostgresError::EndedEarly { status, log: log_since(log_path, log_start) });
        }
        // A file that a killed server left behind says "ready" too, so the process must be ours.
        if Running::read(cluster).is_some_and(|running| running.ready && server.is_child(running.pid)) {
            return Ok(());
        }
        if start.elapsed() > limit {
            return Err(PostgresError::Timeout { what: "start", seconds: limit.as_secs() });
        }
    }
}

fn log_since(log_path: &Path, start: u64) -> String {
    let bytes = std::fs::read(log_path).unwrap_or_default();
    let from = usize::try_from(start).unwrap_or(0).min(bytes.len());
    cluster::tail(&String::from_utf8_lossy(&bytes[from..]), 2000)
}
