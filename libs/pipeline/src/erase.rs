//! `document.erase`: everywhere, and then the proof.
//!
//! Each step may be repeated: what is cleared in the database is cleared in one transaction, which notes what it found;
//! the store follows the protocol of `original.release`; the checks only read. So a job that is killed anywhere ends as
//! one that was not.

use crate::{Pipeline, compute, from_operation};
use async_trait::async_trait;
use carrel_bundle::write_receipt;
use carrel_domain::custody::{
    ClearedPlace, ErasedVersion, Erasure, ErasureCheck, ErasureProgress, ErasureState, Receipt, Remainder,
};
use carrel_domain::digest::Digest;
use carrel_domain::job::Progress;
use carrel_domain::search::{Filter, SearchMode};
use carrel_domain::{DocumentId, ErasureId};
use carrel_operations::SearchRequest;
use carrel_operations::kinds::EraseDocument;
use carrel_queue::{Completed, Handler, JobContext, JobError};
use carrel_storage::originals::{self, Remove};
use carrel_storage::{access, custody, erasure};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// How long to wait for jobs of the document that were asked to stop.
const STOPPING: Duration = Duration::from_secs(1);
/// Hits of each search that looks for what was erased.
const HITS: u32 = 50;
/// Prefix of the folders that extraction makes.
const SCRATCH: &str = "carrel-extract-";

/// What the store holds of the erased originals.
#[derive(Default)]
struct Store {
    cleared: u64,
    remains: Vec<Remainder>,
    kept: BTreeSet<Digest>,
}

#[async_trait]
impl Handler<EraseDocument> for Pipeline {
    async fn run(&self, cx: &JobContext, payload: EraseDocument) -> Result<Completed, JobError> {
        let Some((erasure, progress)) = self.clear_database(cx, payload.erasure).await? else {
            return cx.complete(cx.begin().await?, json!({ "skipped": "it is completed" })).await;
        };
        step(cx, 1, "clearing the store").await?;
        let store = self.clear_store(cx, &progress).await?;
        let staged = originals_of(&progress, &store);
        let staging = self.0.operations.originals.staged(&staged, Remove::Yes).await?;
        let scratch = self.sweep_scratch(&staged, Remove::Yes).await?;
        step(cx, 2, "looking for what may be left").await?;
        let mut remains = progress.remains.clone();
        remains.extend(store.remains.iter().cloned());
        let checks = self.look(cx, &erasure, &progress, &store, &mut remains).await?;
        if let Some(left) = checks.iter().find(|check| check.found > 0) {
            return Err(JobError::retry("leftovers", format!("{} still shows {} places", left.check, left.found)));
        }
        let mut places = progress.places.clone();
        for (place, count) in [("store", store.cleared), ("staging", staging), ("scratch", scratch)] {
            places.push(ClearedPlace { place: place.to_owned(), count });
        }
        self.prove(cx, &erasure, progress, places, checks, remains).await
    }
}

async fn step(cx: &JobContext, done: u64, note: &str) -> Result<(), JobError> {
    cx.check_cancelled()?;
    cx.progress(Progress { done, total: Some(3), note: note.to_owned() }).await;
    Ok(())
}

impl Pipeline {
    /// Clears every table in one transaction, once no job works on the document any more. `None` when it is completed.
    async fn clear_database(
        &self,
        cx: &JobContext,
        id: ErasureId,
    ) -> Result<Option<(Erasure, ErasureProgress)>, JobError> {
        // Not `cx.begin()`: what is erased must not come back when PostgreSQL goes down.
        let mut transaction = self.0.operations.database.begin(cx.job().workspace).await?;
        let Some(erasure) = erasure::get(&mut transaction, id).await? else { return Ok(None) };
        if erasure.state == ErasureState::Completed {
            return Ok(None);
        }
        let found = erasure::family(&mut transaction, erasure.document).await?;
        let mut progress = erasure.progress.clone();
        erasure::merge(&mut progress, found);
        if let Some(hold) = custody::holding_documents(&mut transaction, &progress.documents).await? {
            let message = format!("legal hold {} was placed meanwhile; run the job again once it is released", hold.id);
            return Err(JobError::fail("legal_hold", message));
        }
        if erasure::stop_jobs(&mut transaction, &progress.versions).await? > 0 {
            transaction.commit().await?;
            return Err(JobError::Snooze(STOPPING));
        }
        erasure::clear(&mut transaction, id, &mut progress).await?;
        transaction.commit().await?;
        Ok(Some((erasure, progress)))
    }

