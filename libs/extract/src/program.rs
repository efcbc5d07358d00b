//! Programs of the system that are asked for help where they are installed.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where packages put them. The search path is not asked: the child's environment is empty.
const PLACES: &[&str] = &["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"];

/// The program `name`, when it is installed.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    PLACES.iter().map(|place| Path::new(place).join(name)).find(|path| path.exists())
}

/// A command for `program` that has nothing but pipes: it inherits the limits of this process.
pub(crate) fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("LC_ALL", "C.UTF-8")
        // Its threads would only wait for each other.
        .env("OMP_THREAD_LIMIT", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// What `program` answers to `input`; `None` when it fails or answers more than `limit` bytes.
pub(crate) fn run(program: &Path, arguments: &[&str], input: &[u8], limit: u64) -> Option<Vec<u8>> {
    let mut child = command(program, arguments).spawn().ok()?;
    let mut stdin = child.stdin.take()?;
    let stdout = child.stdout.take()?;
    let mut output = Vec::new();
    std::thread::scope(|scope| {
        // It may stop reading early; that shows in its answer.
        scope.spawn(move || stdin.write_all(input).is_ok());
        let read = stdout.take(limit.saturating_add(1)).read_to_end(&mut output).is_ok();
        if !read || output.len() as u64 > limit {
            child.kill().ok();
        }
    });
    let status = child.wait().ok()?;
    (status.success() && output.len() as u64 <= limit).then_some(output)
}
