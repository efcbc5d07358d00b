//! The parent's side of the sandbox: start the child, bound it, read its answer.

use crate::child::{Answer, CHILD_ARGUMENT, ORDER_VARIABLE, Order};
use crate::error::ExtractError;
use crate::limits::Limits;
use carrel_domain::text::Rendition;
use rustix::process::{Pid, Signal, kill_process_group};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// Bytes of the child's error output that are looked at.
const STDERR_BYTES: u64 = 8 * 1024;
/// Longest name that is handed on, in characters.
const NAME_CHARS: usize = 255;

/// What one extraction may use.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// The program to run; its `main` calls [`crate::child_main`] when [`crate::is_child`].
    pub program: PathBuf,
    /// Wall-clock time.
    pub wall: Duration,
    /// CPU time in seconds.
    pub cpu_seconds: u64,
    /// Address space in bytes.
    pub memory_bytes: u64,
    /// Bounds that the readers of formats keep.
    pub limits: Limits,
}

impl SandboxConfig {
    /// Defaults for a given program: 60 seconds of time, 1 GiB of memory.
    pub fn for_program(program: impl Into<PathBuf>) -> Self {
        let program = program.into();
        Self {
            // The child runs in a folder of its own, from which a relative path leads nowhere.
            program: std::path::absolute(&program).unwrap_or(program),
            wall: Duration::from_mins(1),
            cpu_seconds: 60,
            memory_bytes: 1 << 30,
            limits: Limits::default(),
        }
    }

    /// Defaults for the running program itself.
    ///
    /// # Errors
    /// [`ExtractError::Sandbox`] when the path of the running program cannot be told.
    pub fn for_current_program() -> Result<Self, ExtractError> {
        // The link leads to the program that runs, even when an upgrade has replaced its file.
        let link = Path::new("/proc/self/exe");
        if link.exists() {
            return Ok(Self::for_program(link));
        }
        let program = std::env::current_exe().map_err(|error| failure("the running program has no path", &error))?;
        Ok(Self::for_program(program))
    }
}

/// Extracts files in child processes, one process per file.
///
/// The child has an empty environment, an empty folder of its own, the open file as its standard input, and
/// limits on address space, CPU, files and privileges. It is killed with its group when the wall-clock time is up
/// or when the future is dropped.
#[derive(Clone, Debug)]
pub struct Sandbox {
    config: SandboxConfig,
}

impl Sandbox {
    /// A sandbox for many files, also at once.
    pub fn new(config: SandboxConfig) -> Self {
        Self { config }
    }

    /// The rendition of the file at `input`, which came under `name`.
    ///
    /// # Errors
    /// Every kind of [`ExtractError`].
    pub async fn extract(&self, input: &Path, name: Option<&str>) -> Result<Rendition, ExtractError> {
        let file = tokio::fs::File::open(input).await.map_err(|error| failure("the file cannot be opened", &error))?;
        let length = file.metadata().await.map_err(|error| failure("the file cannot be read", &error))?.len();
        if length == 0 {
            return Err(ExtractError::Empty);
        }
        if length > self.config.limits.input_bytes {
            return Err(ExtractError::TooLarge { what: "the file".into(), limit: self.config.limits.input_bytes });
        }
        let folder = tempfile::tempdir().map_err(|error| failure("no temporary folder can be made", &error))?;
        let mut group = self.start(file.into_std().await, folder.path(), name)?;
        let outcome = tokio::time::timeout(self.config.wall, self.collect(&mut group)).await;
        group.kill();
        match outcome {
            Ok(outcome) => outcome,
            Err(_) => Err(ExtractError::LimitTime { seconds: self.config.wall.as_secs() }),
        }
    }

