//! `document.extract`: from the original to rendition and passages.

use crate::children::depth;
use crate::index::{EMBED_CALL, Indexed, Subject};
use crate::{Pipeline, compute};
use async_trait::async_trait;
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
use carrel_storage::similarity::{self, StoredSignature};
use carrel_storage::{Transaction, access, jobs};
use carrel_text::{CharIndex, PassageRules, detect_language, passages};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// What extraction and splitting make of an original.
struct Derived {
    rendition: Rendition,
    language: Language,
    sha256: Digest,
    passages: Vec<NewPassage>,
    signature: Option<StoredSignature>,
}

#[async_trait]
impl Handler<ExtractDocument> for Pipeline {
    async fn run(&self, cx: &JobContext, payload: ExtractDocument) -> Result<Completed, JobError> {
        let version = payload.version;
        let mut transaction = cx.begin().await?;
        let known = documents::original(&mut transaction, version).await?;
        let parent = match documents::version(&mut transaction, version).await? {
            Some(version) => {
                documents::get(&mut transaction, version.document).await?.map(|parent| (parent, version.title))
            }
            None => None,
        };
        let (Some(original), Some((parent, title))) = (known, parent) else {
            return cx.complete(transaction, json!({ "skipped": "the document was deleted" })).await;
        };
        transaction.rollback().await?;

        cx.progress(Progress { done: 0, total: Some(2), note: "reading".to_owned() }).await;
        let folder = tempfile::Builder::new().prefix("carrel-extract-").tempdir_in(&self.0.scratch).map_err(scratch)?;
        let extraction = self.read(cx, &original, depth(&parent), folder.path()).await?;
        cx.check_cancelled()?;
        let children = self.add_children(cx, &parent, version, &extraction.children).await?;
        let rendition = extraction.rendition;
        cx.progress(Progress { done: 1, total: Some(2), note: "splitting".to_owned() }).await;
        let rules = self.0.passages;
        let derived = compute(move || derive(rendition, rules)).await?;
        if derived.passages.is_empty() {
            return Err(JobError::fail("no_text", "the file holds no words"));
        }
        if self.0.at_once && derived.passages.len() <= EMBED_CALL {
            let subject = derived.subject(title);
            if let Some(indexed) = self.index_now(subject).await? {
                cx.check_cancelled()?;
                return self.store_indexed(cx, version, &derived, &indexed, children).await;
            }
        }
        self.store(cx, version, &derived, children).await
    }
}

impl Derived {
    fn subject(&self, title: Option<String>) -> Subject {
        let passages = self.passages.iter().map(|passage| PassageText {
            ordinal: passage.ordinal,
            headings: passage.headings.clone(),
            text: passage.text.clone(),
        });
        Subject {
            title: title.or_else(|| self.rendition.title.clone()),
            language: self.language,
            passages: passages.collect(),
        }
    }

    fn new_rendition(&self, version: VersionId, operation: &OperationContext) -> NewRendition<'_> {
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

    fn result(&self, children: u32) -> Value {
        json!({
            "media_type": self.rendition.media_type,
            "language": self.language,
            "passages": self.passages.len(),
            "warnings": self.rendition.warnings,
            "children": children,
        })
    }
}

impl Pipeline {
    async fn read(
        &self,
        cx: &JobContext,
        original: &carrel_domain::archive::Original,
        depth: u32,
        folder: &Path,
    ) -> Result<Extraction, JobError> {
        let path = folder.join("original");
        let inside = folder.join("inside");
        tokio::fs::create_dir(&inside).await.map_err(scratch)?;
        self.0.operations.originals.fetch(cx.job().workspace, original.sha256, &path).await?;
        let request = Request { input: &path, name: Some(&original.file_name), depth, children: Some(&inside) };
        let extraction = self.0.sandbox.extract_with_children(&request);
        tokio::select! {
            result = extraction => result.map_err(|error| from_extraction(&error)),
            // The child dies with the future.
            () = cx.cancellation().cancelled() => Err(JobError::Cancelled),
        }
    }

    async fn store(
        &self,
        cx: &JobContext,
        version: VersionId,
        derived: &Derived,
        children: u32,
    ) -> Result<Completed, JobError> {
        let operation = cx.operation();
        let mut transaction = cx.begin().await?;
        let Some(place) = index::place(&mut transaction, version).await? else {
            return cx.complete(transaction, json!({ "skipped": "the document was deleted" })).await;
        };
        documents::insert_rendition(&mut transaction, &derived.new_rendition(version, &operation)).await?;
        derived.audit(&mut transaction, &operation, version).await?;
        index::replace_passages(&mut transaction, version, place, derived.language, &derived.passages).await?;
        if let Some(signature) = &derived.signature {
            similarity::insert(&mut transaction, version, place.document, signature).await?;
        }
        let count = u32::try_from(derived.passages.len()).unwrap_or(u32::MAX);
        let specs = self.successors(cx, version, count)?;
        jobs::enqueue(&mut transaction, &specs, &operation.actor).await?;
        cx.complete(transaction, derived.result(children)).await
    }

    /// What [`Pipeline::store`] and the jobs after it write, in one transaction.
    async fn store_indexed(
        &self,
        cx: &JobContext,
        version: VersionId,
        derived: &Derived,
        indexed: &Indexed,
        children: u32,
    ) -> Result<Completed, JobError> {
        let operation = cx.operation();
        let mut transaction = cx.begin().await?;
        let Some(place) = index::place(&mut transaction, version).await? else {
            return cx.complete(transaction, json!({ "skipped": "the document was deleted" })).await;
        };
        if generations::hold_still(&mut transaction).await? != [indexed.generation.clone()] {
            // Another generation was opened or took its place meanwhile; the jobs of the model's queue see to all of them.
            transaction.rollback().await?;
            return self.store(cx, version, derived, children).await;
        }
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
        let mut result = derived.result(children);
        result["current"] = published.current.into();
        cx.complete(transaction, result).await
    }

    fn successors(&self, cx: &JobContext, version: VersionId, count: u32) -> Result<Vec<JobSpec>, JobError> {
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
        spec.traceparent.clone_from(&cx.job().traceparent);
        Ok(spec)
    }
}

fn derive(rendition: Rendition, rules: PassageRules) -> Derived {
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

fn from_extraction(error: &ExtractError) -> JobError {
    if error.is_transient() {
        JobError::retry(error.reason(), error.to_string())
    } else {
        JobError::fail(error.reason(), error.to_string())
    }
}