    /// Removes the originals that no other document holds.
    async fn clear_store(&self, cx: &JobContext, progress: &ErasureProgress) -> Result<Store, JobError> {
        let (database, workspace) = (&self.0.operations.database, cx.job().workspace);
        let digests: BTreeSet<Digest> = progress.versions.iter().map(|version| version.sha256).collect();
        let mut store = Store::default();
        for sha256 in digests {
            cx.check_cancelled()?;
            let mut transaction = database.begin(workspace).await?;
            let unused = originals::begin_release(&mut transaction, sha256).await?;
            let holders = erasure::holders(&mut transaction, sha256).await?;
            transaction.commit().await?;
            if unused {
                // From here on an upload of the same bytes waits for the row to go.
                self.0.operations.originals.delete(workspace, sha256).await?;
                let mut transaction = database.begin(workspace).await?;
                originals::finish_release(&mut transaction, sha256).await?;
                transaction.commit().await?;
            }
            if holders.is_empty() {
                store.cleared += 1;
            } else {
                store.remains.push(shared(sha256, &holders));
                store.kept.insert(sha256);
            }
        }
        Ok(store)
    }

    /// Looks for what was erased, wherever it could be.
    async fn look(
        &self,
        cx: &JobContext,
        erasure: &Erasure,
        progress: &ErasureProgress,
        store: &Store,
        remains: &mut Vec<Remainder>,
    ) -> Result<Vec<ErasureCheck>, JobError> {
        let mut transaction = self.0.operations.database.begin(cx.job().workspace).await?;
        let rows = erasure::leftovers(&mut transaction, progress).await?;
        let (alone, elsewhere) = erasure::probes(&mut transaction, erasure.id).await?;
        let scanned = if alone.is_empty() { Vec::new() } else { erasure::scan(&mut transaction, &alone).await? };
        transaction.rollback().await?;
        if !elsewhere.is_empty() {
            let why = "sample passages that stand word for word in other documents, which stay".to_owned();
            remains.push(Remainder { place: "rendition".to_owned(), count: elsewhere.len() as u64, why });
        }
        let mut checks = vec![
            sum("tables and index, by the ids of what was erased", &rows),
            sum("every text, JSON and binary column, by sample passages", &scanned),
        ];
        checks.push(self.search(cx, progress, &alone).await?);
        let mut held = 0;
        let mut looked_at = 0;
        for (sha256, _) in originals_of(progress, store) {
            looked_at += 1;
            if self.0.operations.originals.holds(cx.job().workspace, sha256).await? {
                // Unless somebody has sent the same bytes again since.
                let mut transaction = self.0.operations.database.begin(cx.job().workspace).await?;
                held += u64::from(erasure::holders(&mut transaction, sha256).await?.is_empty());
            }
        }
        checks.push(ErasureCheck { check: "store, by digest".to_owned(), looked_at, found: held });
        let originals = originals_of(progress, store);
        let staged = self.0.operations.originals.staged(&originals, Remove::No).await?;
        let scratch = self.sweep_scratch(&originals, Remove::No).await?;
        let check = "staging and scratch folders, by digest".to_owned();
        checks.push(ErasureCheck { check, looked_at, found: staged + scratch });
        Ok(checks)
    }

    /// Asks the search for passages that were erased.
    async fn search(
        &self,
        cx: &JobContext,
        progress: &ErasureProgress,
        words: &[String],
    ) -> Result<ErasureCheck, JobError> {
        let erased: BTreeSet<DocumentId> = progress.documents.iter().copied().collect();
        let mut found = 0;
        for query in words {
            let request = SearchRequest {
                query: query.clone(),
                mode: SearchMode::Hybrid,
                collections: Vec::new(),
                filter: Filter::default(),
                limit: HITS,
            };
            let (hits, _) = self.0.operations.find_passages(&cx.operation(), &request).await.map_err(from_operation)?;
            found += hits.iter().filter(|hit| erased.contains(&hit.document)).count() as u64;
        }
        Ok(ErasureCheck { check: "search, with sample passages".to_owned(), looked_at: words.len() as u64, found })
    }

