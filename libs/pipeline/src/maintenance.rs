//! `original.release`, `segments.merge` and `workspace.tidy`.

use crate::{Pipeline, compute};
use async_trait::async_trait;
use carrel_operations::kinds::{ExtractDocument, MergeSegments, ReleaseOriginal, TidyWorkspace};
use carrel_operations::signature_of;
use carrel_queue::{Completed, Handler, JobContext, JobError};
use carrel_storage::{access, collections, documents, index, jobs, originals, recognition, screening, similarity};
use serde_json::json;
use std::time::Duration;

/// How long an answer to a request with an idempotency key is kept.
const ANSWERS_KEPT: Duration = Duration::from_hours(24);
/// Texts that get their signature in one night.
const UNSIGNED: u32 = 5_000;
/// Pictures and scans that are read again in one night.
const PICTURES: u32 = 2_000;
/// Collections read at once.
const PAGE: u32 = 500;

#[async_trait]
impl Handler<ReleaseOriginal> for Pipeline {
    async fn run(&self, cx: &JobContext, payload: ReleaseOriginal) -> Result<Completed, JobError> {
        let mut transaction = cx.begin().await?;
        let unused = originals::begin_release(&mut transaction, payload.sha256).await?;
        if !unused {
            return cx.complete(transaction, json!({ "kept": "another version holds the same bytes" })).await;
        }
        transaction.commit().await?;
        // From here on an upload of the same bytes waits for the row to go.
        self.0.operations.originals.delete(cx.job().workspace, payload.sha256).await?;
        let mut transaction = cx.begin().await?;
        originals::finish_release(&mut transaction, payload.sha256).await?;
        let details = json!({ "sha256": payload.sha256 });
        access::audit(&mut transaction, &cx.operation(), "release_original", None, details).await?;
        cx.complete(transaction, json!({ "released": payload.sha256 })).await
    }
}

#[async_trait]
impl Handler<MergeSegments> for Pipeline {
    async fn run(&self, cx: &JobContext, payload: MergeSegments) -> Result<Completed, JobError> {
        let mut transaction = cx.begin().await?;
        let mut merged = 0;
        // A merge can crowd the next level.
        loop {
            let folded = index::merge_segments(&mut transaction, payload.collection).await?;
            merged += folded;
            if folded == 0 {
                break;
            }
            cx.check_cancelled()?;
        }
        cx.complete(transaction, json!({ "segments": merged })).await
    }
}

impl Pipeline {
    /// Gives texts that came with a release before their signature, some each night; answers how many.
    async fn sign_unsigned(&self, cx: &JobContext) -> Result<usize, JobError> {
        let mut transaction = cx.begin().await?;
        let versions = similarity::unsigned(&mut transaction, UNSIGNED).await?;
        transaction.rollback().await?;
        for (version, document) in &versions {
            cx.check_cancelled()?;
            let mut transaction = cx.begin().await?;
            let rendition = documents::rendition(&mut transaction, *version).await?;
            transaction.rollback().await?;
            let Some(rendition) = rendition else { continue };
            let Some(signature) = compute(move || signature_of(&rendition.text)).await? else { continue };
            let mut transaction = cx.begin().await?;
            similarity::insert(&mut transaction, *version, *document, &signature).await?;
            transaction.commit().await?;
        }
        Ok(versions.len())
    }

    /// Has what holds only pictures of text read again, once this machine can; answers how many versions.
    async fn read_pictures(&self, cx: &JobContext) -> Result<usize, JobError> {
        let config = self.0.sandbox.config().ocr.clone();
        if !compute(move || config.is_usable()).await? {
            return Ok(0);
        }
        let mut transaction = cx.begin().await?;
        let versions = recognition::waiting(&mut transaction, PICTURES).await?;
        let mut specs = Vec::with_capacity(versions.len());
        for version in &versions {
            let mut spec = self.spec(cx, &ExtractDocument { version: *version })?;
            // Those of last night may still wait for their turn.
            spec.unique_key = Some(version.to_string());
            specs.push(spec);
        }
        jobs::enqueue(&mut transaction, &specs, &cx.operation().actor).await?;
        transaction.commit().await?;
        Ok(versions.len())
    }
}

#[async_trait]
impl Handler<TidyWorkspace> for Pipeline {
    async fn run(&self, cx: &JobContext, _: TidyWorkspace) -> Result<Completed, JobError> {
        let operation = cx.operation();
        let mut transaction = cx.begin().await?;
        let answers = access::expire_idempotent(&mut transaction, operation.now - ANSWERS_KEPT).await?;
        let keep = self.0.operations.screening.breaches.as_ref().map(|service| service.keep).unwrap_or_default();
        let lookups = screening::expire_breach_answers(&mut transaction, operation.now - keep).await?;
        let mut merges = Vec::new();
        let mut after = None;
        loop {
            let page = collections::list(&mut transaction, None, after, PAGE).await?;
            for collection in page.rows {
                // Most have nothing to merge and say so at once.
                let mut spec = self.spec(cx, &MergeSegments { collection: collection.id })?;
                spec.unique_key = Some(collection.id.to_string());
                merges.push(spec);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        jobs::enqueue(&mut transaction, &merges, &operation.actor).await?;
        transaction.commit().await?;
        let signed = self.sign_unsigned(cx).await?;
        let pictures = self.read_pictures(cx).await?;
        let result = json!({
            "answers": answers,
            "breach_answers": lookups,
            "collections": merges.len(),
            "signed": signed,
            "read_again": pictures,
        });
        cx.complete(cx.begin().await?, result).await
    }
}
