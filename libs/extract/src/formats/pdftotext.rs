//! A second opinion on PDF text: poppler's `pdftotext`, where it is installed.

use crate::program;

/// The text of each page; `None` when the program is missing or fails. At most `limit` bytes are read.
///
/// It inherits the limits on time and memory, reads the file from a pipe and can write nothing.
pub(super) fn pages(bytes: &[u8], limit: u64) -> Option<Vec<String>> {
    let program = program::find("pdftotext")?;
    let output = program::run(&program, &["-q", "-enc", "UTF-8", "-", "-"], bytes, limit)?;
    let text = String::from_utf8_lossy(&output);
    let mut pages: Vec<String> = text.split('\u{C}').map(str::to_owned).collect();
    // A form feed ends every page, also the last.
    if pages.last().is_some_and(|page| page.trim().is_empty()) {
        pages.pop();
    }
    Some(pages)
}
