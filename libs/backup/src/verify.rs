//! Checking backups, with the key or without it, and removing old ones.

use crate::error::BackupError;
use crate::keys::Name;
use crate::manifest::{Listed, Manifest};
use crate::originals;
use crate::repository::{Cover, Repository, Stored, hex, parse_name};
use crate::restore::Trust;
use chrono::{DateTime, Duration, Utc};
use futures::StreamExt;
use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;

/// Chunks read at once.
const AT_ONCE: usize = 4;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Backups whose manifests were read.
    pub backups: u64,
    /// Chunks that were read.
    pub chunks: u64,
    /// Their bytes as stored.
    pub bytes: u64,
    /// Originals whose digests were compared; 0 without the key.
    pub originals: u64,
    /// What is wrong, one line each.
    pub faults: Vec<String>,
    /// The backups that cannot be restored whole.
    pub unsound: Vec<String>,
    /// Chunks that are damaged.
    damaged: HashSet<Name>,
}

/// What is done with damaged chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damaged {
    /// They stay.
    Keep,
    /// They are removed, so that the next backup stores them again from what is still there.
    Drop,
}

/// Reads every chunk of the destination and compares its digest; checks that every backup's chunks are there and its
/// manifest is as it was signed. With the key, the streams and the originals of the newest backup are decrypted and compared, too.
pub async fn verify(repository: &Repository, trust: Option<&Trust>, damaged: Damaged) -> Result<Checked, BackupError> {
    let mut checked = Checked::default();
    let stored = repository.stored().await?;
    read_all(repository, &stored, &mut checked).await?;
    let mut newest = None;
    for listed in repository.backups().await? {
        checked.backups += 1;
        let signed = match repository.manifest(&listed.id).await {
            Ok(signed) => signed,
            Err(error @ BackupError::Signature { .. }) => {
                unsound(&mut checked, &listed.id, error.to_string());
                continue;
            }
            Err(other) => return Err(other),
        };
        if let Some(Err(error)) = trust.map(|trust| trust.check(&signed)) {
            unsound(&mut checked, &listed.id, error.to_string());
        }
        check_one(repository, &stored, &signed.manifest, &mut checked).await?;
        newest = Some(signed.manifest);
    }
    if let Some(manifest) =
        newest.filter(|manifest| repository.keys().can_read() && !checked.unsound.contains(&manifest.id))
    {
        decrypt(repository, &stored, &manifest, &mut checked).await?;
    }
    if damaged == Damaged::Drop {
        for name in checked.damaged.clone() {
            repository.drop_stored(&stored, name).await?;
        }
    }
    Ok(checked)
}

fn unsound(checked: &mut Checked, id: &str, fault: String) {
    checked.faults.push(fault);
    if !checked.unsound.iter().any(|known| known == id) {
        checked.unsound.push(id.to_owned());
    }
}

