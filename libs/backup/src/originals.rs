//! The originals: only those pieces are read and stored that the destination lacks.

use crate::create::scratch;
use crate::error::{BackupError, io};
use crate::keys::Name;
use crate::manifest::{Chunks, OriginalsPart};
use crate::repository::{Cover, PIECE, Repository, Stored, hex, is_stored, off_thread, parse_name};
use bytes::{Bytes, BytesMut};
use carrel_domain::IdSource;
use carrel_storage::backup::{StoredOriginal, parse_original};
use carrel_storage::originals::StageError;
use carrel_storage::{OriginalStore, StorageError};
use futures::{Stream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use std::io::{BufWriter, Seek, Write};

/// Originals on their way at once.
const AT_ONCE: usize = 4;

/// A line of the inventory.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    path: String,
    size: u64,
    chunks: Vec<String>,
}

/// What became of one original.
enum Copied {
    Stored(StoredOriginal, Vec<Name>),
    Damaged(String),
    Gone,
}

pub(crate) async fn copy(
    repository: &Repository,
    stored: &Stored,
    store: &OriginalStore,
) -> Result<OriginalsPart, BackupError> {
    let mut part = OriginalsPart::default();
    let (mut inventory, mut names) = (BufWriter::new(scratch()?), BufWriter::new(scratch()?));
    for folder in store.original_folders().await? {
        let originals = store.originals_in(&folder).await?;
        let copied = futures::stream::iter(originals).map(|original| copy_one(repository, stored, store, original));
        let mut copied = copied.buffered(AT_ONCE);
        while let Some(one) = copied.try_next().await? {
            let (original, pieces) = match one {
                Copied::Stored(original, pieces) => (original, pieces),
                Copied::Damaged(what) => {
                    part.damaged.push(what);
                    continue;
                }
                Copied::Gone => continue,
            };
            part.count += 1;
            part.bytes += original.size;
            let line =
                Line { path: original.path, size: original.size, chunks: pieces.iter().map(|n| hex(n)).collect() };
            let written = pieces.iter().try_for_each(|name| names.write_all(name));
            let written = written.and_then(|()| {
                serde_json::to_writer(&mut inventory, &line)?;
                inventory.write_all(b"\n")
            });
            written.map_err(io("the inventory cannot be written"))?;
        }
    }
    part.inventory = put_file(repository, stored, inventory, Cover::Sealed).await?;
    part.names = put_file(repository, stored, names, Cover::Clear).await?;
    Ok(part)
}

async fn put_file(
    repository: &Repository,
    stored: &Stored,
    file: BufWriter<std::fs::File>,
    cover: Cover,
) -> Result<Chunks, BackupError> {
    let failed = || io("the inventory cannot be written");
    let mut file = file.into_inner().map_err(|error| failed()(error.into_error()))?;
    file.rewind().map_err(failed())?;
    repository.put_stream(stored, file, cover).await
}

async fn copy_one(
    repository: &Repository,
    stored: &Stored,
    store: &OriginalStore,
    original: StoredOriginal,
) -> Result<Copied, BackupError> {
    // The place says what the bytes are, so that nothing is read of an original that is stored.
    let count = original.size.div_ceil(PIECE as u64).max(1);
    let name = |piece: u64| repository.name(&original.path, &piece.to_be_bytes());
    let pieces: Vec<Name> = (0..count).map(name).collect();
    if pieces.iter().all(|name| is_stored(stored, *name)) {
        return Ok(Copied::Stored(original, pieces));
    }
    let read = async {
        let mut parts = store.read(original.workspace, original.sha256, None).await?;
        let (mut buffer, mut at) = (BytesMut::new(), 0);
        let mut last: Vec<(Name, Bytes)> = Vec::new();
        while let Some(part) = parts.try_next().await? {
            buffer.extend_from_slice(&part);
            while buffer.len() >= PIECE && at + 1 < pieces.len() {
                let piece = (pieces[at], buffer.split_to(PIECE).freeze());
                repository.put(stored, piece.0, piece.1, Cover::Sealed).await?;
                at += 1;
            }
        }
        last.push((pieces[at.min(pieces.len() - 1)], buffer.freeze()));
        for (name, data) in last {
            repository.put(stored, name, data, Cover::Sealed).await?;
        }
        Ok::<(), BackupError>(())
    };
    match read.await {
        Ok(()) => Ok(Copied::Stored(original, pieces)),
        Err(BackupError::Storage(StorageError::Damaged { problem, .. })) => {
            // Its first pieces were stored before its digest was known: they must not be taken for the healed one's.
            for name in pieces {
                repository.drop_stored(stored, name).await?;
            }
            Ok(Copied::Damaged(format!("{}: {problem}", original.path)))
        }
        // Erased since it was listed.
        Err(BackupError::Storage(StorageError::Store(object_store::Error::NotFound { .. }))) => Ok(Copied::Gone),
        Err(other) => Err(other),
    }
}

