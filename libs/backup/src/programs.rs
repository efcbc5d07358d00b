//! PostgreSQL's own programs: finding those that fit the server, and running them.

use crate::error::{BackupError, io};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

/// Bytes kept of what a program says.
const SAID: usize = 4_000;

/// Where programs are looked for.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    /// In this order; the distribution's folders and the PATH come after them.
    pub folders: Vec<PathBuf>,
}

impl Programs {
    /// The first program of that name that is at least as new as the server: older ones refuse.
    pub(crate) fn find(&self, program: &'static str, server: i32) -> Result<PathBuf, BackupError> {
        let major = u32::try_from(server / 10_000).unwrap_or_default();
        let found = self.candidates().into_iter().map(|folder| folder.join(program));
        found
            .filter(|path| path.is_file())
            .find(|path| version(path).is_some_and(|version| version >= major))
            .ok_or(BackupError::NoProgram { program, major })
    }

    /// The first program of that name, whatever its version.
    pub(crate) fn any(&self, program: &str) -> Option<PathBuf> {
        self.candidates().into_iter().map(|folder| folder.join(program)).find(|path| path.is_file())
    }

    fn candidates(&self) -> Vec<PathBuf> {
        let mut folders = self.folders.clone();
        let distribution = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut distribution: Vec<(u32, PathBuf)> = distribution
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
            .collect();
        distribution.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
        folders.extend(distribution.into_iter().map(|(_, folder)| folder));
        folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
        folders
    }
}

/// Reads `pg_dump (PostgreSQL) 18.4`.
fn version(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let printed = String::from_utf8(output.stdout).ok()?;
    let digits: String = printed.split_whitespace().nth(2)?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// An address without its password, which would show in the list of processes, and the password.
pub(crate) fn without_password(url: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let Some((user, host)) = authority.rsplit_once('@') else { return (url.to_owned(), None) };
    let Some((login, password)) = user.split_once(':') else { return (url.to_owned(), None) };
    let password = percent_encoding::percent_decode_str(password).decode_utf8_lossy().into_owned();
    (format!("{scheme}://{login}@{host}{tail}"), Some(password))
}

/// A program that asks or tells a server.
pub(crate) fn command(program: &Path, url: &str) -> Command {
    let (address, password) = without_password(url);
    let mut command = Command::new(program);
    command.arg("--no-password").arg(format!("--dbname={address}")).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    if let Some(password) = password {
        command.env("PGPASSWORD", password);
    }
    command
}

/// A program whose output is read, or that reads what is written.
pub(crate) struct Running {
    program: String,
    child: Child,
    said: JoinHandle<String>,
}

impl Running {
    /// Starts it; standard error is kept aside.
    pub(crate) fn start(mut command: Command) -> Result<Self, BackupError> {
        let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut child = command.stderr(Stdio::piped()).spawn().map_err(io(format!("{program} cannot be started")))?;
        let stderr = child.stderr.take();
        let said = std::thread::spawn(move || stderr.map(read_end).unwrap_or_default());
        Ok(Self { program, child, said })
    }

    pub(crate) fn output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    pub(crate) fn input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Waits for its end, which must be a good one.
    pub(crate) fn finish(mut self) -> Result<(), BackupError> {
        let status = self.child.wait().map_err(io(format!("{} was lost", self.program)))?;
        let said = self.said.join().unwrap_or_default();
        if status.success() {
            return Ok(());
        }
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let said = if lines.is_empty() { status.to_string() } else { lines.join(" | ") };
        Err(BackupError::Program { program: self.program, said })
    }
}

/// Runs a program to its end.
pub(crate) fn run(mut command: Command) -> Result<(), BackupError> {
    command.stdout(Stdio::null());
    Running::start(command)?.finish()
}

/// The end of what is read.
fn read_end(mut from: impl Read) -> String {
    let (mut kept, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(read) = from.read(&mut part) {
        if read == 0 {
            break;
        }
        kept.extend_from_slice(&part[..read]);
        if kept.len() > 2 * SAID {
            kept.drain(..kept.len() - SAID);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// A program's output that ends with an error when the program did: half a dump must not look whole.
pub(crate) struct Output {
    from: ChildStdout,
    running: Option<Running>,
}

impl Output {
    pub(crate) fn of(mut command: Command) -> Result<Self, BackupError> {
        let mut running = Running::start({
            command.stdout(Stdio::piped());
            command
        })?;
        let from = running.output().ok_or_else(|| BackupError::damaged(&running.program, "it has no output"))?;
        Ok(Self { from, running: Some(running) })
    }
}

impl Read for Output {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(to)?;
        if read == 0
            && !to.is_empty()
            && let Some(running) = self.running.take()
        {
            running.finish().map_err(std::io::Error::other)?;
        }
        Ok(read)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Left half-way: nobody reads it any more, and it must not stay behind.
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn a_password_is_taken_out() {
        for (url, address, password) in [
            ("postgres://a:b%40@h:1/d?x=y", "postgres://a@h:1/d?x=y", Some("b@")),
            ("postgres://a@h/d", "postgres://a@h/d", None),
            ("postgres:///d?host=%2Frun&user=a", "postgres:///d?host=%2Frun&user=a", None),
        ] {
            assert_eq!(without_password(url), (address.to_owned(), password.map(str::to_owned)), "{url}");
        }
    }
}