    /// Folders of extractions that were killed: those with one of these originals.
    async fn sweep_scratch(&self, originals: &[(Digest, u64)], remove: Remove) -> Result<u64, JobError> {
        let (folder, originals) = (self.0.scratch.clone(), originals.to_vec());
        compute(move || sweep(&folder, &originals, remove)).await?.map_err(crate::extract::scratch)
    }

    /// Writes the receipt, in the transaction that completes the erasure and its job.
    async fn prove(
        &self,
        cx: &JobContext,
        erasure: &Erasure,
        progress: ErasureProgress,
        places: Vec<ClearedPlace>,
        checks: Vec<ErasureCheck>,
        remains: Vec<Remainder>,
    ) -> Result<Completed, JobError> {
        let operation = cx.operation();
        let now = operation.now;
        let now = chrono::DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now);
        let mut transaction = self.0.operations.database.begin(cx.job().workspace).await?;
        let receipt = Receipt {
            format: Receipt::FORMAT.to_owned(),
            erasure: erasure.id,
            workspace: cx.job().workspace,
            document: erasure.document,
            documents: progress.documents,
            versions: progress.versions,
            reason: erasure.reason.clone(),
            requested_at: erasure.requested_at,
            requested_by: erasure.requested_by.clone(),
            completed_at: now,
            places,
            checks,
            remains,
            seal: erasure::newest_seal(&mut transaction).await?,
        };
        let text = write_receipt(&receipt).map_err(|error| JobError::fail("receipt_unwritable", error.to_string()))?;
        erasure::complete(&mut transaction, erasure.id, &text, now).await?;
        let sha256 = Digest(Sha256::digest(&text).into());
        let details = json!({ "erasure": erasure.id, "receipt_sha256": sha256 });
        access::audit(&mut transaction, &operation, "complete_erasure", Some(erasure.document.0), details).await?;
        let rows: u64 = receipt.places.iter().map(|place| place.count).sum();
        cx.complete(transaction, json!({ "documents": receipt.documents.len(), "cleared": rows })).await
    }
}

/// Digests and sizes of the originals that must be gone.
fn originals_of(progress: &ErasureProgress, store: &Store) -> Vec<(Digest, u64)> {
    let gone = progress.versions.iter().filter(|version: &&ErasedVersion| !store.kept.contains(&version.sha256));
    gone.map(|version| (version.sha256, version.size)).collect::<BTreeMap<_, _>>().into_iter().collect()
}

fn shared(sha256: Digest, holders: &[DocumentId]) -> Remainder {
    let names: Vec<String> = holders.iter().map(DocumentId::to_string).collect();
    let why = format!("the original {sha256} is also that of {}", names.join(", "));
    Remainder { place: "store".to_owned(), count: 1, why }
}

fn sum(check: &str, places: &[ClearedPlace]) -> ErasureCheck {
    let left: Vec<&str> = places.iter().filter(|place| place.count > 0).map(|place| place.place.as_str()).collect();
    let check = if left.is_empty() { check.to_owned() } else { format!("{check} ({})", left.join(", ")) };
    let found = places.iter().map(|place| place.count).sum();
    ErasureCheck { check, looked_at: places.len() as u64, found }
}

fn sweep(folder: &Path, originals: &[(Digest, u64)], remove: Remove) -> std::io::Result<u64> {
    let mut found = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path().join("original");
        if !entry.file_name().to_string_lossy().starts_with(SCRATCH) {
            continue;
        }
        // Others come and go meanwhile.
        let Ok(length) = path.metadata().map(|file| file.len()) else { continue };
        if !originals.iter().any(|(_, size)| *size == length) {
            continue;
        }
        let mut digest = Sha256::new();
        let Ok(mut file) = std::fs::File::open(&path) else { continue };
        std::io::copy(&mut file, &mut DigestWriter(&mut digest))?;
        let digest = Digest(digest.finalize().into());
        if !originals.iter().any(|(sha256, _)| *sha256 == digest) {
            continue;
        }
        found += 1;
        if remove == Remove::Yes {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(found)
}

struct DigestWriter<'a>(&'a mut Sha256);

impl std::io::Write for DigestWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
