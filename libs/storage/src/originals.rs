//! The store of originals: content-addressed bytes in a directory or an S3-compatible bucket, and their rows.

use crate::measured::Measured;
use crate::{StorageError, Transaction};
use bytes::Bytes;
use carrel_domain::digest::Digest;
use carrel_domain::{Digests, WorkspaceId};
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt};
use sha2::{Digest as _, Sha256};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

/// Bytes of a part of a large upload: S3 refuses parts under 5 MiB, but for the last.
pub(crate) const PART_BYTES: usize = 8 << 20;

/// Where originals are kept.
#[derive(Clone, Debug)]
pub struct OriginalStore {
    objects: Arc<dyn ObjectStore>,
    /// Where originals were kept before; read from, never written to.
    previous: Option<Arc<dyn ObjectStore>>,
    /// The folder itself, where the store is one: uploads that broke off leave files there that no listing shows.
    folder: Option<PathBuf>,
}

/// Bytes that arrived but do not belong to any document yet.
#[derive(Clone, Debug)]
pub struct Staged {
    path: Path,
    /// Both digests.
    pub digests: Digests,
    /// Number of bytes.
    pub size: u64,
}

/// Whether what is found is also removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remove {
    /// Removed.
    Yes,
    /// Only counted.
    No,
}

/// Why bytes could not be staged.
#[derive(Debug, thiserror::Error)]
pub enum StageError<E> {
    /// The sender's stream broke.
    #[error("the upload broke off")]
    Sender(#[source] E),
    /// More bytes than allowed.
    #[error("the upload exceeds {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl OriginalStore {
    /// Uses `objects`, whatever is behind it.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects: Arc::new(Measured(objects)), previous: None, folder: None }
    }

    /// The same store, which also reads what is still only in `previous`, and deletes it there as well.
    #[must_use]
    pub fn with_previous(mut self, previous: Self) -> Self {
        self.previous = Some(previous.objects);
        self
    }

    /// A directory, made when it does not exist.
    pub fn directory(path: &std::path::Path) -> Result<Self, StorageError> {
        std::fs::create_dir_all(path)
            .map_err(|error| object_store::Error::Generic { store: "directory", source: Box::new(error) })?;
        let local = object_store::local::LocalFileSystem::new_with_prefix(path)?.with_automatic_cleanup(true);
        Ok(Self { folder: Some(path.to_path_buf()), ..Self::new(Arc::new(local)) })
    }

