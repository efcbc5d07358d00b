//! Fixity: reading originals again, and what was found.
//!
//! An original counts while a version refers to it. Bytes are read with no transaction open; what was found is recorded only
//! if the original is still the one that was looked for, so that one that was released meanwhile is never called missing.

use crate::documents::digest;
use crate::originals::address;
use crate::page::{After, Page};
use crate::{Database, OriginalStore, StorageError, Transaction};
use carrel_domain::archive::{Fixity, Verdict};
use carrel_domain::digest::Digest;
use carrel_domain::{Digests, VersionId, WorkspaceId};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::{GetOptions, ObjectStoreExt};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Versions that are named beside a damaged original.
const NAMED: i64 = 20;

/// What reading an original again showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Size and both digests are right.
    Sound,
    /// It is there and differs, or cannot be read; in plain words.
    Damaged(String),
    /// It is not there.
    Missing,
}

impl Reading {
    /// The finding without its details.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Sound => Verdict::Sound,
            Self::Damaged(_) => Verdict::Damaged,
            Self::Missing => Verdict::Missing,
        }
    }

    /// What was found instead.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::Sound => None,
            Self::Damaged(problem) => Some(problem),
            Self::Missing => Some("its bytes are not in the store"),
        }
    }
}

/// Bounds how fast originals are read, so that a check does not take the disk from those who work.
#[derive(Debug)]
pub struct Pace {
    per_second: Option<u64>,
    started: Instant,
    bytes: u64,
}

impl Pace {
    /// At most `per_second` bytes a second on average; `None` is as fast as it goes.
    pub fn new(per_second: Option<u64>) -> Self {
        Self { per_second: per_second.filter(|rate| *rate > 0), started: Instant::now(), bytes: 0 }
    }

    /// Waits until `bytes` more may have been read.
    pub async fn spend(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(rate) = self.per_second {
            let due = Duration::try_from_secs_f64(self.bytes as f64 / rate as f64).unwrap_or(Duration::MAX);
            if let Some(at) = self.started.checked_add(due) {
                tokio::time::sleep_until(at).await;
            }
        }
    }
}

impl OriginalStore {
    /// Reads an original again and digests it. An error is a store that does not answer, never a finding.
    pub async fn examine(
        &self,
        workspace: WorkspaceId,
        digests: &Digests,
        size: u64,
        pace: &mut Pace,
    ) -> Result<Reading, StorageError> {
        match self.digest_again(workspace, digests, size, pace).await {
            Err(StorageError::Store(object_store::Error::NotFound { .. })) => Ok(Reading::Missing),
            Err(StorageError::Store(error)) => {
                // A store that answers otherwise has lost this one's bytes; one that does not will be asked again.
                let other = object_store::path::Path::from(format!("staging/check-{}", digests.sha256));
                self.objects().put(&other, bytes::Bytes::from_static(b"carrel").into()).await?;
                self.objects().delete(&other).await?;
                match self.digest_again(workspace, digests, size, pace).await {
                    Err(StorageError::Store(object_store::Error::NotFound { .. })) => Ok(Reading::Missing),
                    Err(StorageError::Store(_)) => {
                        tracing::warn!(sha256 = %digests.sha256, %error, "an original cannot be read");
                        Ok(Reading::Damaged("it cannot be read".to_owned()))
                    }
                    other => other,
                }
            }
            other => other,
        }
    }

    async fn digest_again(
        &self,
        workspace: WorkspaceId,
        digests: &Digests,
        size: u64,
        pace: &mut Pace,
    ) -> Result<Reading, StorageError> {
        let object = match self.get(&address(workspace, digests.sha256), GetOptions::default()).await {
            Ok(object) => object,
            Err(object_store::Error::NotFound { .. }) => return Ok(Reading::Missing),
            Err(error) => return Err(error.into()),
        };
        let (mut sha256, mut blake3, mut read) = (Sha256::new(), blake3::Hasher::new(), 0_u64);
        let mut parts = object.into_stream();
        while let Some(part) = parts.try_next().await? {
            read += part.len() as u64;
            sha256.update(&part);
            blake3.update(&part);
            pace.spend(part.len() as u64).await;
            // Megabytes of digesting must not keep the thread from others.
            tokio::task::yield_now().await;
        }
        let found = Digest(sha256.finalize().into());
        if read != size {
            return Ok(Reading::Damaged(format!("it has {read} bytes instead of {size}")));
        }
        if found != digests.sha256 {
            return Ok(Reading::Damaged(format!("its SHA-256 is {found}")));
        }
        let found = Digest(*blake3.finalize().as_bytes());
        if found != digests.blake3 {
            return Ok(Reading::Damaged(format!("its BLAKE3 is {found}")));
        }
        Ok(Reading::Sound)
    }
}

