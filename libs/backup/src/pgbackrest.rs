//! PostgreSQL by pgBackRest (<https://pgbackrest.org/command.html>): it copies the cluster and archives the log in a repository of its
//! own, by its own settings; a manifest here notes which of its backups goes with which originals.

use crate::create::Source;
use crate::error::{BackupError, io};
use crate::manifest::{Kind, Outside};
use crate::programs::{Programs, Running};
use crate::repository::off_thread;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PROGRAM: &str = "pgbackrest";

/// A backup that pgBackRest has made.
pub(crate) struct Made {
    /// Full, or what came since.
    pub(crate) kind: Kind,
    /// Which.
    pub(crate) outside: Outside,
    /// The end of the oldest backup that it keeps: any moment since can be restored, as long as the log is archived.
    pub(crate) reaches_back_to: Option<DateTime<Utc>>,
}

/// How far a restored cluster replays the archived log when PostgreSQL starts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// To the end of this backup.
    Backup,
    /// To the end of what is archived.
    Everything,
    /// To this moment; pgBackRest chooses the backup to begin with.
    Moment(DateTime<Utc>),
}

/// One stanza of `pgbackrest info --output=json`.
#[derive(Deserialize)]
struct Stanza {
    #[serde(default)]
    backup: Vec<Entry>,
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    code: u32,
    message: String,
}

#[derive(Deserialize)]
struct Entry {
    label: String,
    #[serde(rename = "type")]
    kind: String,
    timestamp: Times,
    /// Pages with a wrong checksum, or `null` where they are not checked.
    error: Option<bool>,
}

#[derive(Deserialize)]
struct Times {
    /// Seconds since 1970.
    stop: i64,
}

/// Lets pgBackRest make a backup, and answers what it has made.
pub(crate) async fn backup(source: &Source<'_>, kind: Kind) -> Result<Made, BackupError> {
    let stanza = source.stanza.ok_or_else(|| BackupError::Stanza {
        stanza: "(none)".to_owned(),
        said: "backup.stanza is not set".to_owned(),
    })?;
    let (program, stanza) = (find(source.programs)?, stanza.to_owned());
    off_thread(move || {
        let how = if kind == Kind::Full { "--type=full" } else { "--type=incr" };
        ask(&program, &stanza, &[how, "backup"])?;
        newest(&stanza, &ask(&program, &stanza, &["--output=json", "info"])?)
    })
    .await
}

/// What is wrong with a backup that a manifest names; `None` while pgBackRest has it.
pub async fn fault(outside: &Outside, programs: &Programs) -> Result<Option<String>, BackupError> {
    let (program, outside) = (find(programs)?, outside.clone());
    off_thread(move || {
        let entries = read(&outside.stanza, &ask(&program, &outside.stanza, &["--output=json", "info"])?)?;
        let Outside { stanza, label } = outside;
        Ok(match entries.iter().find(|entry| entry.label == label) {
            Some(entry) if entry.error == Some(true) => {
                Some(format!("backup {label} of pgBackRest's stanza {stanza} holds pages with wrong checksums"))
            }
            Some(_) => None,
            None => Some(format!("pgBackRest's stanza {stanza} has no backup {label} any more")),
        })
    })
    .await
}

/// Lets pgBackRest put a cluster into `folder`, an empty one; PostgreSQL replays the log when it is started there.
pub async fn restore(
    outside: &Outside,
    folder: &Path,
    replay: &Replay,
    programs: &Programs,
) -> Result<(), BackupError> {
    let mut entries = std::fs::read_dir(folder).map_err(io(format!("{} cannot be read", folder.display())))?;
    if entries.next().is_some() {
        let advice = "name an empty folder";
        return Err(BackupError::NotEmpty { what: folder.display().to_string(), advice });
    }
    let (program, stanza) = (find(programs)?, outside.stanza.clone());
    let mut words = vec![format!("--pg1-path={}", folder.display())];
    match replay {
        Replay::Backup => words.extend([format!("--set={}", outside.label), "--type=immediate".to_owned()]),
        Replay::Everything => words.push("--type=default".to_owned()),
        Replay::Moment(moment) => {
            let target = moment.format("%Y-%m-%d %H:%M:%S%.6f+00");
            words.extend(["--type=time".to_owned(), format!("--target={target}")]);
        }
    }
    if *replay != Replay::Everything {
        words.push("--target-action=promote".to_owned());
    }
    words.push("restore".to_owned());
    off_thread(move || {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        ask(&program, &stanza, &words).map(|_| ())
    })
    .await
}