    fn start(&self, file: std::fs::File, folder: &Path, name: Option<&str>) -> Result<Group, ExtractError> {
        let order = Order {
            name: name.map(|name| name.chars().filter(|c| *c != '\0').take(NAME_CHARS).collect()),
            limits: self.config.limits,
            memory_bytes: self.config.memory_bytes,
            cpu_seconds: self.config.cpu_seconds,
        };
        let order = serde_json::to_string(&order)
            .map_err(|_| ExtractError::Sandbox { detail: "the order cannot be written".into() })?;
        let child = Command::new(&self.config.program)
            .arg(CHILD_ARGUMENT)
            .env_clear()
            .env(ORDER_VARIABLE, order)
            .env("LC_ALL", "C.UTF-8")
            // Every arena reserves address space, which is what is limited.
            .env("MALLOC_ARENA_MAX", "2")
            .current_dir(folder)
            .stdin(Stdio::from(file))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failure("the child cannot be started", &error))?;
        Ok(Group { child, reaped: false })
    }

    async fn collect(&self, group: &mut Group) -> Result<Rendition, ExtractError> {
        let stdout = group.child.stdout.take();
        let stderr = group.child.stderr.take();
        // JSON writes a line end as two bytes; the map and the warnings are small beside the text.
        let answer_limit = self.config.limits.output_bytes.saturating_mul(2).saturating_add(32 << 20);
        let (answer, complaint) = tokio::join!(read_bounded(stdout, answer_limit), read_bounded(stderr, STDERR_BYTES));
        if answer.len() as u64 > answer_limit {
            return Err(ExtractError::TooLarge { what: "the answer of the extraction".into(), limit: answer_limit });
        }
        let status = group.child.wait().await.map_err(|error| failure("the child cannot be waited for", &error))?;
        group.reaped = true;
        if !status.success() {
            return Err(self.reason_of(status, &complaint));
        }
        // A large answer takes milliseconds to parse.
        let parsed = tokio::task::spawn_blocking(move || serde_json::from_slice(&answer)).await;
        match parsed {
            Ok(Ok(Answer::Done(rendition))) => Ok(rendition),
            Ok(Ok(Answer::Failed(error))) => Err(error),
            _ => Err(ExtractError::Crashed { detail: "its answer is malformed".into() }),
        }
    }

    /// Why a child ended without an answer.
    fn reason_of(&self, status: ExitStatus, complaint: &[u8]) -> ExtractError {
        let complaint = String::from_utf8_lossy(complaint);
        // The Rust runtime aborts with these words; so do the allocators of C and C++ programs.
        if complaint.contains("memory allocation of") || complaint.contains("out of memory") {
            return ExtractError::LimitMemory { bytes: self.config.memory_bytes };
        }
        if complaint.contains("has overflowed its stack") {
            return ExtractError::Crashed { detail: "it nests too deep".into() };
        }
        match status.signal() {
            Some(signal) if signal == Signal::XCPU.as_raw() => {
                ExtractError::LimitTime { seconds: self.config.cpu_seconds }
            }
            // This side kills only after it has stopped waiting, so it was the kernel, out of memory.
            Some(signal) if signal == Signal::KILL.as_raw() => {
                ExtractError::LimitMemory { bytes: self.config.memory_bytes }
            }
            Some(signal) => ExtractError::Crashed { detail: format!("signal {signal}") },
            None => ExtractError::Crashed { detail: format!("exit code {}", status.code().unwrap_or(-1)) },
        }
    }
}

/// A child and what it started, in one process group.
struct Group {
    child: Child,
    /// The child has been waited for, so that its id may already be another's.
    reaped: bool,
}

impl Group {
    fn kill(&mut self) {
        if self.reaped {
            return;
        }
        let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else { return };
        if kill_process_group(pid, Signal::KILL).is_err() {
            tracing::debug!("an extraction child was already gone when it should be killed");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads at most one byte more than `limit`.
async fn read_bounded(stream: Option<impl AsyncRead + Unpin>, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // A broken pipe is the child's end; what came before it is looked at.
        if stream.take(limit + 1).read_to_end(&mut bytes).await.is_err() {
            tracing::debug!("an extraction child broke its pipe");
        }
    }
    bytes
}

fn failure(what: &str, error: &std::io::Error) -> ExtractError {
    ExtractError::Sandbox { detail: format!("{what} ({})", error.kind()) }
}
