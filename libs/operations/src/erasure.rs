//! Erasure: asked for here, done by a job, proved by a receipt.

use crate::collections::micros;
use crate::custody::check_reason;
use crate::kinds::EraseDocument;
use crate::{Answer, Once, OperationError, Operations, Resource};
use carrel_domain::custody::{Erasure, ErasureState};
use carrel_domain::job::JobSpec;
use carrel_domain::{DocumentId, ErasureId, OperationContext, Scope};
use carrel_storage::{access, custody, erasure, jobs};
use serde_json::json;

impl Operations {
    /// Begins to erase a document with all its versions and all that was found inside of it; its job does the rest. A
    /// document that is being erased, or was, answers the erasure there is.
    pub async fn erase(
        &self,
        context: &OperationContext,
        id: DocumentId,
        reason: &str,
        once: Once<'_, Erasure>,
    ) -> Result<Answer<Erasure>, OperationError> {
        context.require(Scope::DocumentsErase)?;
        check_reason(reason)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        if let Some(reply) = once.claim(&mut transaction, context.now).await? {
            return Ok(Answer::Repeated(reply));
        }
        // The lock decides between two who ask at the same moment.
        let found = erasure::family(&mut transaction, id).await?;
        if let Some(known) = erasure::of_document(&mut transaction, id).await? {
            return once.commit(transaction, context.now, known).await;
        }
        if found.documents.is_empty() {
            return Err(OperationError::NotFound(Resource::Document));
        }
        if let Some(hold) = custody::holding_documents(&mut transaction, &found.documents).await? {
            return Err(OperationError::Held(Box::new(hold)));
        }
        erasure::stop_jobs(&mut transaction, &found.versions).await?;
        let job = self.new_id();
        let new = Erasure {
            id: self.new_id(),
            document: id,
            reason: reason.to_owned(),
            state: ErasureState::Requested,
            job,
            requested_at: micros(context.now),
            requested_by: context.actor.clone(),
            progress: found,
            receipt: None,
            signature: None,
            completed_at: None,
        };
        erasure::insert(&mut transaction, &new).await?;
        let mut spec = JobSpec::new(job, &EraseDocument { erasure: new.id })?;
        spec.traceparent.clone_from(&context.traceparent);
        jobs::enqueue(&mut transaction, &[spec], &context.actor).await?;
        let details = json!({
            "erasure": new.id, "reason": reason, "documents": new.progress.documents.len(),
            "versions": new.progress.versions.len(),
        });
        access::audit(&mut transaction, context, "erase_document", Some(id.0), details).await?;
        once.commit(transaction, context.now, new).await
    }

    /// One erasure.
    pub async fn get_erasure(&self, context: &OperationContext, id: ErasureId) -> Result<Erasure, OperationError> {
        context.require(Scope::DocumentsErase)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        erasure::get(&mut transaction, id).await?.ok_or(OperationError::NotFound(Resource::Erasure))
    }

    /// The signed receipt of an erasure that is completed. Signed when it is first asked for, because the workers that
    /// erase do not hold the key; the trail has the digest of its text since it was written.
    pub async fn get_receipt(&self, context: &OperationContext, id: ErasureId) -> Result<String, OperationError> {
        let found = self.get_erasure(context, id).await?;
        if let Some(signature) = found.signature {
            return Ok(signature);
        }
        let text = found.receipt.ok_or(OperationError::NotFound(Resource::Receipt))?;
        let signed = carrel_bundle::sign_receipt(&text, self.tokens.bundle_key())
            .map_err(|error| OperationError::Internal(error.to_string()))?;
        let mut transaction = self.database.begin(context.workspace).await?;
        erasure::sign(&mut transaction, id, &signed).await?;
        transaction.commit().await?;
        Ok(signed)
    }
}
