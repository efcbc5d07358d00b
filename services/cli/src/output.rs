//! How answers and failures are shown.

use anyhow::Result;
use carrel_client::ClientError;
use chrono::{DateTime, NaiveDate, Utc};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::IsTerminal;

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// What a shell reports of a program that wrote to a pipe which nobody reads any more: 128 and SIGPIPE.
const READER_GONE: i32 = 141;

/// Makes the program end without a word when whoever reads its answer has read enough (`carrel show case | head`). `println!`
/// panics then, and Rust keeps the signal that would end any other program.
pub(crate) fn end_with_the_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if said.starts_with("failed printing to std") && said.contains("Broken pipe") {
            std::process::exit(READER_GONE);
        }
        usual(panic);
    }));
}

/// Tells why a command failed, and what to do.
pub(crate) fn failure(error: &anyhow::Error, json: bool) {
    // A connection that breaks is another matter, and is told.
    let of_client = error.chain().any(<dyn std::error::Error>::is::<ClientError>);
    let mut writing = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    if !of_client && writing.any(|error| error.kind() == std::io::ErrorKind::BrokenPipe) {
        std::process::exit(READER_GONE);
    }
    let problem = error.chain().find_map(|cause| match cause.downcast_ref::<ClientError>() {
        Some(ClientError::Problem(problem)) => Some(problem),
        _ => None,
    });
    if json {
        let value = match problem {
            Some(problem) => serde_json::json!({ "error": problem }),
            None => serde_json::json!({ "error": { "detail": format!("{error:#}") } }),
        };
        eprintln!("{value}");
        return;
    }
    eprintln!("carrel: {error:#}");
    if let Some(problem) = problem {
        eprintln!("  what to do: {}", problem.advice);
        eprintln!("  code {}, request {}", problem.code, problem.request_id);
    }
    let unreachable = error.chain().any(|cause| matches!(cause.downcast_ref(), Some(ClientError::Unreachable { .. })));
    if unreachable {
        eprintln!("  what to do: start Carrel with `carrel up`, or name another address with --url");
    }
}

/// A bar on a terminal, nothing elsewhere.
pub(crate) fn bar(length: u64, shown: bool) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if !shown || !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{prefix:>10} [{bar:30}] {pos}/{len} {elapsed} {wide_msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// True when colour helps: a terminal, and nobody asked for none (<https://no-color.org>).
pub(crate) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Text from documents for a terminal: control characters could move the cursor or worse.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// Markdown for whoever reads it here: a terminal shows it without the marks that keep it from meaning something else.
pub(crate) fn markdown(text: &str) -> String {
    if std::io::stdout().is_terminal() { without_escapes(text) } else { text.to_owned() }
}

/// Without the backslashes that escape (CommonMark 0.31, 2.4).
fn without_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match characters.peek() {
            Some(next) if character == '\\' && next.is_ascii_punctuation() => out.extend(characters.next()),
            _ => out.push(character),
        }
    }
    out
}

/// A moment as people write it: a time of RFC 3339, or a day, which is its beginning in UTC.
pub(crate) fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0)?.and_utc());
    let found = text.parse().ok().or_else(day);
    found.ok_or_else(|| "write a time like 2026-11-21T14:05:00Z, or a day like 2026-11-21".to_owned())
}

/// One line of `text`, at most `longest` characters.
pub(crate) fn line(text: &str, longest: usize) -> String {
    let flat = printable(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    if flat.chars().count() <= longest {
        return flat;
    }
    let mut cut: String = flat.chars().take(longest.saturating_sub(1)).collect();
    cut.push('…');
    cut
}
