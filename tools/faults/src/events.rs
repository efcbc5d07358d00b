//! What handlers note: a file per worker, one line per event, written at once so that it survives the worker's death.

use anyhow::{Context, Result};
use carrel_domain::JobId;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// A handler began, by the database's clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    /// The job.
    pub job: JobId,
    /// Which attempt.
    pub attempt: u16,
    /// When it was claimed.
    pub at: DateTime<Utc>,
}

/// Writes them.
#[derive(Debug)]
pub struct Journal(Option<Files>);

#[derive(Debug)]
struct Files {
    starts: File,
    letters: File,
}

impl Journal {
    /// Appends to the file, or forgets everything without one.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self(None)) };
        let open = |path: &Path| {
            let file = File::options().create(true).append(true).open(path);
            file.with_context(|| format!("{} cannot be written", path.display()))
        };
        Ok(Self(Some(Files { starts: open(path)?, letters: open(&path.with_extension("letters"))? })))
    }

    /// Notes a start. One write per line, so lines of several threads do not mix.
    pub fn note(&self, start: &Start) -> Result<()> {
        let Some(files) = self.0.as_ref() else { return Ok(()) };
        let mut line = serde_json::to_vec(start)?;
        line.push(b'\n');
        Ok((&files.starts).write_all(&line)?)
    }

    /// What a receiver outside would do: takes a letter and remembers its key.
    pub fn send(&self, key: &str) -> Result<()> {
        let Some(files) = self.0.as_ref() else { return Ok(()) };
        Ok((&files.letters).write_all(format!("{key}\n").as_bytes())?)
    }
}

/// Every start that the files of `folder` tell, oldest first.
pub fn read(folder: &Path) -> Result<Vec<Start>> {
    let mut starts = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "events") {
            let text = std::fs::read_to_string(&path)?;
            // A worker that was killed may have left half a line.
            starts.extend(text.lines().filter_map(|line| serde_json::from_str::<Start>(line).ok()));
        }
    }
    starts.sort_by_key(|start| start.at);
    Ok(starts)
}

/// The key of every letter that the receiver took, with repetitions.
pub fn letters(folder: &Path) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "letters") {
            keys.extend(std::fs::read_to_string(&path)?.lines().map(str::to_owned));
        }
    }
    Ok(keys)
}
