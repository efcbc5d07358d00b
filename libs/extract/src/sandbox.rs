//! The parent's side of the sandbox: start the child, bound it, read its answer.

use crate::child::{CHILD_ARGUMENT, ORDER_VARIABLE};
use crate::children::{ChildDocument, safe_name};
use crate::confine::Confinement;
use crate::error::ExtractError;
use crate::limits::Limits;
use crate::ocr::OcrConfig;
use crate::wire::{self, Answer, Order, Outcome};
use carrel_domain::text::Rendition;
use rustix::process::{Pid, Signal, kill_process_group};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Once;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
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
    /// How pictures and scanned pages are read.
    pub ocr: OcrConfig,
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
            ocr: OcrConfig::default(),
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

/// One file to extract.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// The file.
    pub input: &'r Path,
    /// The name it came under, which may promise anything.
    pub name: Option<&'r str>,
    /// How many documents it was found within: 0 for a document of its own, the parent's plus one for a child.
    pub depth: u32,
    /// An empty folder of the caller's for the content of the documents found inside; `None` when only their names are
    /// wanted.
    pub children: Option<&'r Path>,
}

/// What was read of a file.
#[derive(Clone, Debug)]
pub struct Extraction {
    /// Its text and the map of it.
    pub rendition: Rendition,
    /// Documents found inside, in their order.
    pub children: Vec<ChildDocument>,
    /// Which walls of the kernel stood around the child.
    pub confinement: Confinement,
}

