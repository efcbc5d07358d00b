//! Moving originals to another store while the system runs.
//!
//! Every object is digested on its way and read back from where it was put: its name is its SHA-256, so nothing else is
//! needed to tell whether it arrived. What is there already and sound is left alone, so a move that was interrupted goes on
//! where it was; uploads that come meanwhile are found by the next pass. Nothing is taken from the first store.

use crate::originals::{PART_BYTES, verified_digest};
use crate::{OriginalStore, StorageError};
use carrel_domain::digest::Digest;
use futures::TryStreamExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

/// Passes after which uploads are taken to arrive faster than they can be copied.
const PASSES: u32 = 20;

/// How sure a move is of what is at its target already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Reads it and compares the digest.
    Digest,
    /// Its size is enough.
    Size,
}

/// What a move did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Objects copied and read back.
    pub copied: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that were there already.
    pub present: u64,
    /// Objects that are damaged where they are and were not copied.
    pub damaged: Vec<String>,
    /// Passes over all objects; the last one found nothing new.
    pub passes: u32,
    /// False when uploads came faster than they could be copied.
    pub complete: bool,
}

/// Counts the originals of a store and their bytes, for a progress bar.
pub async fn measure(store: &OriginalStore) -> Result<(u64, u64), StorageError> {
    let mut objects = store.objects().list(Some(&Path::from("originals")));
    let mut total = (0, 0);
    while let Some(object) = objects.try_next().await? {
        total = (total.0 + 1, total.1 + object.size);
    }
    Ok(total)
}

/// Copies every original of `from` to `to`; `seen` hears of each object's bytes when it is done.
pub async fn copy_all(
    from: &OriginalStore,
    to: &OriginalStore,
    trust: Trust,
    seen: &mut (dyn FnMut(u64) + Send),
) -> Result<Moved, StorageError> {
    let mut moved = Moved::default();
    let mut known = std::collections::HashSet::new();
    while moved.passes < PASSES {
        moved.passes += 1;
        let mut fresh = 0_u64;
        let mut objects = from.objects().list(Some(&Path::from("originals")));
        while let Some(object) = objects.try_next().await? {
            // Sixteen bytes of a digest tell objects of one store apart.
            let Some(sha256) = object.location.filename().and_then(|name| Digest::parse(name).ok()) else { continue };
            let mark = blake3::hash(object.location.as_ref().as_bytes());
            let mut short = [0_u8; 16];
            short.copy_from_slice(&mark.as_bytes()[..16]);
            if !known.insert(short) {
                continue;
            }
            fresh += 1;
            copy_one(from, to, &object, sha256, trust, &mut moved).await?;
            seen(object.size);
        }
        if fresh == 0 {
            moved.complete = true;
            break;
        }
    }
    Ok(moved)
}

async fn copy_one(
    from: &OriginalStore,
    to: &OriginalStore,
    object: &ObjectMeta,
    sha256: Digest,
    trust: Trust,
    moved: &mut Moved,
) -> Result<(), StorageError> {
    if is_there(to.objects(), object, sha256, trust).await? {
        moved.present += 1;
        return Ok(());
    }
    let source = match from.objects().get(&object.location).await {
        Ok(source) => source,
        // Deleted since it was listed.
        Err(object_store::Error::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut parts = Box::pin(verified_digest(source.into_stream(), sha256));
    let mut writer = BufWriter::with_capacity(Arc::clone(to.objects()), object.location.clone(), PART_BYTES);
    loop {
        match parts.try_next().await {
            Ok(Some(part)) => writer.put(part).await?,
            Ok(None) => break,
            Err(error) => {
                if let Err(error) = writer.abort().await {
                    tracing::warn!(%error, "could not abort a copy");
                }
                let StorageError::Damaged { problem, .. } = &error else { return Err(error) };
                moved.damaged.push(format!("{}: {problem}", object.location));
                return Ok(());
            }
        }
    }
    let finished = writer.shutdown().await;
    finished.map_err(|error| object_store::Error::Generic { store: "target", source: Box::new(error) })?;
    if !is_there(to.objects(), object, sha256, Trust::Digest).await? {
        let problem = "what the new store gives back is not what was put there".to_owned();
        return Err(StorageError::Damaged { sha256: sha256.to_string(), problem });
    }
    moved.copied += 1;
    moved.bytes += object.size;
    Ok(())
}

async fn is_there(
    objects: &Arc<dyn ObjectStore>,
    object: &ObjectMeta,
    sha256: Digest,
    trust: Trust,
) -> Result<bool, StorageError> {
    match objects.head(&object.location).await {
        Ok(found) if found.size != object.size => return Ok(false),
        Ok(_) if trust == Trust::Size => return Ok(true),
        Ok(_) => {}
        Err(object_store::Error::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    let found = objects.get(&object.location).await?;
    let mut parts = Box::pin(verified_digest(found.into_stream(), sha256));
    loop {
        match parts.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(true),
            Err(StorageError::Damaged { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}