    /// Streams bytes to a staging place while digesting them; memory stays at a few tens of megabytes.
    pub async fn stage<E>(
        &self,
        id: Uuid,
        limit: u64,
        bytes: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<Staged, StageError<E>> {
        let path = Path::from(format!("staging/{id}"));
        let mut writer = BufWriter::with_capacity(Arc::clone(&self.objects), path.clone(), PART_BYTES);
        let mut sha256 = Sha256::new();
        let mut blake3 = blake3::Hasher::new();
        let mut size = 0_u64;
        let mut bytes = std::pin::pin!(bytes);
        while let Some(part) = bytes.next().await {
            let failure = match part {
                Ok(part) => {
                    size += part.len() as u64;
                    sha256.update(&part);
                    blake3.update(&part);
                    if size > limit {
                        Some(StageError::TooLarge { limit })
                    } else {
                        writer.put(part).await.err().map(|error| StageError::Storage(error.into()))
                    }
                }
                Err(error) => Some(StageError::Sender(error)),
            };
            if let Some(failure) = failure {
                // What was begun is of no use; a failing clean-up must not hide the reason.
                if let Err(error) = writer.abort().await {
                    tracing::warn!(%error, "could not abort a staged upload");
                }
                return Err(failure);
            }
        }
        let finished = writer.shutdown().await;
        finished.map_err(|error| {
            StorageError::Store(object_store::Error::Generic { store: "staging", source: Box::new(error) })
        })?;
        let digests =
            Digests { sha256: Digest(sha256.finalize().into()), blake3: Digest(*blake3.finalize().as_bytes()) };
        Ok(Staged { path, digests, size })
    }

    /// Copies staged bytes to their content address. Doing it again with the same bytes changes nothing.
    pub async fn keep(&self, workspace: WorkspaceId, staged: &Staged) -> Result<(), StorageError> {
        self.objects.copy(&staged.path, &address(workspace, staged.digests.sha256)).await?;
        Ok(())
    }

    /// Removes staged bytes that turned out not to be needed.
    pub async fn discard(&self, staged: &Staged) -> Result<(), StorageError> {
        match self.objects.delete(&staged.path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Streams an original, or a part of it. Of a whole one the digest is verified on the way: when it is not right, the
    /// stream ends with an error instead of its last bytes, so that nobody takes them for the original.
    pub async fn read(
        &self,
        workspace: WorkspaceId,
        sha256: Digest,
        range: Option<Range<u64>>,
    ) -> Result<BoxStream<'static, Result<Bytes, StorageError>>, StorageError> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let whole = options.range.is_none();
        let path = address(workspace, sha256);
        let object = self.get(&path, options).await?;
        let parts = object.into_stream();
        Ok(if whole { verified_digest(parts, sha256).boxed() } else { parts.map_err(StorageError::from).boxed() })
    }

    /// Copies an original to a local file and checks its digest on the way.
    pub async fn fetch(
        &self,
        workspace: WorkspaceId,
        sha256: Digest,
        to: &std::path::Path,
    ) -> Result<(), StorageError> {
        let io = |error: std::io::Error| {
            StorageError::Store(object_store::Error::Generic { store: "local file", source: Box::new(error) })
        };
        let mut file = tokio::fs::File::create(to).await.map_err(io)?;
        let mut parts = self.read(workspace, sha256, None).await?;
        while let Some(part) = parts.try_next().await? {
            file.write_all(&part).await.map_err(io)?;
        }
        file.flush().await.map_err(io)
    }

    /// Deletes the bytes; those that are gone already count as deleted.
    pub async fn delete(&self, workspace: WorkspaceId, sha256: Digest) -> Result<(), StorageError> {
        for place in self.quarantined(workspace, sha256).await? {
            self.objects.delete(&place).await?;
        }
        if let Some(previous) = &self.previous {
            match previous.delete(&address(workspace, sha256)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match self.objects.delete(&address(workspace, sha256)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// True when the bytes of this digest are at their place, at the one before, or in quarantine.
    pub async fn holds(&self, workspace: WorkspaceId, sha256: Digest) -> Result<bool, StorageError> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.get(&address(workspace, sha256), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(!self.quarantined(workspace, sha256).await?.is_empty()),
            Err(error) => Err(error.into()),
        }
    }

    /// Staged bytes with one of these digests, which an upload that was cut off may have left; `sizes` are theirs. Answers
    /// how many there are, after removing them when `remove` says so.
    pub async fn staged(&self, known: &[(Digest, u64)], remove: Remove) -> Result<u64, StorageError> {
        let mut found = 0;
        let mut list = self.objects.list(Some(&Path::from("staging")));
        let mut places = Vec::new();
        while let Some(object) = list.try_next().await? {
            if known.iter().any(|(_, size)| *size == object.size) {
                places.push(object.location);
            }
        }
        drop(list);
        for place in places {
            let bytes = match self.objects.get(&place).await {
                Ok(object) => object.into_stream(),
                // An upload that has just ended.
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let digest = bytes.try_fold(Sha256::new(), async |digest, part| Ok(digest.chain_update(&part))).await?;
            let digest = Digest(digest.finalize().into());
            if !known.iter().any(|(sha256, _)| *sha256 == digest) {
                continue;
            }
            found += 1;
            if matches!(remove, Remove::Yes) {
                self.objects.delete(&place).await?;
            }
        }
        Ok(found)
    }

    /// An object, from where originals were kept before when it is not here.
    pub(crate) async fn get(&self, path: &Path, options: GetOptions) -> Result<GetResult, object_store::Error> {
        match (self.objects.get_opts(path, options.clone()).await, &self.previous) {
            (Err(object_store::Error::NotFound { .. }), Some(previous)) => previous.get_opts(path, options).await,
            (found, _) => found,
        }
    }

    /// Where damaged bytes of an original lie in quarantine.
    async fn quarantined(&self, workspace: WorkspaceId, sha256: Digest) -> Result<Vec<Path>, StorageError> {
        let (folder, name) = (Path::from(format!("quarantine/{workspace}")), sha256.to_string());
        let mut objects = self.objects.list(Some(&folder));
        let mut found = Vec::new();
        while let Some(object) = objects.try_next().await? {
            if object.location.filename().is_some_and(|own| own.starts_with(&name)) {
                found.push(object.location);
            }
        }
        Ok(found)
    }

    pub(crate) fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    pub(crate) fn folder(&self) -> Option<&std::path::Path> {
        self.folder.as_deref()
    }

    /// Writes, reads and deletes a few bytes.
    pub async fn check(&self, id: Uuid) -> Result<(), StorageError> {
        let path = Path::from(format!("staging/check-{id}"));
        self.objects.put(&path, Bytes::from_static(b"carrel").into()).await?;
        self.objects.get(&path).await?.bytes().await?;
        self.objects.delete(&path).await?;
        Ok(())
    }
}

pub(crate) fn address(workspace: WorkspaceId, sha256: Digest) -> Path {
    let name = sha256.to_string();
    Path::from(format!("originals/{workspace}/{}/{name}", &name[..2]))
}

/// Hands `parts` on, one behind, and ends with an error unless they have the digest.
pub(crate) fn verified_digest(
    parts: BoxStream<'static, Result<Bytes, object_store::Error>>,
    sha256: Digest,
) -> impl Stream<Item = Result<Bytes, StorageError>> + Send {
    // The stream, its digest so far, and the part that is not handed on before the next one is there.
    let state = Some((parts, Sha256::new(), None::<Bytes>));
    futures::stream::try_unfold(state, move |state| async move {
        let Some((mut parts, mut digest, mut held)) = state else { return Ok(None) };
        while let Some(part) = parts.try_next().await? {
            digest.update(&part);
            if let Some(ready) = held.replace(part) {
                return Ok(Some((ready, Some((parts, digest, held)))));
            }
        }
        let found = Digest(digest.finalize().into());
        if found != sha256 {
            return Err(StorageError::Damaged {
                sha256: sha256.to_string(),
                problem: format!("its SHA-256 is {found}"),
            });
        }
        Ok(held.map(|last| (last, None)))
    })
}

/// Announces that the bytes belong here, and answers since when they do; `None` while they are being released. A row
/// that is still of the same time was never gone in between, and neither were bytes that were put in place since.
pub async fn register(
    transaction: &mut Transaction,
    digests: &Digests,
    size: u64,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StorageError> {
    let workspace = transaction.workspace();
    let since = sqlx::query_scalar!(
        "insert into carrel.original as o (workspace_id, sha256, blake3, size, created_at)
         values ($1, $2, $3, $4, $5)
         on conflict (workspace_id, sha256) do update set size = excluded.size where not o.releasing
         returning created_at",
        workspace.0,
        &digests.sha256.0[..],
        &digests.blake3.0[..],
        size.cast_signed(),
        now
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(since)
}

/// Keeps an original from being released until the end of the transaction, and answers since when it is here; `None`
/// when it is not, or is being released.
pub async fn hold(transaction: &mut Transaction, sha256: Digest) -> Result<Option<DateTime<Utc>>, StorageError> {
    let since = sqlx::query_scalar!(
        "select created_at from carrel.original where sha256 = $1 and not releasing for update",
        &sha256.0[..]
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(since)
}

/// Marks an original that no version refers to as being released; `false` when one does, or there is none.
pub async fn begin_release(transaction: &mut Transaction, sha256: Digest) -> Result<bool, StorageError> {
    // The lock comes first and in a statement of its own: an upload that registered the same bytes a moment ago holds the
    // row until its version is committed, and only a later statement sees that version.
    sqlx::query!("select 1 as locked from carrel.original where sha256 = $1 for update", &sha256.0[..])
        .fetch_optional(transaction.connection())
        .await?;
    let done = sqlx::query!(
        "update carrel.original o set releasing = true
         where o.sha256 = $1
           and not exists (select from carrel.document_version v where v.workspace_id = o.workspace_id and v.sha256 = o.sha256)",
        &sha256.0[..]
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes the row of an original whose bytes are deleted.
pub async fn finish_release(transaction: &mut Transaction, sha256: Digest) -> Result<(), StorageError> {
    sqlx::query!("delete from carrel.original where sha256 = $1 and releasing", &sha256.0[..])
        .execute(transaction.connection())
        .await?;
    Ok(())
}
