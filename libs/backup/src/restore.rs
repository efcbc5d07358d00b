//! Restoring: everything is checked before it is used, and nothing that is there is overwritten.

use crate::create::covers;
use crate::error::{BackupError, io};
use crate::manifest::{Chunks, DatabasePart, Manifest, Method, Signed};
use crate::originals::{self, PutBack};
use crate::programs::{self, Programs, Running};
use crate::repository::{Cover, Repository, Stored, off_thread};
use bytes::Bytes;
use carrel_domain::IdSource;
use carrel_storage::backup::TableDepth;
use carrel_storage::{Admin, OriginalStore};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

/// Folder of the log inside of a restored cluster; it goes when the log has been replayed.
const LOG: &str = "carrel_wal";

/// The backup to restore: the newest, one by its id, or the one that a moment asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The newest.
    Newest,
    /// This one.
    Id(String),
    /// The state of this moment, or the last one before it that there is.
    Moment(DateTime<Utc>),
}

/// Whose signature is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Thumbprints.
    pub keys: Vec<String>,
}

impl Trust {
    /// Refuses a manifest that somebody else signed: the recipient is public, so that anybody could have encrypted it.
    pub fn check(&self, signed: &Signed) -> Result<(), BackupError> {
        if self.keys.contains(&signed.signed_by) {
            return Ok(());
        }
        let problem = format!(
            "it was signed by {}, a key that this machine does not have: compare it with what `carrel admin backup list` showed on the old machine, and give it with --signed-by",
            signed.signed_by
        );
        Err(BackupError::Signature { backup: signed.manifest.id.clone(), problem })
    }
}

/// Chooses a backup; answers it with the moment to which its log is replayed, where it has one.
pub async fn choose(
    repository: &Repository,
    choice: &Choice,
    trust: &Trust,
) -> Result<(Signed, Option<DateTime<Utc>>), BackupError> {
    let listed = repository.backups().await?;
    let none = || BackupError::NoBackup("there is no backup at this destination: check backup.destination".to_owned());
    let (signed, moment) = match choice {
        Choice::Newest => (repository.manifest(&listed.last().ok_or_else(none)?.id).await?, None),
        Choice::Id(id) => (repository.manifest(id).await?, None),
        Choice::Moment(moment) => {
            // The first one that ended after the moment holds the log that covers it.
            let mut before = None;
            let mut found = None;
            for one in &listed {
                let signed = repository.manifest(&one.id).await?;
                let part = signed.manifest.database.as_ref();
                if part.is_some_and(|part| covers(part, *moment)) {
                    found = Some((signed, Some(*moment)));
                    break;
                }
                if signed.manifest.restores_to() <= *moment {
                    // pgBackRest archives the log by itself, also after this backup.
                    let part = signed.manifest.database.as_ref();
                    let replays = part.is_some_and(|part| part.outside.is_some() && part.base_at <= Some(*moment));
                    before = Some((signed, replays.then_some(*moment)));
                }
            }
            found.or(before).ok_or_else(|| {
                let oldest = listed.first().map_or_else(String::new, |one| format!("; the oldest is of {}", one.at));
                BackupError::NoBackup(format!("no backup reaches back to {moment}{oldest}"))
            })?
        }
    };
    trust.check(&signed)?;
    check_release(&signed.manifest)?;
    Ok((signed, moment))
}

fn check_release(manifest: &Manifest) -> Result<(), BackupError> {
    let known = Admin::newest_migration();
    let found = manifest.database.as_ref().map_or(0, |part| part.migration);
    if found > known {
        return Err(BackupError::NewerSchema { found, known, version: manifest.version.clone() });
    }
    Ok(())
}

