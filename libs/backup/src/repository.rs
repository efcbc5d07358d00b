//! Chunks in the destination: cut by content, named by it, compressed, encrypted, each stored once.
//!
//! A chunk lies at `chunks/ab/NAME-SHA256`: its name, and the SHA-256 of the file itself, so that a flipped bit is found without any
//! key and one listing tells what is there. Streams are cut where their content says (FastCDC, Xia et al. 2020), so that a dump
//! or a copy of the database stores only what changed since the last one.

use crate::error::{BackupError, at, io};
use crate::keys::{Keys, Lock, Name};
use crate::manifest::{ChunkRef, Chunks};
use bytes::Bytes;
use carrel_bundle::SigningKey;
use carrel_domain::digest::Digest;
use fastcdc::v2020::StreamCDC;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_stream::wrappers::ReceiverStream;

const LEAST: usize = 512 << 10;
const USUAL: usize = 2 << 20;
/// The largest chunk, and the size of the pieces of an original, in bytes.
pub(crate) const PIECE: usize = 8 << 20;
/// Chunks on their way at once: they bound memory, and hide how long a bucket takes.
const AT_ONCE: usize = 4;
/// Fast, and about a third of a dump's size.
const LEVEL: i32 = 3;
const FOLDER: &str = "chunks";

/// Who may read a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cover {
    /// Whoever has the identity.
    Sealed,
    /// Whoever reaches the destination: names of chunks only.
    Clear,
}

/// A destination with its keys.
#[derive(Clone)]
pub struct Repository {
    objects: Arc<dyn ObjectStore>,
    keys: Keys,
    naming: [u8; 32],
    tally: Arc<Tally>,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("objects", &self.objects).field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// What was stored by this process.
#[derive(Debug, Default)]
struct Tally {
    chunks: AtomicU64,
    bytes: AtomicU64,
}

/// The chunks that are in the destination: name to SHA-256 of the file. About a hundred bytes each.
pub(crate) type Stored = Arc<Mutex<HashMap<Name, [u8; 32]>>>;

impl Repository {
    /// Opens a destination. Chunk names follow from the instance's key; without it backups can be read and not made.
    ///
    /// # Errors
    /// A key that does not fit, a destination that does not answer.
    pub async fn open(
        objects: Arc<dyn ObjectStore>,
        lock: &Lock,
        instance: Option<&SigningKey>,
    ) -> Result<Self, BackupError> {
        let keys = Keys::open(&objects, lock).await?;
        let naming = instance.map_or([0; 32], |key| key.derive("carrel backup chunk names 1"));
        Ok(Self { objects, keys, naming, tally: Arc::default() })
    }

    pub(crate) fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Chunks and bytes that this process stored.
    pub(crate) fn tally(&self) -> (u64, u64) {
        (self.tally.chunks.load(Ordering::Relaxed), self.tally.bytes.load(Ordering::Relaxed))
    }

    /// The name of a chunk with this content, or of a piece at this place.
    pub(crate) fn name(&self, what: &str, content: &[u8]) -> Name {
        let mut hasher = blake3::Hasher::new_keyed(&self.naming);
        hasher.update(what.as_bytes()).update(&[0]).update(content);
        let mut name = Name::default();
        name.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        name
    }

    /// Every chunk that is there.
    pub(crate) async fn stored(&self) -> Result<Stored, BackupError> {
        let mut found = HashMap::new();
        let mut objects = self.objects.list(Some(&Path::from(FOLDER)));
        while let Some(object) = objects.try_next().await.map_err(at("listing chunks"))? {
            if let Some((name, sha256)) = object.location.filename().and_then(parse_file) {
                found.insert(name, sha256);
            }
        }
        Ok(Arc::new(Mutex::new(found)))
    }

