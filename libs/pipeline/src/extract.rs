//! `document.extract`: from the original to rendition and passages.

use crate::children::depth;
use crate::index::{self as indexing, EMBED_CALL, Indexed};
use crate::screen::{Outcome, Subject, action_of};
use crate::{Pipeline, compute};
use async_trait::async_trait;
use carrel_domain::archive::{Document, DocumentVersion, VersionState};
use carrel_domain::digest::Digest;
use carrel_domain::job::{JobKind, JobSpec, Progress};
use carrel_domain::text::Rendition;
use carrel_domain::{JobId, Language, OperationContext, VersionId};
use carrel_extract::{ExtractError, Extraction, Request};
use carrel_operations::kinds::{EMBED_BATCH, EmbedPassages, ExtractDocument, IndexDocument, PublishDocument};
use carrel_operations::signature_of;
use carrel_queue::{Completed, Handler, JobContext, JobError};
use carrel_storage::documents::{self, NewRendition};
use carrel_storage::generations;
use carrel_storage::index::{self, NewPassage, PassageText, Whole};
use carrel_storage::screening::{self, NewScreening};
use carrel_storage::similarity::{self, StoredSignature};
use carrel_storage::{Transaction, access, jobs};
use carrel_text::{CharIndex, PassageRules, detect_language, passages};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// The copy of the original in a job's folder.
const ORIGINAL: &str = "original";
/// Attempts at a file whose reading takes longer than it may.
const SLOW_ATTEMPTS: u16 = 2;

/// What extraction, screening and splitting make of an original.
pub(crate) struct Derived {
    pub(crate) rendition: Rendition,
    pub(crate) language: Language,
    pub(crate) sha256: Digest,
    pub(crate) passages: Vec<NewPassage>,
    signature: Option<StoredSignature>,
}

#[async_trait]
impl Handler<ExtractDocument> for Pipeline {
    async fn run(&self, cx: &JobContext, payload: ExtractDocument) -> Result<Completed, JobError> {
        let id = payload.version;
        let mut transaction = cx.begin().await?;
        let known = documents::version(&mut transaction, id).await?;
        let parent = match &known {
            Some(version) => documents::get(&mut transaction, version.document).await?,
            None => None,
        };
        let (Some(version), Some(parent)) = (known, parent) else {
            return cx.complete(transaction, json!({ "skipped": "the document was deleted" })).await;
        };
        match version.state {
            VersionState::Quarantined | VersionState::Rejected { .. } => {
                return cx.complete(transaction, json!({ "skipped": "screening withholds the version" })).await;
            }
            // Somebody runs an old job again: its text stands, and may only be replaced with care.
            VersionState::Extracted | VersionState::Searchable => {
                transaction.rollback().await?;
                return self.rescreen(cx, id).await;
            }
            VersionState::Received | VersionState::Failed { .. } => transaction.rollback().await?,
        }
        self.extract(cx, &version, &parent).await
    }
}

impl Pipeline {
    async fn extract(
        &self,
        cx: &JobContext,
        version: &DocumentVersion,
        parent: &Document,
    ) -> Result<Completed, JobError> {
        let id = version.id;
        cx.progress(Progress { done: 0, total: Some(3), note: "reading".to_owned() }).await;
        let folder = tempfile::Builder::new().prefix("carrel-extract-").tempdir_in(&self.0.scratch).map_err(scratch)?;
        let extraction = self.read(cx, version, parent, folder.path()).await?;
        cx.check_cancelled()?;
        let children = self.add_children(cx, parent, id, &extraction.children).await?;
        cx.progress(Progress { done: 1, total: Some(3), note: "screening".to_owned() }).await;
        let outcome = self.screen_extracted(cx, version, parent, extraction.rendition, folder.path()).await?;
        cx.progress(Progress { done: 2, total: Some(3), note: "splitting".to_owned() }).await;
        let Outcome { rendition, uploaded_title, screening, held } = outcome;
        let rules = self.0.passages;
        let derived = compute(move || derive(rendition, rules)).await?;
        if derived.passages.is_empty() {
            return Err(JobError::fail("no_text", "the file holds no words"));
        }
        // The title as it may be seen: what is given to the model here is what is stored below.
        let title = uploaded_title.clone().or_else(|| version.title.clone());
        let decided = Decided { uploaded_title, screening, children };
        if held {
            return self.hold(cx, id, &derived, &decided).await;
        }
        if self.0.at_once && derived.passages.len() <= EMBED_CALL {
            let subject = derived.subject(title);
            if let Some(indexed) = self.index_now(subject).await? {
                cx.check_cancelled()?;
                return self.store_indexed(cx, id, &derived, &indexed, &decided).await;
            }
        }
        self.store(cx, id, &derived, &decided).await
    }
}

/// What was decided and found beside the text.
struct Decided {
    uploaded_title: Option<String>,
    screening: NewScreening,
    children: u32,
}

