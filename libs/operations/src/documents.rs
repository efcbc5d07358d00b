//! Documents and their versions.

use crate::collections::{check_name, holds_nul, micros};
use crate::error::invalid;
use crate::kinds::ExtractDocument;
use crate::similarity::{self, Duplicate};
use crate::versions::without_text;
use crate::{Answer, CursorKey, Listing, Once, OperationError, Operations, Resource};
use bytes::Bytes;
use carrel_domain::archive::{Document, DocumentVersion, Origin, Original};
use carrel_domain::digest::Digest;
use carrel_domain::job::JobSpec;
use carrel_domain::{CollectionId, DocumentId, JobId, OperationContext, Scope, Span, VersionId};
use carrel_storage::documents::{DocumentFilter, NewVersion, Received};
use carrel_storage::originals::{self, StageError, Staged};
use carrel_storage::{OriginalStore, access, collections, documents, erasure, jobs};
use futures::Stream;
use futures::stream::BoxStream;
use serde_json::{Map, Value, json};
use std::ops::Range;
use std::time::Duration;

/// What comes with the bytes of an upload.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Where it goes.
    pub collection: CollectionId,
    /// Name of the file; only the part after the last slash is kept.
    pub file_name: String,
    /// The sender's own id; by default the file's name.
    pub external_id: Option<String>,
    /// Title to show instead of the one found inside.
    pub title: Option<String>,
    /// Media type as declared.
    pub media_type: Option<String>,
    /// Replaces the document's metadata.
    pub metadata: Option<Map<String, Value>>,
    /// The version inside of which it was found.
    pub within: Option<VersionId>,
}

/// What became of an upload.
#[derive(Clone, Debug)]
pub struct Uploaded {
    /// What happened, with the ids.
    pub received: Received,
    /// The job that reads it; `None` when the bytes were known already.
    pub job: Option<JobId>,
    /// Digest of the bytes.
    pub sha256: Digest,
    /// Other documents that hold the same bytes.
    pub same_bytes: Vec<DocumentId>,
}

/// A document as it is shown by itself.
#[derive(Clone, Debug)]
pub struct DocumentView {
    /// The document.
    pub document: Document,
    /// Documents with the same bytes or nearly the same words, the most alike first, at most ten.
    pub duplicates: Vec<Duplicate>,
}

/// Bytes in staging. Removed when it is dropped, so that a request that is cut off leaves nothing behind.
#[derive(Debug)]
pub struct StagedUpload {
    staged: Option<Staged>,
    originals: OriginalStore,
}

impl StagedUpload {
    /// SHA-256 of the bytes.
    pub fn sha256(&self) -> Option<Digest> {
        self.staged.as_ref().map(|staged| staged.digests.sha256)
    }

    /// Removes the bytes, and waits until they are gone.
    pub async fn discard(mut self) {
        if let Some(staged) = self.staged.take() {
            remove_staged(&self.originals, &staged).await;
        }
    }
}

impl Drop for StagedUpload {
    fn drop(&mut self) {
        let Some(staged) = self.staged.take() else { return };
        let originals = self.originals.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { remove_staged(&originals, &staged).await });
        }
    }
}

async fn remove_staged(originals: &OriginalStore, staged: &Staged) {
    if let Err(error) = originals.discard(staged).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "could not remove a staged upload");
    }
}

impl Operations {
    /// Refuses an upload before its bytes have travelled.
    pub async fn expect_upload(&self, context: &OperationContext, id: CollectionId) -> Result<(), OperationError> {
        context.require(Scope::DocumentsWrite)?;
        self.find_collection(context, id).await
    }

