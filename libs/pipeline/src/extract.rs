//! `document.extract`: from the original to rendition and passages.

use crate::children::depth;
use crate::{Pipeline, compute};
use async_trait::async_trait;
use carrel_domain::digest::Digest;
use carrel_domain::job::{JobKind, JobSpec, Progress};
use carrel_domain::text::Rendition;
use carrel_domain::{JobId, Language, VersionId};
use carrel_extract::{ExtractError, Extraction, Request};
use carrel_operations::kinds::{EMBED_BATCH, EmbedPassages, ExtractDocument, IndexDocument, PublishDocument};
use carrel_queue::{Completed, Handler, JobContext, JobError};
use carrel_storage::documents::{self, NewRendition};
use carrel_storage::index::{self, NewPassage};
use carrel_storage::jobs;
use carrel_text::{CharIndex, PassageRules, detect_language, passages};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// What extraction and splitting make of an original.
struct Derived {
    rendition: Rendition,
    language: Language,
    sha256: Digest,
    passages: Vec<NewPassage>,
}

#[async_trait]
impl Handler<ExtractDocument> for Pipeline {
    async fn run(&self, cx: &JobContext, payload: ExtractDocument) -> Result<Completed, JobError> {
        let version = payload.version;
        let mut transaction = cx.begin().await?;
        let known = documents::original(&mut transaction, version).await?;
        let parent = match documents::version(&mut transaction, version).await? {
            Some(version) => documents::get(&mut transaction, version.document).await?,
            None => None,
        };
        let (Some(original), Some(parent)) = (known, parent) else {
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
        self.store(cx, version, &derived, children).await
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
        let rendition = NewRendition {
            version,
            rendition: &derived.rendition,
            language: derived.language,
            sha256: derived.sha256,
            now: operation.now,
        };
        documents::insert_rendition(&mut transaction, &rendition).await?;
        index::replace_passages(&mut transaction, version, place, derived.language, &derived.passages).await?;
        let count = u32::try_from(derived.passages.len()).unwrap_or(u32::MAX);
        let specs = self.successors(cx, version, count)?;
        jobs::enqueue(&mut transaction, &specs, &operation.actor).await?;
        let result = json!({
            "media_type": derived.rendition.media_type,
            "language": derived.language,
            "passages": count,
            "warnings": derived.rendition.warnings,
            "children": children,
        });
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
    Derived { language, sha256, passages: stored, rendition }
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