fn find(programs: &Programs) -> Result<PathBuf, BackupError> {
    programs.any(PROGRAM).ok_or(BackupError::NoPgBackRest)
}

/// Runs a command of pgBackRest; answers what it printed.
fn ask(program: &Path, stanza: &str, words: &[&str]) -> Result<String, BackupError> {
    let mut command = Command::new(program);
    command.arg(format!("--stanza={stanza}")).args(["--log-level-console=off", "--log-level-stderr=error"]).args(words);
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).stdout(Stdio::piped());
    let failed = |said: String| BackupError::Stanza { stanza: stanza.to_owned(), said };
    let mut running = Running::start(command)?;
    let mut printed = String::new();
    let read = running.output().map(|mut output| output.read_to_string(&mut printed)).transpose();
    running.finish().map_err(|error| match error {
        BackupError::Program { said, .. } => failed(said),
        other => other,
    })?;
    read.map_err(io("pgbackrest cannot be read"))?;
    Ok(printed)
}

fn read(stanza: &str, printed: &str) -> Result<Vec<Entry>, BackupError> {
    let failed = |said: String| BackupError::Stanza { stanza: stanza.to_owned(), said };
    let stanzas: Vec<Stanza> =
        serde_json::from_str(printed).map_err(|error| failed(format!("its information cannot be read ({error})")))?;
    let found = stanzas.into_iter().next().ok_or_else(|| failed("it does not know it".to_owned()))?;
    // 2: there is no backup yet, which is for the caller to say.
    if !matches!(found.status.code, 0 | 2) {
        return Err(failed(found.status.message));
    }
    Ok(found.backup)
}

fn newest(stanza: &str, printed: &str) -> Result<Made, BackupError> {
    let entries = read(stanza, printed)?;
    let newest = entries.iter().max_by_key(|entry| entry.timestamp.stop).ok_or_else(|| BackupError::Stanza {
        stanza: stanza.to_owned(),
        said: "it names no backup after having made one".to_owned(),
    })?;
    let oldest = entries.iter().map(|entry| entry.timestamp.stop).min();
    Ok(Made {
        kind: if newest.kind == "full" { Kind::Full } else { Kind::Incremental },
        outside: Outside { stanza: stanza.to_owned(), label: newest.label.clone() },
        // The times are of whole seconds, cut off.
        reaches_back_to: oldest.and_then(|stop| DateTime::from_timestamp(stop + 1, 0)),
    })
}

#[cfg(test)]
mod tests {
    use super::newest;
    use crate::Kind;
    use chrono::DateTime;

    #[test]
    fn the_newest_backup_is_found_and_how_far_back_it_goes() {
        let entry = |label: &str, kind: &str, stop: i64| {
            format!(
                r#"{{"label":"{label}","type":"{kind}","error":false,"timestamp":{{"start":1,"stop":{stop}}},"info":{{"size":9}}}}"#
            )
        };
        let info = |entries: &[String], code: u32, message: &str| {
            let entries = entries.join(",");
            format!(r#"[{{"name":"main","backup":[{entries}],"status":{{"code":{code},"message":"{message}"}}}}]"#)
        };
        let (full, later) =
            (entry("20261121-100000F", "full", 100), entry("20261121-100000F_20261121-110000I", "incr", 200));
        let made = newest("main", &info(&[full.clone(), later], 0, "ok")).unwrap();
        assert_eq!((made.kind, made.outside.label.as_str()), (Kind::Incremental, "20261121-100000F_20261121-110000I"));
        assert_eq!(made.reaches_back_to, DateTime::from_timestamp(101, 0));
        assert_eq!(newest("main", &info(&[full], 0, "ok")).unwrap().kind, Kind::Full);
        for (printed, words) in [
            (info(&[], 1, "missing stanza path"), "missing stanza path"),
            (info(&[], 2, "no valid backups"), "names no backup"),
            ("[]".to_owned(), "does not know it"),
            ("not JSON".to_owned(), "cannot be read"),
        ] {
            let said = newest("main", &printed).err().unwrap().to_string();
            assert!(said.contains(words) && said.contains("stanza main") && said.contains("stanza-create"), "{said}");
        }
    }
}