/// An original to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Both digests.
    pub digests: Digests,
    /// Bytes.
    pub size: u64,
    /// Since when it is here; another time is another stay.
    pub since: DateTime<Utc>,
}

/// Originals with a version, by digest after `after`, that were not looked at since `before`.
pub async fn due(
    transaction: &mut Transaction,
    before: DateTime<Utc>,
    after: Option<Digest>,
    limit: u32,
) -> Result<Vec<Due>, StorageError> {
    let rows = sqlx::query!(
        "select o.sha256, o.blake3, o.size, o.created_at
         from carrel.original o
         left join carrel.fixity f on f.workspace_id = o.workspace_id and f.sha256 = o.sha256
         where not o.releasing
           and ($1::bytea is null or o.sha256 > $1)
           and (f.checked_at is null or f.checked_at < $2)
           and exists (select from carrel.document_version v where v.workspace_id = o.workspace_id and v.sha256 = o.sha256)
         order by o.sha256
         limit $3",
        after.map(|digest| digest.0.to_vec()),
        before,
        i64::from(limit)
    )
    .fetch_all(transaction.connection())
    .await?;
    let row = |sha256: Vec<u8>, blake3: Vec<u8>| digest(&sha256).zip(digest(&blake3));
    let rows = rows.into_iter().filter_map(|found| {
        let (sha256, blake3) = row(found.sha256, found.blake3)?;
        Some(Due { digests: Digests { sha256, blake3 }, size: found.size.unsigned_abs(), since: found.created_at })
    });
    Ok(rows.collect())
}

/// Records what was found; `false` when the original was released meanwhile, and nothing is recorded then.
pub async fn record(
    transaction: &mut Transaction,
    due: &Due,
    reading: &Reading,
    now: DateTime<Utc>,
) -> Result<bool, StorageError> {
    let done = sqlx::query!(
        "insert into carrel.fixity as f (workspace_id, sha256, verdict, problem, checked_at, damaged_since)
         select o.workspace_id, o.sha256, $3, $4, $5::timestamptz, case when $3 <> 'sound' then $5::timestamptz end
         from carrel.original o
         where o.sha256 = $1 and o.created_at = $2 and not o.releasing
           and exists (select from carrel.document_version v where v.workspace_id = o.workspace_id and v.sha256 = o.sha256)
         on conflict (workspace_id, sha256) do update
         set verdict = excluded.verdict, problem = excluded.problem, checked_at = excluded.checked_at,
             damaged_since = case when excluded.verdict <> 'sound'
                                  then coalesce(f.damaged_since, excluded.checked_at) end",
        &due.digests.sha256.0[..],
        due.since,
        reading.verdict().as_str(),
        reading.problem(),
        now
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What [`check_batch`] did.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Originals read.
    pub originals: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that are not sound.
    pub damaged: Vec<(Digest, Reading)>,
    /// The last one; the next batch begins after it. `None` when nothing was left.
    pub last: Option<Digest>,
}

/// Reads the next originals that were not looked at since `before` and records what it finds.
pub async fn check_batch(
    database: &Database,
    originals: &OriginalStore,
    workspace: WorkspaceId,
    (before, now): (DateTime<Utc>, DateTime<Utc>),
    after: Option<Digest>,
    limit: u32,
    pace: &mut Pace,
) -> Result<Batch, StorageError> {
    let mut transaction = database.begin(workspace).await?;
    let rows = due(&mut transaction, before, after, limit).await?;
    transaction.rollback().await?;
    let mut batch = Batch::default();
    for row in rows {
        let reading = originals.examine(workspace, &row.digests, row.size, pace).await?;
        let mut transaction = database.begin(workspace).await?;
        let recorded = record(&mut transaction, &row, &reading, now).await?;
        transaction.commit().await?;
        batch.originals += 1;
        batch.bytes += row.size;
        batch.last = Some(row.digests.sha256);
        if recorded && reading != Reading::Sound {
            tracing::error!(%workspace, sha256 = %row.digests.sha256, problem = reading.problem(), "an original is not sound");
            batch.damaged.push((row.digests.sha256, reading));
        }
    }
    Ok(batch)
}

/// How far the originals of a workspace are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Originals that a version refers to.
    pub originals: u64,
    /// Those that were looked at.
    pub checked: u64,
    /// Those that are there and differ.
    pub damaged: u64,
    /// Those that are not there.
    pub missing: u64,
    /// The check that is longest ago; `None` before the first.
    pub oldest: Option<DateTime<Utc>>,
}

