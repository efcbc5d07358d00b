//! The store against the database: originals without their bytes, bytes without an original, uploads that broke off.
//!
//! Nothing is removed that could still be wanted. Bytes without a row are first announced as being released, so that an
//! upload of the same bytes waits instead of losing what it has just put there. What is staged belongs to an upload that
//! may be running; only what is older than the grace time, which is longer than any upload may take, is left over.

use crate::documents::digest;
use crate::fixity::{self, Due, Pace, Reading};
use crate::originals::address;
use crate::{Database, OriginalStore, StorageError, Transaction};
use carrel_domain::WorkspaceId;
use carrel_domain::digest::Digest;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use std::collections::HashSet;
use std::time::Duration;

/// Originals read from the database at once, and objects compared with it at once.
const PAGE: u32 = 500;
/// Findings that are told one by one; all are counted.
const TOLD: usize = 1_000;

/// What is wrong with an object or an original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// A version refers to bytes that are not there.
    Missing,
    /// The bytes differ from those that came.
    Damaged,
    /// Bytes that no version refers to.
    Orphan,
    /// A row without a version: an upload that was cut off between its bytes and its version.
    Unused,
    /// An upload that was never finished.
    Staged,
    /// An object whose name is none of ours.
    Foreign,
}

impl Trouble {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Damaged => "damaged",
            Self::Orphan => "orphan",
            Self::Unused => "unused",
            Self::Staged => "staged",
            Self::Foreign => "foreign",
        }
    }
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What is wrong.
    pub trouble: Trouble,
    /// Name of the object.
    pub path: String,
    /// In plain words.
    pub detail: String,
    /// What was done about it; `None` when nothing was.
    pub repair: Option<&'static str>,
}

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct StoreReport {
    /// Originals that versions refer to.
    pub originals: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects in the store.
    pub objects: u64,
    /// Objects in quarantine.
    pub quarantined: u64,
    /// Findings by kind, repaired or not.
    pub counts: std::collections::BTreeMap<&'static str, u64>,
    /// The first thousand of them.
    pub findings: Vec<Finding>,
}

impl StoreReport {
    fn tell(&mut self, trouble: Trouble, path: &Path, detail: impl Into<String>, repair: Option<&'static str>) {
        *self.counts.entry(trouble.as_str()).or_default() += 1;
        if self.findings.len() < TOLD {
            self.findings.push(Finding { trouble, path: path.to_string(), detail: detail.into(), repair });
        }
    }

    /// How many of one kind.
    pub fn count(&self, trouble: Trouble) -> u64 {
        self.counts.get(trouble.as_str()).copied().unwrap_or_default()
    }

    /// True when no original is missing or damaged.
    pub fn is_sound(&self) -> bool {
        self.count(Trouble::Missing) == 0 && self.count(Trouble::Damaged) == 0
    }
}

/// How thorough a look at originals is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Their sizes.
    Sizes,
    /// Every byte.
    Bytes,
}

/// What to do about findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing; they are told.
    Tell,
    /// Move damaged bytes to quarantine, remove what is left over for longer than the grace time.
    Repair,
}

/// How a check is done.
#[derive(Clone, Copy, Debug)]
pub struct CheckRules {
    /// How thorough.
    pub depth: Depth,
    /// What to do about findings.
    pub remedy: Remedy,
    /// How long something may be left over before it is removed.
    pub grace: Duration,
    /// Now.
    pub now: DateTime<Utc>,
}

impl CheckRules {
    fn is_old(&self, at: DateTime<Utc>) -> bool {
        chrono::Duration::from_std(self.grace).is_ok_and(|grace| at < self.now - grace)
    }
}