/// Extracts files in child processes, one process per file.
///
/// The child has an empty environment, an empty folder of its own, the open file as its standard input, limits on
/// address space, CPU, files and privileges, and what walls the kernel has (see [`Confinement`]). It writes to no file:
/// the documents that it finds come over its standard output and are written by this side. It is killed with its group when the wall-clock time is up
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

    /// What a file may use.
    pub fn config(&self) -> &SandboxConfig {
        &self.config
    }

    /// The rendition of the file at `input`, which came under `name`.
    ///
    /// # Errors
    /// Every kind of [`ExtractError`].
    pub async fn extract(&self, input: &Path, name: Option<&str>) -> Result<Rendition, ExtractError> {
        let request = Request { input, name, depth: 0, children: None };
        self.extract_with_children(&request).await.map(|extraction| extraction.rendition)
    }

    /// The rendition of a file and the documents found inside of it (members of archives, attachments of mails). Files
    /// that were written to [`Request::children`] stay there also when the extraction fails.
    ///
    /// # Errors
    /// Every kind of [`ExtractError`].
    pub async fn extract_with_children(&self, request: &Request<'_>) -> Result<Extraction, ExtractError> {
        let file =
            tokio::fs::File::open(request.input).await.map_err(|error| failure("the file cannot be opened", &error))?;
        let length = file.metadata().await.map_err(|error| failure("the file cannot be read", &error))?.len();
        if length == 0 {
            return Err(ExtractError::Empty);
        }
        if length > self.config.limits.input_bytes {
            return Err(ExtractError::TooLarge { what: "the file".into(), limit: self.config.limits.input_bytes });
        }
        let folder = tempfile::tempdir().map_err(|error| failure("no temporary folder can be made", &error))?;
        let mut group = self.start(file.into_std().await, folder.path(), request)?;
        let outcome = tokio::time::timeout(self.config.wall, self.collect(&mut group, request.children)).await;
        group.kill();
        match outcome {
            Ok(outcome) => outcome,
            Err(_) => Err(ExtractError::LimitTime { seconds: self.config.wall.as_secs() }),
        }
    }

    fn start(&self, file: std::fs::File, folder: &Path, request: &Request<'_>) -> Result<Group, ExtractError> {
        let order = Order {
            name: request.name.map(last_characters),
            depth: request.depth,
            keep_children: request.children.is_some(),
            limits: self.config.limits,
            ocr: self.config.ocr.clone(),
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

    async fn collect(&self, group: &mut Group, folder: Option<&Path>) -> Result<Extraction, ExtractError> {
        let (Some(stdout), stderr) = (group.child.stdout.take(), group.child.stderr.take()) else {
            return Err(ExtractError::Sandbox { detail: "the child has no output".into() });
        };
        let (spoken, complaint) = tokio::join!(self.listen(stdout, folder), read_bounded(stderr, STDERR_BYTES));
        let (answer, files) = match spoken {
            Ok(spoken) => spoken,
            // It still talks; nobody listens any more.
            Err(error) => return Err(error),
        };
        let status = group.child.wait().await.map_err(|error| failure("the child cannot be waited for", &error))?;
        group.reaped = true;
        if !status.success() {
            return Err(self.reason_of(status, &complaint));
        }
        // A large answer takes milliseconds to parse.
        let parsed = tokio::task::spawn_blocking(move || serde_json::from_slice::<Answer>(&answer)).await;
        let Ok(Ok(answer)) = parsed else {
            return Err(ExtractError::Crashed { detail: "its answer is malformed".into() });
        };
        report(answer.confinement);
        let rendition = match answer.result {
            Outcome::Done(rendition) => rendition,
            Outcome::Failed(error) => return Err(error),
        };
        let mut children = answer.children;
        for child in &mut children {
            child.name = safe_name(&child.name);
        }
        if folder.is_some() {
            if files.len() != children.len() {
                return Err(ExtractError::Crashed { detail: "its answer does not fit what it handed on".into() });
            }
            for (child, (path, bytes)) in children.iter_mut().zip(files) {
                child.path = Some(path);
                child.bytes = bytes;
            }
        }
        Ok(Extraction { rendition, children, confinement: answer.confinement })
    }

    /// Reads the child's frames: the answer, and the files that its documents were written to with their sizes. What
    /// the child says about sizes and numbers is not believed.
    async fn listen(
        &self,
        mut stream: impl AsyncRead + Unpin,
        folder: Option<&Path>,
    ) -> Result<(Vec<u8>, Vec<(PathBuf, u64)>), ExtractError> {
        let limits = &self.config.limits;
        // JSON writes a line end as two bytes; the map and the warnings are small beside the text.
        let answer_limit = limits.output_bytes.saturating_mul(2).saturating_add(32 << 20);
        let mut files: Vec<(PathBuf, u64)> = Vec::new();
        let mut room = limits.children_bytes;
        while let Some((kind, length)) = wire::head(&mut stream).await {
            match (kind, folder) {
                (wire::ANSWER, _) if length <= answer_limit => {
                    return Ok((read_bounded(Some((&mut stream).take(length)), length).await, files));
                }
                (wire::ANSWER, _) => {
                    let what = "the answer of the extraction".into();
                    return Err(ExtractError::TooLarge { what, limit: answer_limit });
                }
                (wire::CHILD, Some(folder)) => {
                    if length > room {
                        let what = "what lies inside of the file".into();
                        return Err(ExtractError::TooLarge { what, limit: limits.children_bytes });
                    }
                    if files.len() as u64 >= u64::from(limits.children) {
                        return Err(ExtractError::too_many("documents inside of the file", limits.children));
                    }
                    room -= length;
                    let path = folder.join(format!("{:06}", files.len()));
                    write_child(&path, (&mut stream).take(length), length).await?;
                    files.push((path, length));
                }
                _ => return Err(ExtractError::Crashed { detail: "its answer is malformed".into() }),
            }
        }
        // It ended without an answer; its status tells why.
        Ok((Vec::new(), files))
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
                ExtractError::LimitCpu { seconds: self.config.cpu_seconds }
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

/// The end of a name, which has the extension.
fn last_characters(name: &str) -> String {
    let count = name.chars().count();
    name.chars().skip(count.saturating_sub(NAME_CHARS)).filter(|c| *c != '\0').collect()
}

/// Says once in the life of a process which walls are missing.
fn report(confinement: Confinement) {
    static SAID: Once = Once::new();
    if !confinement.landlock || !confinement.seccomp {
        SAID.call_once(|| {
            tracing::warn!(
                landlock = confinement.landlock,
                seccomp = confinement.seccomp,
                "the kernel lacks walls for the extraction of documents; the limits on time, memory and files hold"
            );
        });
    }
}

/// Writes a document found inside to a new file.
async fn write_child(path: &Path, mut content: impl AsyncRead + Unpin, length: u64) -> Result<(), ExtractError> {
    let broken = |error: std::io::Error| failure("a document inside of the file cannot be written", &error);
    let mut file = tokio::fs::File::create_new(path).await.map_err(broken)?;
    let written = tokio::io::copy(&mut content, &mut file).await.map_err(broken)?;
    file.flush().await.map_err(broken)?;
    if written < length {
        return Err(ExtractError::Crashed { detail: "it ended while it handed a document on".into() });
    }
    Ok(())
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