impl Decided {
    /// Writes what screening decided.
    async fn record(&self, transaction: &mut Transaction, operation: &OperationContext) -> Result<(), JobError> {
        let screening = &self.screening;
        screening::put(transaction, screening).await?;
        if let Some(title) = &self.uploaded_title {
            screening::hide_title(transaction, screening.version, title).await?;
        }
        if let Some(action) = action_of(screening.verdict) {
            let details = json!({ "action": action, "findings": screening.total });
            access::audit(transaction, operation, "screen_version", Some(screening.version.0), details).await?;
        }
        Ok(())
    }
}

impl Derived {
    fn subject(&self, title: Option<String>) -> indexing::Subject {
        let passages = self.passages.iter().map(|passage| PassageText {
            ordinal: passage.ordinal,
            headings: passage.headings.clone(),
            text: passage.text.clone(),
        });
        indexing::Subject {
            title: title.or_else(|| self.rendition.title.clone()),
            language: self.language,
            passages: passages.collect(),
        }
    }

    pub(crate) fn new_rendition(&self, version: VersionId, operation: &OperationContext) -> NewRendition<'_> {
        let (language, sha256, now) = (self.language, self.sha256, operation.now);
        NewRendition { version, rendition: &self.rendition, language, sha256, now }
    }

    /// Reading the original is an access to it, whoever reads.
    async fn audit(
        &self,
        transaction: &mut Transaction,
        operation: &OperationContext,
        version: VersionId,
    ) -> Result<(), JobError> {
        let read = json!({ "media_type": self.rendition.media_type, "rendition_sha256": self.sha256 });
        Ok(access::audit(transaction, operation, "extract_document", Some(version.0), read).await?)
    }

    fn result(&self, decided: &Decided) -> Value {
        json!({
            "media_type": self.rendition.media_type,
            "language": self.language,
            "passages": self.passages.len(),
            "warnings": self.rendition.warnings,
            "screening": { "verdict": decided.screening.verdict, "findings": decided.screening.total },
            "children": decided.children,
        })
    }
}

impl Pipeline {
    /// Reads an original in a child; a copy of it is left in `folder` under the name [`ORIGINAL`].
    pub(crate) async fn read(
        &self,
        cx: &JobContext,
        version: &DocumentVersion,
        parent: &Document,
        folder: &Path,
    ) -> Result<Extraction, JobError> {
        let path = folder.join(ORIGINAL);
        let inside = folder.join("inside");
        tokio::fs::create_dir(&inside).await.map_err(scratch)?;
        self.0.operations.originals.fetch(cx.job().workspace, version.digests.sha256, &path).await?;
        let depth = depth(parent);
        let request = Request { input: &path, name: Some(&version.file_name), depth, children: Some(&inside) };
        let extraction = self.0.sandbox.extract_with_children(&request);
        tokio::select! {
            result = extraction => result.map_err(|error| from_extraction(&error, cx.job().attempt)),
            // The child dies with the future.
            () = cx.cancellation().cancelled() => Err(JobError::Cancelled),
        }
    }

    /// Screens what [`Pipeline::read`] has read.
    pub(crate) async fn screen_extracted(
        &self,
        cx: &JobContext,
        version: &DocumentVersion,
        document: &Document,
        rendition: Rendition,
        folder: &Path,
    ) -> Result<Outcome, JobError> {
        let subject = Subject { version, collection: document.collection, rendition, path: folder.join(ORIGINAL) };
        self.screen(cx, subject).await
    }

    /// Nothing of a held text is stored, so nothing can read it. The job that follows a release reads it again.
    async fn hold(
        &self,
        cx: &JobContext,
        version: VersionId,
        derived: &Derived,
        decided: &Decided,
    ) -> Result<Completed, JobError> {
        let mut transaction = cx.begin().await?;
        if index::place(&mut transaction, version).await?.is_none() {
            return cx.complete(transaction, json!({ "skipped": "the document was deleted" })).await;
        }
        decided.record(&mut transaction, &cx.operation()).await?;
        screening::quarantine(&mut transaction, version).await?;
        let result = json!({
            "media_type": derived.rendition.media_type,
            "screening": { "verdict": decided.screening.verdict, "findings": decided.screening.total },
            "quarantined": "a reviewer must release it before it is indexed",
            "children": decided.children,
        });
        cx.complete(transaction, result).await
    }

    async fn store(
        &self,
        cx: &JobContext,
        version: VersionId,
        derived: &Derived,
        decided: &Decided,
    ) -> Result<Completed, JobError> {
        let operation = cx.operation();
        let mut transaction = cx.begin().await?;
        let Some(place) = index::place(&mut transaction, version).await? else {
            return cx.complete(transaction, json!({ "skipped": "the document was deleted" })).await;
        };
        decided.record(&mut transaction, &operation).await?;
        documents::insert_rendition(&mut transaction, &derived.new_rendition(version, &operation)).await?;
        derived.audit(&mut transaction, &operation, version).await?;
        index::replace_passages(&mut transaction, version, place, derived.language, &derived.passages).await?;
        if let Some(signature) = &derived.signature {
            similarity::insert(&mut transaction, version, place.document, signature).await?;
        }
        let count = u32::try_from(derived.passages.len()).unwrap_or(u32::MAX);
        let specs = self.successors(cx, version, count)?;
        jobs::enqueue(&mut transaction, &specs, &operation.actor).await?;
        cx.complete(transaction, derived.result(decided)).await
    }

