//! `carrel screen`: personal data and credentials in files, with no server and no network.

use crate::output;
use anyhow::{Context, Result, bail};
use carrel_extract::{Sandbox, SandboxConfig};
use carrel_screening::dataset::{Format, Settings, screen};
use carrel_screening::report::{DocumentReport, Report};
use carrel_screening::{Options, Policy, Scanner, WorkspaceKey};
use clap::{Args, ValueEnum, ValueHint};
use rand::Rng;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct Screen {
    /// Files: documents of any format that Carrel reads, and data sets (CSV, TSV, JSON, NDJSON) of any size.
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// How to report. Reports hold kinds, counts, places, masks and keyed digests, never a value.
    #[arg(long, value_enum, default_value_t = Form::Markdown)]
    report: Form,
    /// What the files are; by default their names tell.
    #[arg(long = "as", value_enum)]
    what: Option<What>,
    /// File with 32 bytes that key the digests, to compare reports with each other; by default a new key for each run.
    #[arg(long, value_hint = ValueHint::FilePath)]
    key_file: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Markdown,
    Csv,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// A text with places.
    Document,
    /// Rows with columns.
    Data,
}

impl Screen {
    pub(crate) async fn run(&self, json: bool) -> Result<()> {
        let scanner = Scanner::new(Options::default())?;
        let key = WorkspaceKey::new(self.key()?);
        for file in &self.files {
            let form = if json { Form::Json } else { self.report };
            let written = match self.what.unwrap_or_else(|| guess(file)) {
                What::Data => data_set(file, &scanner, &key, form),
                What::Document => document(file, &scanner, &key, form).await,
            };
            let written = written.with_context(|| format!("{} cannot be screened", file.display()))?;
            if self.files.len() > 1 && !json {
                println!("\n<!-- {} -->\n", output::line(&file.display().to_string(), 200));
            }
            println!("{}", written.trim_end());
        }
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "a key that nobody keeps must come from the system")]
    fn key(&self) -> Result<[u8; 32]> {
        let Some(path) = &self.key_file else {
            let mut key = [0; 32];
            rand::rng().fill_bytes(&mut key);
            return Ok(key);
        };
        let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let Ok(key) = bytes.try_into() else { bail!("{} does not hold 32 bytes", path.display()) };
        Ok(key)
    }
}

fn guess(file: &Path) -> What {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase();
    match extension.as_str() {
        "csv" | "tsv" | "json" | "ndjson" | "jsonl" => What::Data,
        _ => What::Document,
    }
}

fn data_set(path: &Path, scanner: &Scanner, key: &WorkspaceKey, form: Form) -> Result<String> {
    let mut file = File::open(path)?;
    let mut sample = Vec::new();
    file.by_ref().take(64 << 10).read_to_end(&mut sample)?;
    file.rewind()?;
    let report = screen(file, &Settings::new(Format::sniff(&sample)), scanner, key, None)?;
    write(&report, form)
}

async fn document(path: &Path, scanner: &Scanner, key: &WorkspaceKey, form: Form) -> Result<String> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let sandbox = Sandbox::new(SandboxConfig::for_current_program()?);
    let rendition = sandbox.extract(path, Some(&name)).await?;
    let screened = Policy::default().apply(&rendition.text, scanner.detect(&rendition.text, key));
    let title = rendition.title.unwrap_or_else(|| name.clone());
    write(&DocumentReport::new(name, title, &screened), form)
}

fn write(report: &impl Report, form: Form) -> Result<String> {
    Ok(match form {
        Form::Markdown => report.markdown(),
        Form::Csv => report.csv()?,
        Form::Json => report.json()?,
    })
}