/// Compares the originals of a workspace with their bytes; `seen` hears how many were looked at so far.
pub async fn check_originals(
    database: &Database,
    originals: &OriginalStore,
    workspace: WorkspaceId,
    rules: &CheckRules,
    pace: &mut Pace,
    report: &mut StoreReport,
    seen: &mut (dyn FnMut(u64) + Send),
) -> Result<(), StorageError> {
    let mut after = None;
    loop {
        let mut transaction = database.begin(workspace).await?;
        // All of them, however lately they were looked at.
        let rows = fixity::due(&mut transaction, DateTime::<Utc>::MAX_UTC, after, PAGE).await?;
        transaction.rollback().await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(last.digests.sha256);
        for due in &rows {
            check_one(database, originals, workspace, due, rules, pace, report).await?;
            report.originals += 1;
            report.bytes += due.size;
            seen(report.originals);
        }
    }
}

async fn check_one(
    database: &Database,
    originals: &OriginalStore,
    workspace: WorkspaceId,
    due: &Due,
    rules: &CheckRules,
    pace: &mut Pace,
    report: &mut StoreReport,
) -> Result<(), StorageError> {
    let sha256 = due.digests.sha256;
    let mut reading = match rules.depth {
        Depth::Bytes => originals.examine(workspace, &due.digests, due.size, pace).await?,
        Depth::Sizes => originals.measure(workspace, sha256, due.size).await?,
    };
    let mut transaction = database.begin(workspace).await?;
    // Sizes alone prove nothing, so a sound one of those is no verdict.
    let recorded = match (&reading, rules.depth) {
        (Reading::Sound, Depth::Sizes) => true,
        _ => fixity::record(&mut transaction, due, &reading, rules.now).await?,
    };
    transaction.commit().await?;
    if !recorded || reading == Reading::Sound {
        return Ok(());
    }
    let trouble = if reading == Reading::Missing { Trouble::Missing } else { Trouble::Damaged };
    let detail = reading.problem().unwrap_or_default().to_owned();
    let mut repair = None;
    if trouble == Trouble::Damaged && rules.remedy == Remedy::Repair {
        originals.quarantine(workspace, sha256, rules.now).await?;
        repair = Some("moved to quarantine; add the same file again to heal it");
        reading = Reading::Missing;
        let mut transaction = database.begin(workspace).await?;
        fixity::record(&mut transaction, due, &reading, rules.now).await?;
        transaction.commit().await?;
    }
    report.tell(trouble, &address(workspace, sha256), detail, repair);
    Ok(())
}

/// Lists the objects of `workspace` that no version needs, and removes those that are left over for long enough.
pub async fn collect_orphans(
    database: &Database,
    originals: &OriginalStore,
    workspace: WorkspaceId,
    rules: &CheckRules,
    report: &mut StoreReport,
) -> Result<(), StorageError> {
    let prefix = Path::from(format!("originals/{workspace}"));
    let mut objects = originals.objects().list(Some(&prefix));
    let mut page: Vec<(Digest, ObjectMeta)> = Vec::new();
    while let Some(object) = objects.try_next().await? {
        report.objects += 1;
        match object.location.filename().and_then(|name| Digest::parse(name).ok()) {
            Some(sha256) if object.location == address(workspace, sha256) => page.push((sha256, object)),
            _ => report.tell(Trouble::Foreign, &object.location, "its name is no content address", None),
        }
        if page.len() >= PAGE as usize {
            judge(database, originals, workspace, &std::mem::take(&mut page), rules, report).await?;
        }
    }
    judge(database, originals, workspace, &page, rules, report).await?;
    collect_unused(database, originals, workspace, rules, report).await
}

/// Tells of objects among the originals that lie in no workspace's folder.
pub async fn tell_strangers(
    originals: &OriginalStore,
    workspaces: &[WorkspaceId],
    report: &mut StoreReport,
) -> Result<(), StorageError> {
    let detail = "it lies in no workspace's folder";
    let top = originals.objects().list_with_delimiter(Some(&Path::from("originals"))).await?;
    for object in &top.objects {
        report.objects += 1;
        report.tell(Trouble::Foreign, &object.location, detail, None);
    }
    let known: HashSet<String> = workspaces.iter().map(WorkspaceId::to_string).collect();
    for folder in top.common_prefixes.iter().filter(|folder| folder.filename().is_none_or(|name| !known.contains(name)))
    {
        let mut objects = originals.objects().list(Some(folder));
        while let Some(object) = objects.try_next().await? {
            report.objects += 1;
            report.tell(Trouble::Foreign, &object.location, detail, None);
        }
    }
    Ok(())
}