    /// Takes bytes into staging, before it is known where they belong; memory stays bounded, whatever their size.
    pub async fn stage_upload<E: std::fmt::Display>(
        &self,
        context: &OperationContext,
        bytes: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<StagedUpload, OperationError> {
        context.require(Scope::DocumentsWrite)?;
        let staged = self.originals.stage(self.ids.new_id(), self.limits.upload_bytes, bytes).await;
        let staged = staged.map_err(|error| match error {
            StageError::TooLarge { limit } => OperationError::TooLarge { limit },
            StageError::Sender(source) => OperationError::BrokenUpload(source.to_string()),
            StageError::Storage(source) => source.into(),
        })?;
        Ok(StagedUpload { staged: Some(staged), originals: self.originals.clone() })
    }

    /// Makes staged bytes a version of a document, with the job that will read them, in one transaction.
    pub async fn add_document(
        &self,
        context: &OperationContext,
        upload: &Upload,
        staged: StagedUpload,
        once: Once<'_, Uploaded>,
    ) -> Result<Answer<Uploaded>, OperationError> {
        let result = match &staged.staged {
            Some(bytes) => self.try_add_document(context, upload, bytes, once).await,
            None => Err(OperationError::EmptyFile),
        };
        staged.discard().await;
        result
    }

    async fn try_add_document(
        &self,
        context: &OperationContext,
        upload: &Upload,
        staged: &Staged,
        once: Once<'_, Uploaded>,
    ) -> Result<Answer<Uploaded>, OperationError> {
        context.require(Scope::DocumentsWrite)?;
        if staged.size == 0 {
            return Err(OperationError::EmptyFile);
        }
        let new = self.new_version(context, upload, staged)?;
        // Nothing is copied for a collection that is not there, or for an upload that was answered before.
        let mut transaction = self.database.begin(context.workspace).await?;
        if let Some(reply) = once.claim(&mut transaction, context.now).await? {
            return Ok(Answer::Repeated(reply));
        }
        if collections::get(&mut transaction, upload.collection).await?.is_none() {
            return Err(OperationError::NotFound(Resource::Collection));
        }
        // Bytes are copied with no transaction open, so the key is claimed again by the one that stores.
        transaction.rollback().await?;
        let result = self.keep_and_store(context, new, staged, once).await;
        if result.is_err()
            && let Err(error) = self.give_back(context, staged.digests.sha256).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "an original may be left without a version");
        }
        result
    }

    /// Bytes may be copied to their place only while no release of the same bytes is on its way, and count only if none
    /// came in between. So the original is announced, then copied, then found to be the one that was announced.
    async fn keep_and_store(
        &self,
        context: &OperationContext,
        new: NewVersion,
        staged: &Staged,
        once: Once<'_, Uploaded>,
    ) -> Result<Answer<Uploaded>, OperationError> {
        for _ in 0..50 {
            let mut transaction = self.database.begin(context.workspace).await?;
            let announced = originals::register(&mut transaction, &staged.digests, staged.size, new.now).await?;
            transaction.commit().await?;
            if announced.is_some() {
                self.originals.keep(context.workspace, staged).await?;
                let mut transaction = self.database.begin(context.workspace).await?;
                if originals::hold(&mut transaction, staged.digests.sha256).await? == announced {
                    return self.store_version(transaction, context, new, "add_document", once).await;
                }
                transaction.rollback().await?;
            }
            // The same bytes are being removed at this moment; their release takes milliseconds.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(OperationError::Internal("an original stays in release".to_owned()))
    }

    /// Lets an original go that was kept for a version that could not be stored, unless another version has it.
    async fn give_back(&self, context: &OperationContext, sha256: Digest) -> Result<(), OperationError> {
        let mut transaction = self.database.begin(context.workspace).await?;
        self.release_originals(&mut transaction, context, &[sha256.0.to_vec()]).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn find_collection(&self, context: &OperationContext, id: CollectionId) -> Result<(), OperationError> {
        let mut transaction = self.database.begin(context.workspace).await?;
        let found = collections::get(&mut transaction, id).await?;
        found.map(|_| ()).ok_or(OperationError::NotFound(Resource::Collection))
    }

    /// Stores a version whose original is held by `transaction`, with the job that reads it and the entry of `action`, about
    /// `subject` or else the document.
    pub(crate) async fn store_version(
        &self,
        mut transaction: carrel_storage::Transaction,
        context: &OperationContext,
        new: NewVersion,
        action: &str,
        once: Once<'_, Uploaded>,
    ) -> Result<Answer<Uploaded>, OperationError> {
        if let Some(reply) = once.claim(&mut transaction, context.now).await? {
            return Ok(Answer::Repeated(reply));
        }
        // The collection may have been deleted between the check and now.
        let received = documents::receive(&mut transaction, &new).await?;
        let received = received.ok_or(OperationError::NotFound(Resource::Collection))?;
        let (document, version, job) = match received {
            Received::Unchanged { document, version } => (document, version, None),
            Received::Created { document, version } | Received::Revised { document, version } => {
                let mut spec = JobSpec::new(self.new_id(), &ExtractDocument { version })?;
                spec.traceparent.clone_from(&context.traceparent);
                if matches!(new.origin, Origin::Member(_)) {
                    spec.priority = ExtractDocument::PRIORITY_OF_MEMBERS;
                }
                let id = spec.id;
                jobs::enqueue(&mut transaction, &[spec], &context.actor).await?;
                (document, version, Some(id))
            }
        };
        let same_bytes = documents::same_bytes(&mut transaction, new.sha256, document).await?;
        if job.is_some() {
            let mut details = json!({ "version": version, "sha256": new.sha256 });
            if let Some(from) = new.origin.version() {
                details["from"] = json!(from);
            }
            access::audit(&mut transaction, context, action, Some(document.0), details).await?;
        }
        let uploaded = Uploaded { received, job, sha256: new.sha256, same_bytes };
        once.commit(transaction, context.now, uploaded).await
    }

    fn new_version(
        &self,
        context: &OperationContext,
        upload: &Upload,
        staged: &Staged,
    ) -> Result<NewVersion, OperationError> {
        let file_name = upload.file_name.rsplit(['/', '\\']).next().unwrap_or_default().trim();
        check_name("file", file_name, 1_024)?;
        let external_id = upload.external_id.as_deref().unwrap_or(file_name);
        check_name("external_id", external_id, 1_024)?;
        if let Some(title) = &upload.title {
            check_name("title", title, 1_024)?;
        }
        if let Some(metadata) = &upload.metadata {
            let length = serde_json::to_string(metadata).map_or(usize::MAX, |text| text.len());
            if length > 16_384 || holds_nul(metadata) {
                return invalid("metadata", "must have at most 16 KiB of JSON and no NUL");
            }
        }
        Ok(NewVersion {
            version: self.new_id(),
            document: self.new_id(),
            collection: upload.collection,
            external_id: external_id.to_owned(),
            file_name: file_name.to_owned(),
            title: upload.title.clone(),
            media_type: upload.media_type.as_deref().map(|text| text.chars().take(200).collect()),
            metadata: upload.metadata.clone(),
            sha256: staged.digests.sha256,
            now: micros(context.now),
            by: context.actor.clone(),
            origin: upload.within.map_or(Origin::Upload, Origin::Member),
        })
    }

    /// Documents of a collection, oldest first.
    pub async fn list_documents(
        &self,
        context: &OperationContext,
        collection: CollectionId,
        filter: &DocumentFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Listing<Document>, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let id = collection.to_string();
        let sha256 = filter.sha256.map(|digest| digest.to_string()).unwrap_or_default();
        let external_id = filter.external_id.as_deref().unwrap_or_default();
        let state = filter.state.as_deref().unwrap_or_default();
        let key = CursorKey::new("documents", &[&id, external_id, state, &sha256]);
        let after = cursor.map(|text| key.decode(text)).transpose()?;
        let limit = self.page_size(limit)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let page = documents::list(&mut transaction, collection, filter, after, limit).await?;
        if page.rows.is_empty() && collections::get(&mut transaction, collection).await?.is_none() {
            return Err(OperationError::NotFound(Resource::Collection));
        }
        Ok(Listing { rows: page.rows, next: page.next.map(|after| key.encode(after)) })
    }

    /// One document, with those that are like it.
    pub async fn get_document(
        &self,
        context: &OperationContext,
        id: DocumentId,
    ) -> Result<DocumentView, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let found = documents::get(&mut transaction, id).await?;
        let document = found.ok_or(OperationError::NotFound(Resource::Document))?;
        let duplicates =
            similarity::alike(&mut transaction, id, similarity::LEAST_SHOWN, similarity::MOST_SHOWN).await?;
        Ok(DocumentView { document, duplicates })
    }

    /// Versions of a document, newest first, below number `before`.
    pub async fn list_versions(
        &self,
        context: &OperationContext,
        id: DocumentId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<DocumentVersion>, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let limit = self.page_size(limit)?;
        let before = before.map(|number| number.min(i32::MAX.unsigned_abs()));
        let mut transaction = self.database.begin(context.workspace).await?;
        let versions = documents::versions(&mut transaction, id, before, limit).await?;
        if versions.is_empty() && documents::get(&mut transaction, id).await?.is_none() {
            return Err(OperationError::NotFound(Resource::Document));
        }
        Ok(versions)
    }

    /// One version with its document.
    pub async fn get_version(
        &self,
        context: &OperationContext,
        id: VersionId,
    ) -> Result<(DocumentVersion, Document), OperationError> {
        context.require(Scope::DocumentsRead)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let version =
            documents::version(&mut transaction, id).await?.ok_or(OperationError::NotFound(Resource::Version))?;
        let document = documents::get(&mut transaction, version.document)
            .await?
            .ok_or(OperationError::NotFound(Resource::Version))?;
        Ok((version, document))
    }

    /// A part of a version's text with the map of the whole; `span` is cut at the text's end.
    pub async fn get_text(
        &self,
        context: &OperationContext,
        id: VersionId,
        span: Span,
    ) -> Result<(String, u32), OperationError> {
        context.require(Scope::DocumentsRead)?;
        if span.end > i32::MAX.unsigned_abs() {
            return invalid("end", "must be at most 2,147,483,647");
        }
        let mut transaction = self.database.begin(context.workspace).await?;
        match documents::rendition_slice(&mut transaction, id, span).await? {
            Some(part) => Ok(part),
            None => Err(without_text(documents::version(&mut transaction, id).await?)),
        }
    }

    /// What is needed to send an original; audited, because it is an access. Where screening hides something of it, or has
    /// not looked yet, this takes a reviewer's scope. `range` is what of it was asked for, in the sender's words.
    pub async fn get_original(
        &self,
        context: &OperationContext,
        id: VersionId,
        range: Option<&str>,
    ) -> Result<Original, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let missing = || OperationError::NotFound(Resource::Version);
        if documents::version(&mut transaction, id).await?.ok_or_else(missing)?.is_veiled() {
            context.require(Scope::ScreeningReview)?;
        }
        let original = documents::original(&mut transaction, id).await?.ok_or_else(missing)?;
        let mut details = json!({ "sha256": original.sha256, "size": original.size });
        if let Some(range) = range {
            details["range"] = range.chars().filter(|c| !c.is_control()).take(100).collect::<String>().into();
        }
        access::audit(&mut transaction, context, "get_original", Some(id.0), details).await?;
        transaction.commit().await?;
        Ok(original)
    }

    /// Streams an original or a part of it.
    pub async fn read_original(
        &self,
        context: &OperationContext,
        original: &Original,
        range: Option<Range<u64>>,
    ) -> Result<BoxStream<'static, Result<Bytes, carrel_storage::StorageError>>, OperationError> {
        context.require(Scope::DocumentsRead)?;
        Ok(self.originals.read(context.workspace, original.sha256, range).await?)
    }

    /// Deletes a document with all its versions. Its originals follow by jobs.
    pub async fn delete_document(&self, context: &OperationContext, id: DocumentId) -> Result<(), OperationError> {
        context.require(Scope::DocumentsWrite)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        if erasure::of_document(&mut transaction, id).await?.is_some() {
            return Err(OperationError::BeingErased);
        }
        let originals = match documents::delete(&mut transaction, id).await {
            Ok(found) => found.ok_or(OperationError::NotFound(Resource::Document))?,
            Err(error) => return Err(self.explain_document_hold(context, error, id).await),
        };
        self.release_originals(&mut transaction, context, &originals).await?;
        access::audit(
            &mut transaction,
            context,
            "delete_document",
            Some(id.0),
            json!({ "originals": originals.len() }),
        )
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}
