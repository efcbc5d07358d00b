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
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use sha2::{Digest as _, Sha256};
use std::ops::Range;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

/// Where originals are kept.
#[derive(Clone, Debug)]
pub struct OriginalStore {
    objects: Arc<dyn ObjectStore>,
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
        Self { objects: Arc::new(Measured(objects)) }
    }

    /// A directory, made when it does not exist.
    pub fn directory(path: &std::path::Path) -> Result<Self, StorageError> {
        std::fs::create_dir_all(path)
            .map_err(|error| object_store::Error::Generic { store: "directory", source: Box::new(error) })?;
        let local = object_store::local::LocalFileSystem::new_with_prefix(path)?.with_automatic_cleanup(true);
        Ok(Self::new(Arc::new(local)))
    }

    /// Streams bytes to a staging place while digesting them; memory stays at a few megabytes.
    pub async fn stage<E>(
        &self,
        id: Uuid,
        limit: u64,
        bytes: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<Staged, StageError<E>> {
        let path = Path::from(format!("staging/{id}"));
        let mut writer = BufWriter::with_capacity(Arc::clone(&self.objects), path.clone(), 1 << 20);
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

    /// Streams an original, or a part of it.
    pub async fn read(
        &self,
        workspace: WorkspaceId,
        sha256: Digest,
        range: Option<Range<u64>>,
    ) -> Result<BoxStream<'static, Result<Bytes, StorageError>>, StorageError> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let object = self.objects.get_opts(&address(workspace, sha256), options).await?;
        Ok(object.into_stream().map_err(StorageError::from).boxed())
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
        let mut digest = Sha256::new();
        let mut parts = self.read(workspace, sha256, None).await?;
        while let Some(part) = parts.try_next().await? {
            digest.update(&part);
            file.write_all(&part).await.map_err(io)?;
        }
        file.flush().await.map_err(io)?;
        let found = Digest(digest.finalize().into());
        if found != sha256 {
            return Err(StorageError::Inconsistent {
                table: "original",
                column: "sha256",
                row: sha256.to_string(),
                problem: format!("the stored bytes have digest {found}"),
            });
        }
        Ok(())
    }

    /// Deletes the bytes; those that are gone already count as deleted.
    pub async fn delete(&self, workspace: WorkspaceId, sha256: Digest) -> Result<(), StorageError> {
        match self.objects.delete(&address(workspace, sha256)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// True when the bytes of this digest are at their place.
    pub async fn holds(&self, workspace: WorkspaceId, sha256: Digest) -> Result<bool, StorageError> {
        match self.objects.head(&address(workspace, sha256)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
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

    /// Writes, reads and deletes a few bytes.
    pub async fn check(&self, id: Uuid) -> Result<(), StorageError> {
        let path = Path::from(format!("staging/check-{id}"));
        self.objects.put(&path, Bytes::from_static(b"carrel").into()).await?;
        self.objects.get(&path).await?.bytes().await?;
        self.objects.delete(&path).await?;
        Ok(())
    }
}

fn address(workspace: WorkspaceId, sha256: Digest) -> Path {
    let name = sha256.to_string();
    Path::from(format!("originals/{workspace}/{}/{name}", &name[..2]))
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