async fn judge(
    database: &Database,
    originals: &OriginalStore,
    workspace: WorkspaceId,
    page: &[(Digest, ObjectMeta)],
    rules: &CheckRules,
    report: &mut StoreReport,
) -> Result<(), StorageError> {
    let digests: Vec<Digest> = page.iter().map(|(sha256, _)| *sha256).collect();
    let mut transaction = database.begin(workspace).await?;
    let known = known(&mut transaction, &digests).await?;
    transaction.rollback().await?;
    for (sha256, object) in page.iter().filter(|(sha256, _)| !known.contains(sha256)) {
        let mut repair = None;
        if rules.remedy == Remedy::Repair && rules.is_old(object.last_modified) {
            let mut transaction = database.begin(workspace).await?;
            let claimed = claim_orphan(&mut transaction, *sha256, object.size, rules.now).await?;
            transaction.commit().await?;
            if !claimed {
                // An upload of these very bytes came in between; they are wanted again.
                continue;
            }
            originals.delete(workspace, *sha256).await?;
            let mut transaction = database.begin(workspace).await?;
            crate::originals::finish_release(&mut transaction, *sha256).await?;
            transaction.commit().await?;
            repair = Some("removed");
        }
        let detail = format!("{} bytes of {}", object.size, object.last_modified.format("%Y-%m-%d %H:%M"));
        report.tell(Trouble::Orphan, &object.location, detail, repair);
    }
    Ok(())
}

/// Rows that were announced, whose version never came.
async fn collect_unused(
    database: &Database,
    originals: &OriginalStore,
    workspace: WorkspaceId,
    rules: &CheckRules,
    report: &mut StoreReport,
) -> Result<(), StorageError> {
    let mut after = None;
    loop {
        let mut transaction = database.begin(workspace).await?;
        let rows = unused(&mut transaction, after).await?;
        transaction.rollback().await?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        after = Some(*last);
        for (sha256, since) in rows {
            let mut repair = None;
            if rules.remedy == Remedy::Repair && rules.is_old(since) {
                let mut transaction = database.begin(workspace).await?;
                let begun = crate::originals::begin_release(&mut transaction, sha256).await?;
                transaction.commit().await?;
                if !begun {
                    continue;
                }
                originals.delete(workspace, sha256).await?;
                let mut transaction = database.begin(workspace).await?;
                crate::originals::finish_release(&mut transaction, sha256).await?;
                transaction.commit().await?;
                repair = Some("removed");
            }
            let detail = format!("announced {} and never used", since.format("%Y-%m-%d %H:%M"));
            report.tell(Trouble::Unused, &address(workspace, sha256), detail, repair);
        }
    }
}

/// Lists uploads that broke off, and removes those that are left over for long enough.
pub async fn collect_staged(
    originals: &OriginalStore,
    rules: &CheckRules,
    report: &mut StoreReport,
) -> Result<(), StorageError> {
    let mut objects = originals.objects().list(Some(&Path::from("staging")));
    while let Some(object) = objects.try_next().await? {
        let old = rules.is_old(object.last_modified);
        let mut repair = None;
        if old && rules.remedy == Remedy::Repair {
            match originals.objects().delete(&object.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => repair = Some("removed"),
                Err(error) => return Err(error.into()),
            }
        }
        // What is younger belongs to an upload that runs.
        if old {
            report.tell(Trouble::Staged, &object.location, format!("{} bytes", object.size), repair);
        }
    }
    if let Some(folder) = originals.folder() {
        let (folder, rules) = (folder.join("staging"), *rules);
        let found = tokio::task::spawn_blocking(move || broken_off(&folder, &rules)).await;
        for (name, repair) in found.unwrap_or_default() {
            report.tell(Trouble::Staged, &Path::from(format!("staging/{name}")), "an unfinished file", repair);
        }
    }
    let mut quarantined = originals.objects().list(Some(&Path::from("quarantine")));
    while quarantined.try_next().await?.is_some() {
        report.quarantined += 1;
    }
    Ok(())
}

