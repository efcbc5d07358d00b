//! A second opinion on PDF text: poppler's `pdftotext`, where it is installed.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Where packages put it. The search path is not asked: the child's environment is empty.
const PLACES: &[&str] = &["/usr/bin/pdftotext", "/usr/local/bin/pdftotext", "/opt/homebrew/bin/pdftotext"];

/// The text of each page; `None` when the program is missing or fails. At most `limit` bytes are read.
///
/// It inherits the limits on time and memory, reads the file from a pipe and can write nothing.
pub(super) fn pages(bytes: &[u8], limit: u64) -> Option<Vec<String>> {
    let program = PLACES.iter().map(Path::new).find(|path| path.exists())?;
    let mut child = Command::new(program)
        .args(["-q", "-enc", "UTF-8", "-", "-"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    let stdout = child.stdout.take()?;
    let mut output = Vec::new();
    std::thread::scope(|scope| {
        // It may stop reading early; that shows in its answer.
        scope.spawn(move || stdin.write_all(bytes).is_ok());
        stdout.take(limit.saturating_add(1)).read_to_end(&mut output).is_ok()
    });
    if output.len() as u64 > limit {
        child.kill().ok();
    }
    let status = child.wait().ok()?;
    if !status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output);
    let mut pages: Vec<String> = text.split('\u{C}').map(str::to_owned).collect();
    // A form feed ends every page, also the last.
    if pages.last().is_some_and(|page| page.trim().is_empty()) {
        pages.pop();
    }
    Some(pages)
}