    /// Stores a chunk unless it is there.
    pub(crate) async fn put(&self, stored: &Stored, name: Name, plain: Bytes, cover: Cover) -> Result<(), BackupError> {
        if is_stored(stored, name) {
            return Ok(());
        }
        let keys = self.keys.clone();
        let sealed = off_thread(move || {
            let packed = zstd::bulk::compress(&plain, LEVEL).map_err(io("compressing a chunk"))?;
            Ok(match cover {
                Cover::Sealed => keys.encrypt(&packed)?,
                Cover::Clear => packed,
            })
        })
        .await?;
        let sha256: [u8; 32] = Sha256::digest(&sealed).into();
        let bytes = sealed.len() as u64;
        self.objects.put(&place(name, sha256), sealed.into()).await.map_err(at("writing a chunk"))?;
        stored.lock().unwrap_or_else(PoisonError::into_inner).insert(name, sha256);
        self.tally.chunks.fetch_add(1, Ordering::Relaxed);
        self.tally.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// The file of a chunk as it lies there; its digest is checked.
    pub(crate) async fn fetch(&self, stored: &Stored, name: Name) -> Result<Bytes, BackupError> {
        let known = stored.lock().unwrap_or_else(PoisonError::into_inner).get(&name).copied();
        let what = || format!("chunk {}", hex(&name));
        let sha256 = known.ok_or_else(|| BackupError::damaged(what(), "it is missing"))?;
        let object = match self.objects.get(&place(name, sha256)).await {
            Err(object_store::Error::NotFound { .. }) => return Err(BackupError::damaged(what(), "it is missing")),
            other => other.map_err(at("reading a chunk"))?,
        };
        let sealed = object.bytes().await.map_err(at("reading a chunk"))?;
        let found = Sha256::digest(&sealed);
        if found[..] != sha256[..] {
            let problem = format!("its {} bytes are not those that were stored (SHA-256 differs)", sealed.len());
            return Err(BackupError::damaged(what(), problem));
        }
        Ok(sealed)
    }

    /// The content of a chunk.
    pub(crate) async fn get(&self, stored: &Stored, name: Name, cover: Cover) -> Result<Bytes, BackupError> {
        let sealed = self.fetch(stored, name).await?;
        let keys = self.keys.clone();
        off_thread(move || {
            let what = format!("chunk {}", hex(&name));
            let packed = match cover {
                Cover::Sealed => Bytes::from(keys.decrypt(&sealed, &what)?),
                Cover::Clear => sealed,
            };
            let plain = zstd::bulk::decompress(&packed, 2 * PIECE);
            plain.map(Bytes::from).map_err(|error| BackupError::damaged(what, error.to_string()))
        })
        .await
    }

    /// Removes a chunk, if it is there.
    pub(crate) async fn drop_stored(&self, stored: &Stored, name: Name) -> Result<(), BackupError> {
        let known = stored.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        match known {
            Some(sha256) => self.drop_chunk(name, sha256).await,
            None => Ok(()),
        }
    }

    /// Removes a chunk's file.
    pub(crate) async fn drop_chunk(&self, name: Name, sha256: [u8; 32]) -> Result<(), BackupError> {
        match self.objects.delete(&place(name, sha256)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(at("removing a chunk")(error)),
        }
    }

    /// Stores everything that `source` gives, in memory of a few chunks.
    pub(crate) async fn put_stream(
        &self,
        stored: &Stored,
        source: impl Read + Send + 'static,
        cover: Cover,
    ) -> Result<Chunks, BackupError> {
        let (sender, receiver) = tokio::sync::mpsc::channel(2);
        let cutting = tokio::task::spawn_blocking(move || cut(source, &sender));
        let written = ReceiverStream::new(receiver).map(|data: Bytes| async move {
            let name = self.name("content", &data);
            let chunk = ChunkRef {
                name: hex(&name),
                size: u32::try_from(data.len()).unwrap_or(u32::MAX),
                sha256: hex(&Sha256::digest(&data)),
            };
            self.put(stored, name, data, cover).await.map(|()| chunk)
        });
        let chunks: Result<Vec<ChunkRef>, BackupError> = written.buffered(AT_ONCE).try_collect().await;
        let cut = cutting.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        let chunks = chunks?;
        let (bytes, sha256) = cut?;
        Ok(Chunks { bytes, sha256, chunks })
    }

    /// What was stored, chunk by chunk, each checked.
    pub(crate) fn read<'a>(
        &'a self,
        stored: &'a Stored,
        chunks: &'a Chunks,
        cover: Cover,
    ) -> BoxStream<'a, Result<Bytes, BackupError>> {
        let parts = futures::stream::iter(chunks.chunks.clone()).map(move |chunk| async move {
            let name = parse_name(&chunk.name)
                .ok_or_else(|| BackupError::damaged("a manifest", format!("{:?} names no chunk", chunk.name)))?;
            let data = self.get(stored, name, cover).await?;
            if data.len() as u64 != u64::from(chunk.size) || hex(&Sha256::digest(&data)) != chunk.sha256 {
                return Err(BackupError::damaged(format!("chunk {}", chunk.name), "its content is another"));
            }
            Ok(data)
        });
        parts.buffered(AT_ONCE).boxed()
    }
}

/// Cuts a stream and hands its chunks over; answers its length and digest.
fn cut(source: impl Read, sender: &tokio::sync::mpsc::Sender<Bytes>) -> Result<(u64, String), BackupError> {
    let (mut bytes, mut digest) = (0, Sha256::new());
    for chunk in StreamCDC::new(source, LEAST, USUAL, PIECE) {
        let chunk = chunk.map_err(|error| io("reading what is backed up")(error.into()))?;
        bytes += chunk.data.len() as u64;
        digest.update(&chunk.data);
        if sender.blocking_send(Bytes::from(chunk.data)).is_err() {
            // Whoever stores has failed, and tells why.
            break;
        }
    }
    Ok((bytes, hex(&digest.finalize())))
}

/// Runs what takes longer than a moment away from the threads that wait.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

pub(crate) fn is_stored(stored: &Stored, name: Name) -> bool {
    stored.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&name)
}

fn place(name: Name, sha256: [u8; 32]) -> Path {
    let name = hex(&name);
    Path::from(format!("{FOLDER}/{}/{name}-{}", &name[..2], hex(&sha256)))
}

fn parse_file(file: &str) -> Option<(Name, [u8; 32])> {
    let (name, sha256) = file.split_once('-')?;
    Some((parse_name(name)?, Digest::parse(sha256).ok()?.0))
}

pub(crate) fn parse_name(text: &str) -> Option<Name> {
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    let mut name = Name::default();
    for (at, byte) in name.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(name)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
