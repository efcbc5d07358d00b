//! Reads folders of documents and says how well: how many give text and why the others do not, how much of expected
//! text and of `pdftotext`'s is found again, and how many pages a second are read.
//!
//! ```text
//! extract-eval mixed FOLDER     every document below FOLDER; with the words of groundtruth/NAME.md where there are any
//! extract-eval hostile FOLDER   every file below FOLDER; succeeds when none crashes the reader
//! extract-eval pdf FOLDER…      every PDF: characters and pages per second, beside pdftotext
//! ```
//!
//! Lines that open with `figure` are a name and a number, for programs.

#![expect(clippy::print_stdout, reason = "its answer is what it prints")]

use anyhow::{Context, Result, bail};
use carrel_extract::{ExtractError, Extraction, Request, Sandbox, SandboxConfig};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Folders and files of the sets that are no documents to read.
const NO_DOCUMENTS: &[&str] = &["groundtruth", "README.md", "MANIFEST.md", "MANIFEST", "COPYING", "LICENSE"];
/// A document counts as read when this share of its expected words is found.
const ENOUGH: f64 = 0.8;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    if carrel_extract::is_child() {
        return Ok(carrel_extract::child_main());
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, folders @ ..] = &arguments[..] else { bail!("usage: extract-eval mixed|hostile|pdf FOLDER…") };
    let mut files = Vec::new();
    for folder in folders {
        collect(Path::new(folder), &mut files).with_context(|| format!("the folder {folder}"))?;
    }
    files.sort();
    let mut config = SandboxConfig::for_current_program()?;
    config.wall = Duration::from_mins(5);
    let sandbox = Sandbox::new(config);
    match what.as_str() {
        "mixed" => mixed(&sandbox, &files).await,
        "hostile" => Ok(hostile(&sandbox, &files).await),
        "pdf" => pdf(&sandbox, &files).await,
        _ => bail!("neither mixed, hostile nor pdf: {what}"),
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if NO_DOCUMENTS.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

async fn read(sandbox: &Sandbox, file: &Path) -> Result<Extraction, ExtractError> {
    let name = file.file_name().and_then(|name| name.to_str());
    sandbox.extract_with_children(&Request { input: file, name, depth: 0, children: None }).await
}

#[derive(Default)]
struct Tally {
    read: usize,
    reasons: BTreeMap<&'static str, Vec<PathBuf>>,
    kinds: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, file: &Path, result: &Result<Extraction, ExtractError>) {
        match result {
            Ok(extraction) => {
                self.read += 1;
                *self.kinds.entry(extraction.rendition.media_type.clone()).or_default() += 1;
            }
            Err(error) => self.reasons.entry(error.reason()).or_default().push(file.to_owned()),
        }
    }

    fn print(&self, all: usize) {
        println!("files {all}, read {}", self.read);
        for (reason, files) in &self.reasons {
            println!("  {reason}: {}", files.len());
            for file in files.iter().take(20) {
                println!("    {}", file.display());
            }
        }
        let kinds: Vec<String> = self.kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        println!("kinds: {}", kinds.join(", "));
    }
}

async fn mixed(sandbox: &Sandbox, files: &[PathBuf]) -> Result<ExitCode> {
    let mut tally = Tally::default();
    let mut recalls = Vec::new();
    let mut walls = None;
    for file in files {
        let result = read(sandbox, file).await;
        tally.add(file, &result);
        let Ok(extraction) = result else { continue };
        walls = Some(extraction.confinement);
        if let Some(expected) = expected(file) {
            let share = recall(&words(&expected), &words(&extraction.rendition.text));
            recalls.push((share, file));
        }
    }
    tally.print(files.len());
    let protected = tally.reasons.get("encrypted").map_or(0, Vec::len);
    let valid = files.len() - protected;
    println!("valid (without {protected} that need a password) {valid}, read {:.1} %", percent(tally.read, valid));
    println!("figure read_percent {:.1}", percent(tally.read, valid));
    let enough = recalls.iter().filter(|(share, _)| *share >= ENOUGH).count();
    let mean = recalls.iter().map(|(share, _)| share).sum::<f64>() / recalls.len().max(1) as f64;
    println!("with expected text {}, mean recall of words {mean:.3}, at least {ENOUGH} in {enough}", recalls.len());
    recalls.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (share, file) in recalls.iter().take_while(|(share, _)| *share < ENOUGH) {
        println!("  {share:.2} {}", file.display());
    }
    if let Some(walls) = walls {
        println!("walls: landlock {}, seccomp {}", walls.landlock, walls.seccomp);
    }
    Ok(ExitCode::SUCCESS)
}