/// Reads the names of all chunks of originals; needs no key.
pub(crate) async fn names(
    repository: &Repository,
    stored: &Stored,
    part: &OriginalsPart,
    mut each: impl FnMut(Name) + Send,
) -> Result<(), BackupError> {
    let mut parts = repository.read(stored, &part.names, Cover::Clear);
    let mut rest = BytesMut::new();
    while let Some(data) = parts.try_next().await? {
        rest.extend_from_slice(&data);
        while rest.len() >= 16 {
            let mut name = Name::default();
            name.copy_from_slice(&rest.split_to(16));
            each(name);
        }
    }
    Ok(())
}

/// The lines of the inventory.
fn lines<'a>(
    repository: &'a Repository,
    stored: &'a Stored,
    part: &'a OriginalsPart,
) -> impl Stream<Item = Result<(StoredOriginal, Vec<Name>), BackupError>> + 'a {
    let parts = repository.read(stored, &part.inventory, Cover::Sealed);
    let parts = parts.map_err(std::io::Error::other);
    let lines = tokio::io::AsyncBufReadExt::lines(tokio_util::io::StreamReader::new(parts));
    tokio_stream::wrappers::LinesStream::new(lines).map(|line| {
        let line = line.map_err(|error| match error.downcast::<BackupError>() {
            Ok(own) => own,
            Err(other) => BackupError::damaged("the inventory", other.to_string()),
        })?;
        let wrong = || BackupError::damaged("the inventory", "a line of it makes no sense");
        let line: Line = serde_json::from_str(&line).map_err(|_| wrong())?;
        let original = parse_original(&line.path, line.size).ok_or_else(wrong)?;
        let names: Option<Vec<Name>> = line.chunks.iter().map(|name| parse_name(name)).collect();
        Ok((original, names.ok_or_else(wrong)?))
    })
}

/// What was done with originals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutBack {
    /// Put to their places.
    pub restored: u64,
    /// Their bytes.
    pub bytes: u64,
    /// There already, with their size.
    pub present: u64,
}

/// Puts every original back that `store` lacks, and checks its digest on the way.
pub(crate) async fn restore(
    repository: &Repository,
    stored: &Stored,
    part: &OriginalsPart,
    store: &OriginalStore,
    ids: &dyn IdSource,
) -> Result<PutBack, BackupError> {
    let each = lines(repository, stored, part)
        .map(|line| async move {
            let (original, names) = line?;
            put_back(repository, stored, store, original, names, ids).await
        })
        .buffer_unordered(AT_ONCE);
    let mut each = std::pin::pin!(each);
    let mut done = PutBack::default();
    while let Some((bytes, was_there)) = each.try_next().await? {
        if was_there {
            done.present += 1;
        } else {
            done.restored += 1;
            done.bytes += bytes;
        }
    }
    let found = done.restored + done.present;
    if found != part.count {
        let problem = format!("it names {found} originals, the manifest {}", part.count);
        return Err(BackupError::damaged("the inventory", problem));
    }
    Ok(done)
}

async fn put_back(
    repository: &Repository,
    stored: &Stored,
    store: &OriginalStore,
    original: StoredOriginal,
    names: Vec<Name>,
    ids: &dyn IdSource,
) -> Result<(u64, bool), BackupError> {
    if store.has_size(&original).await? {
        return Ok((original.size, true));
    }
    let parts = futures::stream::iter(names).then(|name| repository.get(stored, name, Cover::Sealed));
    match store.put_back(&original, ids, parts).await {
        Ok(true) => Ok((original.size, false)),
        Ok(false) => Err(BackupError::damaged(original.path, "its SHA-256 is another")),
        Err(StageError::Sender(error)) => Err(error),
        Err(StageError::Storage(error)) => Err(error.into()),
        Err(StageError::TooLarge { .. }) => Err(BackupError::damaged(original.path, "it has no end")),
    }
}

/// Reads every original of a backup and compares its digest; answers what is wrong.
pub(crate) async fn check(
    repository: &Repository,
    stored: &Stored,
    part: &OriginalsPart,
    faults: &mut Vec<String>,
) -> Result<u64, BackupError> {
    let each = lines(repository, stored, part)
        .map(|line| async move {
            let (original, names) = line?;
            let mut digest = <sha2::Sha256 as sha2::Digest>::new();
            for name in names {
                match repository.get(stored, name, Cover::Sealed).await {
                    Ok(data) => digest = off_thread(move || Ok(sha2::Digest::chain_update(digest, &data))).await?,
                    Err(BackupError::Damaged { what, problem }) => {
                        return Ok(Some(format!("{}: {what}: {problem}", original.path)));
                    }
                    Err(other) => return Err(other),
                }
            }
            let found: [u8; 32] = sha2::Digest::finalize(digest).into();
            let right = found == original.sha256.0;
            Ok((!right).then(|| format!("{}: its SHA-256 is another", original.path)))
        })
        .buffer_unordered(AT_ONCE);
    let mut each = std::pin::pin!(each);
    let mut read = 0;
    while let Some(fault) = each.try_next().await? {
        read += 1;
        faults.extend(fault);
    }
    Ok(read)
}