/// Counts what was found.
pub async fn summary(transaction: &mut Transaction) -> Result<Summary, StorageError> {
    let row = sqlx::query!(
        r#"select count(*) as "originals!", count(f.verdict) as "checked!",
                  count(*) filter (where f.verdict = 'damaged') as "damaged!",
                  count(*) filter (where f.verdict = 'missing') as "missing!", min(f.checked_at) as oldest
           from carrel.original o
           left join carrel.fixity f on f.workspace_id = o.workspace_id and f.sha256 = o.sha256
           where exists (select from carrel.document_version v where v.workspace_id = o.workspace_id and v.sha256 = o.sha256)"#
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(Summary {
        originals: row.originals.unsigned_abs(),
        checked: row.checked.unsigned_abs(),
        damaged: row.damaged.unsigned_abs(),
        missing: row.missing.unsigned_abs(),
        oldest: row.oldest,
    })
}

/// An original that is not sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Its content address.
    pub sha256: Digest,
    /// Bytes that it should have.
    pub size: u64,
    /// What was found.
    pub fixity: Fixity,
    /// Versions that hold it, newest first, at most twenty.
    pub versions: Vec<VersionId>,
}

/// Originals that are not sound, those first that have been so for longest.
pub async fn list_damaged(
    transaction: &mut Transaction,
    after: Option<After>,
    limit: u32,
) -> Result<Page<Damage>, StorageError> {
    let rows = sqlx::query!(
        r#"select f.sha256, o.size, f.verdict, f.problem, f.checked_at, f.damaged_since as "damaged_since!",
                  array(select v.id from carrel.document_version v
                        where v.workspace_id = f.workspace_id and v.sha256 = f.sha256
                        order by v.created_at desc limit $4) as "versions!"
           from carrel.fixity f
           join carrel.original o on o.workspace_id = f.workspace_id and o.sha256 = f.sha256
           where f.verdict <> 'sound'
             and ($1::timestamptz is null or (f.damaged_since, substring(f.sha256 for 16)) > ($1, $2::bytea))
           order by f.damaged_since, substring(f.sha256 for 16)
           limit $3"#,
        after.map(|after| after.at),
        after.map(|after| after.id.as_bytes().to_vec()),
        i64::from(limit) + 1,
        NAMED
    )
    .fetch_all(transaction.connection())
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let inconsistent = |column: &'static str| StorageError::Inconsistent {
            table: "fixity",
            column,
            row: format!("{:?}", row.sha256),
            problem: "it cannot be read back".to_owned(),
        };
        let sha256 = digest(&row.sha256).ok_or_else(|| inconsistent("sha256"))?;
        let fixity = Fixity {
            verdict: Verdict::parse(&row.verdict).ok_or_else(|| inconsistent("verdict"))?,
            problem: row.problem,
            checked_at: row.checked_at,
            damaged_since: Some(row.damaged_since),
        };
        let versions = row.versions.into_iter().map(VersionId).collect();
        found.push((row.damaged_since, Damage { sha256, size: row.size.unsigned_abs(), fixity, versions }));
    }
    // A UUID's sixteen bytes are the first half of the digest.
    let key = |(since, damage): &(DateTime<Utc>, Damage)| {
        let mut half = [0; 16];
        half.copy_from_slice(&damage.sha256.0[..16]);
        After { at: *since, id: Uuid::from_bytes(half) }
    };
    let page = Page::cut(found, limit, key);
    Ok(Page { rows: page.rows.into_iter().map(|(_, damage)| damage).collect(), next: page.next })
}