async fn hostile(sandbox: &Sandbox, files: &[PathBuf]) -> ExitCode {
    let mut tally = Tally::default();
    let mut slowest = (Duration::ZERO, PathBuf::new());
    for file in files {
        let begun = Instant::now();
        let result = read(sandbox, file).await;
        slowest = slowest.max((begun.elapsed(), file.clone()));
        tally.add(file, &result);
    }
    tally.print(files.len());
    println!("slowest {:.2} s: {}", slowest.0.as_secs_f64(), slowest.1.display());
    let crashed = tally.reasons.get("crashed").map_or(0, Vec::len);
    println!("figure crashed {crashed}");
    if crashed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn pdf(sandbox: &Sandbox, files: &[PathBuf]) -> Result<ExitCode> {
    let (mut ours, mut theirs) = (Duration::ZERO, Duration::ZERO);
    let (mut pages, mut count, mut found, mut wanted) = (0, 0, 0, 0);
    let mut poor = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "pdf")) {
        let begun = Instant::now();
        let result = read(sandbox, file).await;
        let took = begun.elapsed();
        let Ok(extraction) = result else { continue };
        // What only character recognition could read is no matter of this comparison.
        if extraction.rendition.warnings.iter().any(|warning| warning.contains("read by character recognition")) {
            continue;
        }
        let begun = Instant::now();
        let Some(text) = pdftotext(file) else {
            println!("skipped: pdftotext is not installed");
            return Ok(ExitCode::SUCCESS);
        };
        theirs += begun.elapsed();
        ours += took;
        count += 1;
        pages += extraction.rendition.map.pages.len();
        let (here, there) = (characters(&extraction.rendition.text), characters(&text));
        let common: usize = there.iter().map(|(c, count)| (*count).min(here.get(c).copied().unwrap_or(0))).sum();
        let all: usize = there.values().sum();
        found += common;
        wanted += all;
        if common * 100 < all * 98 {
            poor.push(format!("  {:.1} % {}", percent(common, all), file.display()));
        }
    }
    println!("PDFs {count}, pages {pages}");
    println!("characters of pdftotext found again: {:.2} % of {wanted}", percent(found, wanted));
    for line in &poor {
        println!("{line}");
    }
    println!("a sandboxed process for each file, beside a process of pdftotext for each:");
    println!("figure characters_percent {:.2}", percent(found, wanted));
    println!("figure carrel_pages_per_second {:.1}", pages as f64 / ours.as_secs_f64());
    println!("figure pdftotext_pages_per_second {:.1}", pages as f64 / theirs.as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

fn pdftotext(file: &Path) -> Option<String> {
    let output =
        std::process::Command::new("pdftotext").args(["-q", "-enc", "UTF-8"]).arg(file).arg("-").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How often each visible character stands in a text, once ligatures and compatible forms are one.
fn characters(text: &str) -> HashMap<char, usize> {
    let mut counts = HashMap::new();
    for c in carrel_text::normalise(text).chars().filter(|c| c.is_alphanumeric()) {
        *counts.entry(c).or_default() += 1;
    }
    counts
}

/// The text that the set expects of a document, without the marks of Markdown.
fn expected(file: &Path) -> Option<String> {
    let folder = file.parent()?;
    let name = file.file_name()?.to_str()?;
    let stem = file.file_stem()?.to_str()?;
    [folder.to_owned(), folder.parent()?.to_owned()]
        .iter()
        .flat_map(|place| [format!("{name}.md"), format!("{stem}.md")].map(|name| place.join("groundtruth").join(name)))
        .find_map(|path| std::fs::read_to_string(path).ok())
}

/// Words with how often they stand. Addresses of links and HTML tags are no words.
fn words(text: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['<', '(']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let end = if before.ends_with(']') { ')' } else { '>' };
        let is_mark = from.starts_with("<!--") || from.starts_with('<') || before.ends_with(']');
        match from.find(end).filter(|length| is_mark && *length < 500) {
            Some(length) => rest = &from[length + 1..],
            None => {
                plain.push(' ');
                rest = &from[1..];
            }
        }
    }
    plain.push_str(rest);
    for word in plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    counts
}

fn recall(expected: &HashMap<String, usize>, found: &HashMap<String, usize>) -> f64 {
    let all: usize = expected.values().sum();
    let common: usize = expected.iter().map(|(word, n)| (*n).min(found.get(word).copied().unwrap_or(0))).sum();
    if all == 0 { 1.0 } else { common as f64 / all as f64 }
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}
