//! Measures screening: precision and recall on evaluation sets, speed, and memory on a long data set.
//!
//! `accuracy FOLDER [SECRETS.jsonl]`, `prose PARAGRAPHS.jsonl EVERY` (lines with `text`), `speed [CSV_FILE]`, `generate BYTES`, `memory` (a CSV on standard input).

#![expect(clippy::print_stdout, reason = "a measurement prints its figures")]

mod accuracy;
#[path = "../../tests/it/invent.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod invent;

use carrel_screening::dataset::{DatasetReport, Format, Settings, screen};
use carrel_screening::{Options, Scanner, WorkspaceKey};
use invent::Invent;
use std::io::{Read, Write};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Bytes of the generated table that the speed is measured on.
const BLOCK: usize = 64 << 20;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["accuracy", folder] => accuracy::run(folder, None),
        ["accuracy", folder, secrets] => accuracy::run(folder, Some(secrets)),
        ["prose", paragraphs, every] => accuracy::prose(paragraphs, every.parse::<usize>()?.max(1)),
        ["speed"] => speed(),
        ["generate", bytes] => generate(bytes.parse()?),
        ["memory"] => memory(),
        _ => {
            Err("accuracy FOLDER [SECRETS.jsonl] | prose PARAGRAPHS.jsonl EVERY | speed | generate BYTES | memory"
                .into())
        }
    }
}

/// Nanoseconds that this thread has spent on a processor.
fn cpu() -> Result<u64, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("no figure")?.parse()?)
}

fn megabytes_a_second(bytes: usize, nanoseconds: u64) -> f64 {
    bytes as f64 / 1e6 / (nanoseconds as f64 / 1e9)
}

fn table(bytes: usize) -> String {
    let mut invent = Invent::new(42);
    let mut text = Invent::HEADER.to_owned();
    let mut id = 0;
    while text.len() < bytes {
        id += 1;
        text.push_str(&invent.row(id));
    }
    text
}

fn run(source: impl Read) -> Result<DatasetReport, Box<dyn std::error::Error>> {
    let scanner = Scanner::new(Options::default())?;
    Ok(screen(source, &Settings::new(Format::CSV), &scanner, &WorkspaceKey::new([7; 32]), None)?)
}

fn speed() -> Outcome {
    let scanner = Scanner::new(Options::default())?;
    let key = WorkspaceKey::new([7; 32]);
    let personal = table(BLOCK);
    // A table without personal data: what most tables of a library are.
    let mut invent = Invent::new(43);
    let mut plain = "id,name,year,amount,remark\n".to_owned();
    while plain.len() < BLOCK {
        let line = format!(
            "{},{},{},{}.{},{}\n",
            invent.below(100_000),
            invent.word(),
            1900 + invent.below(120),
            invent.below(10_000),
            invent.below(100),
            invent.sentence()
        );
        plain.push_str(&line);
    }
    for (figure, name, csv) in [
        ("sensitive_megabytes_per_second", "CSV, eight sensitive cells of nine", &personal),
        ("plain_megabytes_per_second", "CSV, nothing sensitive", &plain),
    ] {
        let before = cpu()?;
        let report = screen(csv.as_bytes(), &Settings::new(Format::CSV), &scanner, &key, None)?;
        let spent = cpu()? - before;
        let found: u64 =
            report.columns.iter().flat_map(|column| &column.kinds).map(|count| count.cells + count.inside).sum();
        println!(
            "{name}: {:.1} MB/s per core ({} rows, {found} values, {} MB)",
            megabytes_a_second(csv.len(), spent),
            report.rows,
            csv.len() / 1_000_000
        );
        println!("figure {figure} {:.1}", megabytes_a_second(csv.len(), spent));
    }
    let text: String = (0..200_000).map(|_| invent.sentence() + "\n").collect();
    let before = cpu()?;
    let found = scanner.detect(&text, &key).len();
    println!("running text: {:.1} MB/s per core ({found} values)", megabytes_a_second(text.len(), cpu()? - before));
    Ok(())
}

fn generate(bytes: u64) -> Outcome {
    let mut out = std::io::BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    out.write_all(Invent::HEADER.as_bytes())?;
    let mut invent = Invent::new(44);
    let (mut written, mut id) = (0, 0);
    while written < bytes {
        id += 1;
        let row = invent.row(id);
        written += row.len() as u64;
        out.write_all(row.as_bytes())?;
        // One row in a hundred comes twice.
        if id % 100 == 0 {
            out.write_all(row.as_bytes())?;
        }
    }
    Ok(out.flush()?)
}

fn memory() -> Outcome {
    let before = cpu()?;
    let report = run(std::io::stdin().lock())?;
    let spent = cpu()? - before;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no figure")?;
    let kilobytes: u64 = peak.split_whitespace().next().ok_or("no figure")?.parse()?;
    println!(
        "{} rows, {} repeat another, risk {}; peak memory {} MiB, {:.0} s of processor time",
        report.rows,
        report.duplicates.rows,
        report.risk.score,
        kilobytes / 1024,
        spent as f64 / 1e9
    );
    println!("figure peak_mebibytes {}", kilobytes / 1024);
    Ok(())
}