    /// What [`Pipeline::store`] and the jobs after it write, in one transaction.
    async fn store_indexed(
        &self,
        cx: &JobContext,
        version: VersionId,
        derived: &Derived,
        indexed: &Indexed,
        decided: &Decided,
    ) -> Result<Completed, JobError> {
        let operation = cx.operation();
        let mut transaction = cx.begin().await?;
        let Some(place) = index::place(&mut transaction, version).await? else {
            return cx.complete(transaction, json!({ "skipped": "the document was deleted" })).await;
        };
        if generations::hold_still(&mut transaction).await? != [indexed.generation.clone()] {
            // Another generation was opened or took its place meanwhile; the jobs of the model's queue see to all of them.
            transaction.rollback().await?;
            return self.store(cx, version, derived, decided).await;
        }
        decided.record(&mut transaction, &operation).await?;
        documents::insert_rendition(&mut transaction, &derived.new_rendition(version, &operation)).await?;
        derived.audit(&mut transaction, &operation, version).await?;
        if let Some(signature) = &derived.signature {
            similarity::insert(&mut transaction, version, place.document, signature).await?;
        }
        let whole = Whole {
            passages: &derived.passages,
            terms: &indexed.terms,
            vectors: &indexed.vectors,
            generation: &indexed.generation,
        };
        let published =
            index::publish_whole(&mut transaction, version, place, derived.language, whole, operation.now).await?;
        if published.merge_due {
            self.merge(cx, &mut transaction, place.collection).await?;
        }
        let details = json!({ "document": place.document, "current": published.current });
        access::audit(&mut transaction, &operation, "publish_version", Some(version.0), details).await?;
        let mut result = derived.result(decided);
        result["current"] = published.current.into();
        cx.complete(transaction, result).await
    }

    pub(crate) fn successors(&self, cx: &JobContext, version: VersionId, count: u32) -> Result<Vec<JobSpec>, JobError> {
        if count <= EMBED_BATCH {
            return Ok(vec![self.spec(cx, &IndexDocument { version })?]);
        }
        let mut specs = Vec::new();
        for first in (0..count).step_by(EMBED_BATCH as usize) {
            let end = (first + EMBED_BATCH).min(count);
            specs.push(self.spec(cx, &EmbedPassages { version, first, end })?);
        }
        let mut publish = self.spec(cx, &PublishDocument { version })?;
        publish.needs = specs.iter().map(|spec| spec.id).collect();
        specs.push(publish);
        Ok(specs)
    }

    pub(crate) fn spec<K: JobKind>(&self, cx: &JobContext, payload: &K) -> Result<JobSpec, JobError> {
        let id = JobId(self.0.operations.ids.new_id());
        let mut spec =
            JobSpec::new(id, payload).map_err(|error| JobError::fail("payload_unwritable", error.to_string()))?;
        spec.parent = Some(cx.job().id);
        // What follows from a job is no more urgent than that job.
        spec.priority = spec.priority.max(cx.job().priority);
        spec.traceparent.clone_from(&cx.job().traceparent);
        Ok(spec)
    }
}

pub(crate) fn derive(rendition: Rendition, rules: PassageRules) -> Derived {
    let language = detect_language(&rendition.text);
    let sha256 = Digest(Sha256::digest(rendition.text.as_bytes()).into());
    let characters = CharIndex::new(&rendition.text);
    let mut stored = Vec::new();
    for passage in passages(&rendition.text, &rendition.map, &rules) {
        // Spans of passages lie inside of the text by construction.
        let Some(text) = characters.slice(passage.span) else { continue };
        stored.push(NewPassage {
            ordinal: passage.ordinal,
            span: passage.span,
            page: passage.page,
            page_breaks: passage.page_breaks,
            headings: passage.headings,
            text: text.to_owned(),
        });
    }
    let signature = signature_of(&rendition.text);
    Derived { language, sha256, passages: stored, signature, rendition }
}

#[expect(clippy::needless_pass_by_value, reason = "stands in `map_err`")]
pub(crate) fn scratch(error: std::io::Error) -> JobError {
    JobError::retry("scratch_failed", format!("the scratch folder: {error}"))
}

/// A machine under load misses a time limit once; a file that misses it twice must not hold a place for longer.
fn from_extraction(error: &ExtractError, attempt: u16) -> JobError {
    let is_slow = matches!(error, ExtractError::LimitTime { .. });
    if error.is_transient() && !(is_slow && attempt >= SLOW_ATTEMPTS) {
        JobError::retry(error.reason(), error.to_string())
    } else {
        JobError::fail(error.reason(), error.to_string())
    }
}
