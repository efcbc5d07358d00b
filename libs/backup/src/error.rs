//! Why a backup could not be made, checked or restored, each in one line with what to do.

use carrel_storage::StorageError;
use std::error::Error;
use std::io::ErrorKind;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The destination refused or failed.
    #[error("{}", of_destination(action, source))]
    Destination {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: object_store::Error,
    },
    /// A program of PostgreSQL ended with an error.
    #[error("{program} failed: {said}")]
    Program {
        /// Its name.
        program: String,
        /// The end of what it said.
        said: String,
    },
    /// A program of PostgreSQL is not there.
    #[error(
        "{program} of PostgreSQL {major} or newer was not found: install it (postgresql-client-{major}), or name its folder in backup.programs"
    )]
    NoProgram {
        /// Its name.
        program: &'static str,
        /// The server's major version.
        major: u32,
    },
    /// pgBackRest is not there.
    #[error("pgbackrest was not found: install it (the package pgbackrest), or name its folder in backup.programs")]
    NoPgBackRest,
    /// pgBackRest refuses.
    #[error(
        "pgBackRest cannot work on the stanza {stanza}: {said}; check backup.stanza and pgbackrest.conf, then `pgbackrest --stanza={stanza} check`; `stanza-create` if it was never made"
    )]
    Stanza {
        /// Its name for the cluster.
        stanza: String,
        /// What it said.
        said: String,
    },
    /// Stored bytes are not those that were put there, or are gone.
    #[error(
        "the backup is damaged: {what}: {problem}; run `carrel admin backup verify`, and restore from a backup that is sound"
    )]
    Damaged {
        /// Which bytes.
        what: String,
        /// What is wrong with them.
        problem: String,
    },
    /// No key, or the wrong one.
    #[error("{0}")]
    Key(String),
    /// A manifest's signature is not what it should be.
    #[error("backup {backup}: {problem}")]
    Signature {
        /// Its id.
        backup: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The backup is of a newer release.
    #[error(
        "the backup's schema (migration {found}) is newer than this program's ({known}): restore with the release that made it, {version} or newer"
    )]
    NewerSchema {
        /// The backup's newest migration.
        found: i64,
        /// This program's newest migration.
        known: i64,
        /// The release that made the backup.
        version: String,
    },
    /// There is something where the backup would be restored to.
    #[error("{what} is not empty, and a restore overwrites nothing: {advice}")]
    NotEmpty {
        /// The target.
        what: String,
        /// What to do.
        advice: &'static str,
    },
    /// What was restored is not what was backed up.
    #[error("what was restored differs: {0}; nothing of it should be used")]
    Different(String),
    /// Another backup is being made.
    #[error("another backup or prune of this database is at work: wait for it")]
    Busy,
    /// There is no backup like that.
    #[error("{0}")]
    NoBackup(String),
    /// The database or the store of originals.
    #[error("{}", .0.remedy())]
    Storage(#[from] StorageError),
    /// A local file.
    #[error("{what}: {}", of_io(source))]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A manifest could not be written or signed.
    #[error(transparent)]
    Bundle(#[from] carrel_bundle::BundleError),
}

impl BackupError {
    pub(crate) fn damaged(what: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Damaged { what: what.into(), problem: problem.into() }
    }
}

/// Names what was done with the destination.
pub(crate) fn at(action: &'static str) -> impl FnOnce(object_store::Error) -> BackupError {
    move |source| BackupError::Destination { action, source }
}

/// Names what was done with a local file.
pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> BackupError {
    let what = what.into();
    move |source| BackupError::Io { what, source }
}

fn of_io(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "the disk is full: make room and run it again".to_owned(),
        _ => error.to_string(),
    }
}

fn of_destination(action: &str, error: &object_store::Error) -> String {
    let mut kind = None;
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        kind = kind.or_else(|| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind));
        next = cause.source();
    }
    let advice = match (error, kind) {
        (_, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded)) => {
            "its disk is full: make room or run `carrel admin backup prune`; the backups that are there stay good"
        }
        (_, Some(ErrorKind::ReadOnlyFilesystem)) => "its file system is read-only",
        (_, Some(ErrorKind::PermissionDenied)) => "it may not be written: check the owner of the folder",
        (object_store::Error::Unauthenticated { .. } | object_store::Error::PermissionDenied { .. }, _) => {
            "it refuses the credentials: check backup.access_key_id and backup.secret_access_key, and the bucket's policy"
        }
        (object_store::Error::NotFound { .. }, _) => "it is not there: check backup.destination",
        _ => "it does not answer as it should: check backup.destination and that it can be reached",
    };
    format!("the backup destination, {action}: {advice}")
}
