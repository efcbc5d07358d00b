//! Making a backup: the database first, then the originals, so that every original that a row names is there.

use crate::database;
use crate::error::{BackupError, io};
use crate::manifest::{Chunks, DatabasePart, Kind, Manifest, Method, OriginalsPart, Signed};
use crate::originals;
use crate::programs::Programs;
use crate::repository::{Cover, Repository, Stored};
use carrel_bundle::SigningKey;
use carrel_storage::{Admin, OriginalStore};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use std::path::Path;

/// What is backed up.
#[derive(Debug)]
pub struct Source<'a> {
    /// The database, as its owner.
    pub owner: &'a Admin,
    /// The same, as an address.
    pub url: &'a str,
    /// PostgreSQL's programs.
    pub programs: &'a Programs,
    /// pgBackRest's name for the cluster.
    pub stanza: Option<&'a str>,
    /// Folder in which the log waits until it is stored.
    pub spool: &'a Path,
    /// The originals.
    pub originals: &'a OriginalStore,
    /// The instance's key, PEM; goes along, encrypted.
    pub signing_key: Option<&'a SecretString>,
}

/// What is wished.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Full or incremental; what has nothing to go on from becomes full.
    pub kind: Kind,
    /// How the database is copied.
    pub method: Method,
    /// Now.
    pub now: DateTime<Utc>,
    /// The release that runs.
    pub version: String,
}

/// Makes a backup and answers its manifest.
///
/// # Errors
/// Nothing is listed as a backup unless all of it is stored; what was stored of a failed one is used by the next.
pub async fn create(
    repository: &Repository,
    source: &Source<'_>,
    wish: &Wish,
    key: &SigningKey,
    clock: &(dyn Fn() -> DateTime<Utc> + Sync),
) -> Result<Signed, BackupError> {
    let recipient = repository.keys().recipient()?.to_string();
    let lock = source.owner.lock_backups().await?.ok_or(BackupError::Busy)?;
    let made = create_locked(repository, source, wish, key, recipient, clock).await;
    lock.release().await?;
    made
}

async fn create_locked(
    repository: &Repository,
    source: &Source<'_>,
    wish: &Wish,
    key: &SigningKey,
    recipient: String,
    clock: &(dyn Fn() -> DateTime<Utc> + Sync),
) -> Result<Signed, BackupError> {
    let before = repository.tally();
    let stored = repository.stored().await?;
    let previous = previous(repository, key).await?;
    let kind = if previous.is_some() { wish.kind } else { Kind::Full };
    let previous = previous.and_then(|manifest| manifest.database);
    let copied = database::copy(repository, &stored, source, kind, wish.method, previous).await?;
    let (kind, database) = copied.map_or((kind, None), |(kind, part)| (kind, Some(part)));
    let originals: OriginalsPart = originals::copy(repository, &stored, source.originals).await?;
    let signing_key = store_key(repository, &stored, source.signing_key).await?;
    let after = repository.tally();
    let manifest = Manifest {
        format: Manifest::format(),
        id: Manifest::id(kind, wish.now),
        kind,
        started_at: wish.now,
        ended_at: clock(),
        version: wish.version.clone(),
        recipient,
        database,
        originals,
        signing_key,
        new_chunks: after.0 - before.0,
        new_bytes: after.1 - before.1,
    };
    repository.put_manifest(&manifest, key).await?;
    if let Some(part) = manifest.database.as_ref().filter(|part| part.method == Method::Base) {
        database::clear_spool(source, part)?;
    }
    Ok(Signed { manifest, signed_by: key.thumbprint() })
}

/// The last backup, if this instance made it: another one's is nothing to go on from.
async fn previous(repository: &Repository, key: &SigningKey) -> Result<Option<Manifest>, BackupError> {
    let Some(last) = repository.backups().await?.pop() else { return Ok(None) };
    match repository.manifest(&last.id).await {
        Ok(signed) if signed.signed_by == key.thumbprint() => Ok(Some(signed.manifest)),
        Ok(_) => Ok(None),
        Err(BackupError::Signature { backup, problem }) => {
            tracing::warn!(backup, problem, "the last backup cannot be gone on from; a full one is made");
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

async fn store_key(
    repository: &Repository,
    stored: &Stored,
    pem: Option<&SecretString>,
) -> Result<Option<Chunks>, BackupError> {
    let Some(pem) = pem else { return Ok(None) };
    let text = std::io::Cursor::new(pem.expose_secret().as_bytes().to_vec());
    repository.put_stream(stored, text, Cover::Sealed).await.map(Some)
}

/// The kind of backup that is due; `None` while none is.
pub fn due(
    newest: &[crate::Listed],
    now: DateTime<Utc>,
    full: chrono::Duration,
    each: chrono::Duration,
) -> Option<Kind> {
    // A little early rather than a whole beat of the timer late.
    let slack = chrono::Duration::seconds(30);
    let last_full =
        newest.iter().filter(|listed| listed.id.ends_with(Kind::Full.as_str())).map(|listed| listed.at).max();
    let last = newest.iter().map(|listed| listed.at).max();
    if last_full.is_none_or(|at| now - at + slack >= full) {
        return Some(Kind::Full);
    }
    last.is_none_or(|at| now - at + slack >= each).then_some(Kind::Incremental)
}

/// Whether the part's cluster can be restored at this moment.
pub(crate) fn covers(part: &DatabasePart, moment: DateTime<Utc>) -> bool {
    part.at >= moment && part.base_at.is_some_and(|base| base <= moment)
}

pub(crate) fn scratch() -> Result<std::fs::File, BackupError> {
    tempfile::tempfile().map_err(io("no temporary file can be made"))
}

#[cfg(test)]
mod tests {
    use super::due;
    use crate::{Kind, Listed};
    use chrono::{DateTime, Duration, Utc};

    #[test]
    fn what_is_due_follows_from_what_is_there() {
        let now = DateTime::<Utc>::from_timestamp(1_800_000_000, 0).unwrap();
        let (day, hour) = (Duration::hours(24), Duration::hours(1));
        let listed = |hours: i64, kind: &str| Listed { at: now - Duration::hours(hours), id: format!("x-{kind}") };
        assert_eq!(due(&[], now, day, hour), Some(Kind::Full));
        assert_eq!(due(&[listed(2, "full")], now, day, hour), Some(Kind::Incremental));
        assert_eq!(due(&[listed(2, "full"), listed(0, "incremental")], now, day, hour), None);
        assert_eq!(due(&[listed(24, "full"), listed(0, "incremental")], now, day, hour), Some(Kind::Full));
    }
}