/// Puts the dump into an empty database.
pub async fn load_dump(
    repository: &Repository,
    part: &DatabasePart,
    owner: &Admin,
    url: &str,
    programs: &Programs,
) -> Result<(), BackupError> {
    if !owner.is_empty().await? {
        return Err(BackupError::NotEmpty {
            what: "the database".to_owned(),
            advice: "create a new one and name it in database.url and database.admin_url, or drop the schema carrel and public._sqlx_migrations yourself",
        });
    }
    owner.ensure_roles().await?;
    let facts = owner.server_facts().await?;
    let stored = repository.stored().await?;
    let program = programs.find("pg_restore", facts.version.max(part.server))?;
    let mut command = programs::command(&program, url);
    command.args(["--single-transaction", "--no-owner", "--no-comments", "--format=custom"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut running = Running::start(command)?;
    let input = running.input();
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(2);
    let feeding = off_thread(move || {
        let mut receiver = receiver;
        if let Some(mut input) = input {
            while let Some(data) = receiver.blocking_recv() {
                if input.write_all(&data).is_err() {
                    // It has ended, and says why.
                    break;
                }
            }
        }
        running.finish()
    });
    let feeding = tokio::spawn(feeding);
    let sent = send(repository, &stored, &part.content, sender).await;
    let fed = feeding.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    sent?;
    fed
}

async fn send(
    repository: &Repository,
    stored: &Stored,
    content: &Chunks,
    sender: tokio::sync::mpsc::Sender<Bytes>,
) -> Result<(), BackupError> {
    let mut parts = repository.read(stored, content, Cover::Sealed);
    while let Some(data) = parts.try_next().await? {
        if sender.send(data).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Compares a restored database with what was backed up, table by table; answers the number of rows.
pub async fn compare(part: &DatabasePart, owner: &Admin) -> Result<i64, BackupError> {
    let digests = part.tables.iter().any(|table| table.digest.is_some());
    let depth = if digests { TableDepth::Digests } else { TableDepth::Rows };
    let mut snapshot = owner.snapshot().await?;
    let found = snapshot.tables(depth).await?;
    snapshot.end().await?;
    for table in &part.tables {
        let Some(own) = found.iter().find(|own| own.name == table.name) else {
            return Err(BackupError::Different(format!("{} is missing", table.name)));
        };
        if own.rows != table.rows {
            return Err(BackupError::Different(format!("{} has {} rows, not {}", table.name, own.rows, table.rows)));
        }
        if own.digest != table.digest {
            return Err(BackupError::Different(format!("the rows of {} have another digest", table.name)));
        }
    }
    Ok(found.iter().map(|table| table.rows).sum())
}

/// Writes the copied cluster to `folder`, an empty one, ready to replay its log when PostgreSQL starts on it.
pub async fn unpack_cluster(
    repository: &Repository,
    part: &DatabasePart,
    folder: &Path,
    moment: Option<DateTime<Utc>>,
    programs: &Programs,
) -> Result<(), BackupError> {
    let failed = |what: &str| io(format!("{what} in {}", folder.display()));
    let mut entries = std::fs::read_dir(folder).map_err(failed("the folder cannot be read"))?;
    if entries.next().is_some() {
        let advice = "name an empty folder";
        return Err(BackupError::NotEmpty { what: folder.display().to_string(), advice });
    }
    let stored = repository.stored().await?;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(2);
    let to = folder.to_owned();
    let unpacking = tokio::spawn(off_thread(move || {
        let mut archive = tar::Archive::new(Incoming { receiver, now: Bytes::new() });
        archive.set_preserve_permissions(true);
        archive.unpack(&to).map_err(io(format!("the cluster cannot be unpacked to {}", to.display())))
    }));
    let sent = send(repository, &stored, &part.content, sender).await;
    let unpacked = unpacking.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    sent?;
    unpacked?;
    if let Ok(program) = programs.find("pg_verifybackup", part.server) {
        // Every file's SHA-256; the log inside of the copy is checked by replaying it.
        let mut command = std::process::Command::new(program);
        command.args(["--no-parse-wal", "--quiet"]).arg(folder);
        off_thread(move || programs::run(command)).await?;
    }
    let log = folder.join(LOG);
    std::fs::create_dir_all(&log).map_err(failed("the log cannot be written"))?;
    for segment in &part.log {
        let mut file =
            tokio::fs::File::create(log.join(&segment.name)).await.map_err(failed("the log cannot be written"))?;
        let mut parts = repository.read(&stored, &segment.content, Cover::Sealed);
        while let Some(data) = parts.try_next().await? {
            tokio::io::AsyncWriteExt::write_all(&mut file, &data).await.map_err(failed("the log cannot be written"))?;
        }
        tokio::io::AsyncWriteExt::flush(&mut file).await.map_err(failed("the log cannot be written"))?;
    }
    ask_recovery(folder, moment)
}

/// The lines that PostgreSQL reads when it starts; `%f` and `%p` are its own words.
fn ask_recovery(folder: &Path, moment: Option<DateTime<Utc>>) -> Result<(), BackupError> {
    let mut lines = format!("\nrestore_command = 'cp {LOG}/%f \"%p\"'\nrecovery_target_timeline = 'current'\n");
    if let Some(moment) = moment {
        lines += "recovery_target_time = '";
        lines += &moment.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string();
        lines += "'\nrecovery_target_action = 'promote'\n";
    }
    let failed = || io(format!("recovery cannot be asked for in {}", folder.display()));
    let mut file = std::fs::File::options().append(true).open(folder.join("postgresql.auto.conf")).map_err(failed())?;
    file.write_all(lines.as_bytes()).map_err(failed())?;
    std::fs::write(folder.join("recovery.signal"), "").map_err(failed())
}

/// Takes out what was put in for the replay, once it is over.
pub fn end_recovery(folder: &Path) -> Result<(), BackupError> {
    let failed = || io(format!("the log cannot be removed from {}", folder.display()));
    let settings = folder.join("postgresql.auto.conf");
    let text = std::fs::read_to_string(&settings).map_err(failed())?;
    let own =
        |line: &&str| !line.starts_with("restore_command = 'cp carrel_wal") && !line.starts_with("recovery_target_");
    let kept: Vec<&str> = text.lines().filter(own).collect();
    std::fs::write(&settings, kept.join("\n") + "\n").map_err(failed())?;
    std::fs::remove_dir_all(folder.join(LOG)).map_err(failed())
}

/// Puts the originals back that `store` lacks.
pub async fn originals(
    repository: &Repository,
    manifest: &Manifest,
    store: &OriginalStore,
    ids: &dyn IdSource,
) -> Result<PutBack, BackupError> {
    let stored = repository.stored().await?;
    originals::restore(repository, &stored, &manifest.originals, store, ids).await
}

/// The instance's signing key, PEM.
pub async fn signing_key(repository: &Repository, manifest: &Manifest) -> Result<Option<String>, BackupError> {
    let Some(chunks) = &manifest.signing_key else { return Ok(None) };
    let stored = repository.stored().await?;
    let parts: Vec<Bytes> = repository.read(&stored, chunks, Cover::Sealed).try_collect().await?;
    let text = String::from_utf8(parts.concat());
    text.map(Some).map_err(|_| BackupError::damaged("the signing key", "it is no text"))
}

/// Whether a method can be restored to this kind of target.
pub fn is_cluster(manifest: &Manifest) -> bool {
    manifest.database.as_ref().is_some_and(|part| part.method == Method::Base)
}

/// What arrives, for a reader that waits.
struct Incoming {
    receiver: tokio::sync::mpsc::Receiver<Bytes>,
    now: Bytes,
}

impl Read for Incoming {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        while self.now.is_empty() {
            match self.receiver.blocking_recv() {
                Some(data) => self.now = data,
                None => return Ok(0),
            }
        }
        let count = to.len().min(self.now.len());
        to[..count].copy_from_slice(&self.now.split_to(count));
        Ok(count)
    }
}
