//! Collections.

use crate::error::invalid;
use crate::kinds::{ClearCollection, ReleaseOriginal};
use crate::{Answer, CursorKey, Once, OperationError, Operations, Resource};
use carrel_domain::archive::Collection;
use carrel_domain::digest::Digest;
use carrel_domain::job::JobSpec;
use carrel_domain::{CollectionId, OperationContext, Scope};
use carrel_storage::collections::Cleared;
use carrel_storage::{Transaction, access, collections, jobs};
use serde_json::json;

/// Documents that one transaction deletes: seconds at most, however long they are.
const CLEAR_BATCH: u32 = 200;

/// A page of a list with the cursor of the next one.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// `None` on the last page.
    pub next: Option<String>,
}

impl Operations {
    /// Makes a collection. Names are unique in the workspace and have 1 to 200 characters.
    pub async fn create_collection(
        &self,
        context: &OperationContext,
        name: &str,
        description: &str,
        once: Once<'_, Collection>,
    ) -> Result<Answer<Collection>, OperationError> {
        context.require(Scope::DocumentsWrite)?;
        let name = name.trim();
        check_name("name", name, 200)?;
        check_description(description)?;
        let collection = Collection {
            id: self.new_id(),
            name: name.to_owned(),
            description: description.to_owned(),
            created_at: micros(context.now),
            documents: 0,
        };
        let mut transaction = self.database.begin(context.workspace).await?;
        if let Some(reply) = once.claim(&mut transaction, context.now).await? {
            return Ok(Answer::Repeated(reply));
        }
        collections::insert(&mut transaction, &collection).await.map_err(|error| {
            if error.is_constraint("collection_name_unique") {
                OperationError::NameTaken(name.to_owned())
            } else {
                error.into()
            }
        })?;
        access::audit(&mut transaction, context, "create_collection", Some(collection.id.0), json!({})).await?;
        once.commit(transaction, context.now, collection).await
    }

    /// Collections, oldest first; with `name`, only the one of that name.
    pub async fn list_collections(
        &self,
        context: &OperationContext,
        name: Option<&str>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Listing<Collection>, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let key = CursorKey::new("collections", &[name.unwrap_or_default()]);
        let after = cursor.map(|text| key.decode(text)).transpose()?;
        let limit = self.page_size(limit)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let page = collections::list(&mut transaction, name, after, limit).await?;
        Ok(Listing { rows: page.rows, next: page.next.map(|after| key.encode(after)) })
    }

    /// One collection.
    pub async fn get_collection(
        &self,
        context: &OperationContext,
        id: CollectionId,
    ) -> Result<Collection, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        collections::get(&mut transaction, id).await?.ok_or(OperationError::NotFound(Resource::Collection))
    }

    /// Deletes a collection with all its documents, in a time that does not depend on their number: from the commit on
    /// nobody sees it any more, and a job clears what it leaves.
    pub async fn delete_collection(&self, context: &OperationContext, id: CollectionId) -> Result<(), OperationError> {
        context.require(Scope::DocumentsWrite)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        match collections::remove(&mut transaction, id, micros(context.now)).await {
            Ok(true) => {}
            Ok(false) => return Err(OperationError::NotFound(Resource::Collection)),
            Err(error) => return Err(self.explain_collection_hold(context, error, id).await),
        }
        let mut spec = JobSpec::new(self.new_id(), &ClearCollection { collection: id })?;
        spec.traceparent.clone_from(&context.traceparent);
        jobs::enqueue(&mut transaction, &[spec], &context.actor).await?;
        access::audit(&mut transaction, context, "delete_collection", Some(id.0), json!({})).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Clears a part of a deleted collection; for its job, which calls until nothing is left (`more` is false).
    pub async fn clear_collection(
        &self,
        context: &OperationContext,
        id: CollectionId,
    ) -> Result<Cleared, OperationError> {
        context.require(Scope::DocumentsWrite)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let cleared = collections::clear(&mut transaction, id, CLEAR_BATCH).await?;
        self.release_originals(&mut transaction, context, &cleared.originals).await?;
        transaction.commit().await?;
        Ok(cleared)
    }

    pub(crate) async fn release_originals(
        &self,
        transaction: &mut Transaction,
        context: &OperationContext,
        digests: &[Vec<u8>],
    ) -> Result<(), OperationError> {
        let mut specs = Vec::with_capacity(digests.len());
        for digest in digests {
            let Ok(bytes) = <[u8; 32]>::try_from(digest.as_slice()) else { continue };
            let sha256 = Digest(bytes);
            let mut spec = JobSpec::new(self.new_id(), &ReleaseOriginal { sha256 })?;
            spec.unique_key = Some(sha256.to_string());
            spec.traceparent.clone_from(&context.traceparent);
            specs.push(spec);
        }
        jobs::enqueue(transaction, &specs, &context.actor).await?;
        Ok(())
    }

    pub(crate) fn page_size(&self, limit: u32) -> Result<u32, OperationError> {
        if limit == 0 || limit > self.limits.page {
            return invalid("limit", format!("must be between 1 and {}", self.limits.page));
        }
        Ok(limit)
    }
}

/// PostgreSQL keeps microseconds; what is answered must equal what is stored.
pub(crate) fn micros(time: chrono::DateTime<chrono::Utc>) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}

pub(crate) fn check_name(field: &'static str, text: &str, longest: usize) -> Result<(), OperationError> {
    let length = text.chars().count();
    if length == 0 || length > longest || text.chars().any(char::is_control) {
        return invalid(field, format!("must have 1 to {longest} characters and no control characters"));
    }
    Ok(())
}

pub(crate) fn check_description(text: &str) -> Result<(), OperationError> {
    if text.chars().count() > 2_000 || text.contains('\0') {
        return invalid("description", "must have at most 2,000 characters and no NUL");
    }
    Ok(())
}

/// PostgreSQL keeps no NUL, neither in a field's name nor in its value.
pub(crate) fn holds_nul(fields: &serde_json::Map<String, serde_json::Value>) -> bool {
    fn in_value(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::String(text) => text.contains('\0'),
            serde_json::Value::Array(values) => values.iter().any(in_value),
            serde_json::Value::Object(fields) => holds_nul(fields),
            _ => false,
        }
    }
    fields.iter().any(|(name, value)| name.contains('\0') || in_value(value))
}