async fn read_all(repository: &Repository, stored: &Stored, checked: &mut Checked) -> Result<(), BackupError> {
    let names: Vec<Name> = stored.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect();
    let reads = futures::stream::iter(names).map(|name| async move { (name, repository.fetch(stored, name).await) });
    let mut reads = reads.buffer_unordered(AT_ONCE);
    while let Some((name, read)) = reads.next().await {
        match read {
            Ok(bytes) => {
                checked.chunks += 1;
                checked.bytes += bytes.len() as u64;
            }
            Err(BackupError::Damaged { what, problem }) => {
                checked.faults.push(format!("{what}: {problem}"));
                checked.damaged.insert(name);
            }
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Whether every chunk of a backup is there and sound.
async fn check_one(
    repository: &Repository,
    stored: &Stored,
    manifest: &Manifest,
    checked: &mut Checked,
) -> Result<(), BackupError> {
    let mut wanted: HashSet<Name> = HashSet::new();
    match names_of(repository, stored, manifest, &mut wanted).await {
        Ok(()) => {}
        Err(BackupError::Damaged { what, problem }) => {
            unsound(checked, &manifest.id, format!("backup {}: {what}: {problem}", manifest.id));
        }
        Err(other) => return Err(other),
    }
    let known = stored.lock().unwrap_or_else(PoisonError::into_inner);
    let missing: Vec<&Name> = wanted.iter().filter(|name| !known.contains_key(*name)).collect();
    let (gone, hurt) = (missing.len(), wanted.intersection(&checked.damaged).count());
    let first = missing.first().map(|name| hex(&name[..])).unwrap_or_default();
    drop(known);
    if gone > 0 {
        let fault =
            format!("backup {}: {gone} of {} chunks are missing, the first is {first}", manifest.id, wanted.len());
        unsound(checked, &manifest.id, fault);
    }
    if hurt > 0 {
        unsound(
            checked,
            &manifest.id,
            format!("backup {}: {hurt} of {} chunks are damaged", manifest.id, wanted.len()),
        );
    }
    Ok(())
}

/// All chunks that a backup needs.
async fn names_of(
    repository: &Repository,
    stored: &Stored,
    manifest: &Manifest,
    wanted: &mut HashSet<Name>,
) -> Result<(), BackupError> {
    let own = manifest.streams().flat_map(|chunks| &chunks.chunks).filter_map(|chunk| parse_name(&chunk.name));
    wanted.extend(own);
    originals::names(repository, stored, &manifest.originals, |name| {
        wanted.insert(name);
    })
    .await
}

async fn decrypt(
    repository: &Repository,
    stored: &Stored,
    manifest: &Manifest,
    checked: &mut Checked,
) -> Result<(), BackupError> {
    for chunks in manifest.streams().filter(|chunks| **chunks != manifest.originals.names) {
        let mut parts = repository.read(stored, chunks, Cover::Sealed);
        while let Some(part) = parts.next().await {
            match part {
                Ok(_) => {}
                Err(BackupError::Damaged { what, problem }) => {
                    unsound(checked, &manifest.id, format!("backup {}: {what}: {problem}", manifest.id));
                    break;
                }
                Err(other) => return Err(other),
            }
        }
    }
    let mut faults = Vec::new();
    checked.originals = originals::check(repository, stored, &manifest.originals, &mut faults).await?;
    for fault in faults {
        unsound(checked, &manifest.id, fault);
    }
    Ok(())
}

/// How long backups are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// All of them for so long.
    pub all: Duration,
    /// The last of each day for so long.
    pub daily: Duration,
}

/// What pruning removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Backups that stay.
    pub kept: usize,
    /// Backups that went.
    pub removed: usize,
    /// Chunks that nothing needs any more.
    pub chunks: u64,
}

/// The backups that may go: neither young, nor the last of a day that is kept, nor the newest.
pub fn superseded(listed: &[Listed], keep: Keep, now: DateTime<Utc>) -> Vec<Listed> {
    let mut last_of_day: HashMap<chrono::NaiveDate, &Listed> = HashMap::new();
    for one in listed {
        last_of_day.insert(one.at.date_naive(), one);
    }
    let newest = listed.last();
    let stays = |one: &&Listed| {
        let age = now - one.at;
        let last = last_of_day.get(&one.at.date_naive()) == Some(one);
        age <= keep.all || (age <= keep.daily && last) || newest == Some(*one)
    };
    listed.iter().filter(|one| !stays(one)).cloned().collect()
}

/// Removes backups that need not be kept, and the chunks that no other one needs. Needs no key. While a backup is made,
/// nothing may be removed: the caller holds the lock of backups.
pub async fn prune(repository: &Repository, keep: Keep, now: DateTime<Utc>) -> Result<Pruned, BackupError> {
    // Listed before the manifests are read: what comes later is not in it and stays.
    let stored = repository.stored().await?;
    let listed = repository.backups().await?;
    let going = superseded(&listed, keep, now);
    let mut wanted = HashSet::new();
    for one in listed.iter().filter(|one| !going.contains(one)) {
        // A backup whose chunks cannot be told keeps everything: the error ends this.
        let signed = repository.manifest(&one.id).await?;
        names_of(repository, &stored, &signed.manifest, &mut wanted).await?;
    }
    for one in &going {
        repository.forget(&one.id).await?;
    }
    let files: Vec<(Name, [u8; 32])> = {
        let known = stored.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter(|(name, _)| !wanted.contains(*name)).map(|(name, sha256)| (*name, *sha256)).collect()
    };
    let mut pruned = Pruned { kept: listed.len() - going.len(), removed: going.len(), chunks: 0 };
    for (name, sha256) in files {
        repository.drop_chunk(name, sha256).await?;
        pruned.chunks += 1;
    }
    Ok(pruned)
}

#[cfg(test)]
mod tests {
    use super::{Keep, superseded};
    use crate::Listed;
    use chrono::{DateTime, Duration, Utc};

    #[test]
    fn young_ones_stay_and_the_last_of_each_day() {
        let now = "2026-03-10T12:00:00Z".parse::<DateTime<Utc>>().unwrap();
        let listed: Vec<Listed> = (0..24 * 40)
            .rev()
            .map(|hours| Listed { at: now - Duration::hours(hours), id: hours.to_string() })
            .collect();
        let keep = Keep { all: Duration::days(2), daily: Duration::days(30) };
        let gone = superseded(&listed, keep, now);
        let kept: Vec<i64> =
            listed.iter().filter(|one| !gone.contains(one)).map(|one| one.id.parse().unwrap()).collect();
        assert!((0..=48).all(|hours| kept.contains(&hours)));
        // 23:00 of each day before.
        assert_eq!(kept.len(), 49 + 28, "{kept:?}");
        assert!(kept.iter().filter(|hours| **hours > 48).all(|hours| (hours - 13) % 24 == 0));
    }

    #[test]
    fn the_newest_stays_however_old() {
        let now = DateTime::<Utc>::from_timestamp(1_800_000_000, 0).unwrap();
        let listed = [Listed { at: now - Duration::days(900), id: "x".to_owned() }];
        let keep = Keep { all: Duration::days(2), daily: Duration::days(30) };
        assert!(superseded(&listed, keep, now).is_empty());
    }
}