/// Files of a folder that were still being written when their process ended; the store's own listing leaves them out.
fn broken_off(folder: &std::path::Path, rules: &CheckRules) -> Vec<(String, Option<&'static str>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let modified = entry.metadata().ok().and_then(|about| about.modified().ok());
        if !name.contains('#') || !modified.is_some_and(|at| rules.is_old(at.into())) {
            continue;
        }
        let repair = rules.remedy == Remedy::Repair && std::fs::remove_file(entry.path()).is_ok();
        found.push((name, repair.then_some("removed")));
    }
    found
}

impl OriginalStore {
    async fn measure(&self, workspace: WorkspaceId, sha256: Digest, size: u64) -> Result<Reading, StorageError> {
        let options = object_store::GetOptions { head: true, ..Default::default() };
        match self.get(&address(workspace, sha256), options).await {
            Ok(object) if object.meta.size == size => Ok(Reading::Sound),
            Ok(object) => Ok(Reading::Damaged(format!("it has {} bytes instead of {size}", object.meta.size))),
            Err(object_store::Error::NotFound { .. }) => Ok(Reading::Missing),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves the bytes of an original out of the way, where somebody may look at them.
    pub async fn quarantine(
        &self,
        workspace: WorkspaceId,
        sha256: Digest,
        now: DateTime<Utc>,
    ) -> Result<(), StorageError> {
        let to = Path::from(format!("quarantine/{workspace}/{sha256}-{}", now.timestamp()));
        match self.objects().rename(&address(workspace, sha256), &to).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

async fn known(transaction: &mut Transaction, digests: &[Digest]) -> Result<HashSet<Digest>, StorageError> {
    let digests: Vec<Vec<u8>> = digests.iter().map(|digest| digest.0.to_vec()).collect();
    let rows = sqlx::query_scalar!("select sha256 from carrel.original where sha256 = any($1)", &digests)
        .fetch_all(transaction.connection())
        .await?;
    Ok(rows.iter().filter_map(|bytes| digest(bytes)).collect())
}

/// Announces bytes without a row as being released; `false` when they have a row by now.
async fn claim_orphan(
    transaction: &mut Transaction,
    sha256: Digest,
    size: u64,
    now: DateTime<Utc>,
) -> Result<bool, StorageError> {
    let workspace = transaction.workspace();
    // Nobody reads the digest of a row that only waits for its end.
    let done = sqlx::query!(
        "insert into carrel.original (workspace_id, sha256, blake3, size, releasing, created_at)
         values ($1, $2, $2, $3, true, $4)
         on conflict do nothing",
        workspace.0,
        &sha256.0[..],
        size.cast_signed(),
        now
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn unused(
    transaction: &mut Transaction,
    after: Option<Digest>,
) -> Result<Vec<(Digest, DateTime<Utc>)>, StorageError> {
    let rows = sqlx::query!(
        "select o.sha256, o.created_at
         from carrel.original o
         where ($1::bytea is null or o.sha256 > $1)
           -- One that is being released by a job has another digest beside the first; what a broken collection left has not.
           and (not o.releasing or o.blake3 = o.sha256)
           and not exists (select from carrel.document_version v where v.workspace_id = o.workspace_id and v.sha256 = o.sha256)
         order by o.sha256
         limit $2",
        after.map(|digest| digest.0.to_vec()),
        i64::from(PAGE)
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows.into_iter().filter_map(|row| Some((digest(&row.sha256)?, row.created_at))).collect())
}
