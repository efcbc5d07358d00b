//! Baselines: freezing what is current, and comparing what was frozen.

use crate::collections::{check_description, check_name, micros};
use crate::error::invalid;
use crate::{Answer, CursorKey, Listing, Once, OperationError, Operations, Resource};
use carrel_domain::baseline::{Baseline, Change, Member, manifest};
use carrel_domain::custody::ErasureMark;
use carrel_domain::digest::Digest;
use carrel_domain::search::Filter;
use carrel_domain::{BaselineId, CollectionId, DocumentId, OperationContext, Scope};
use carrel_storage::{After, access, baselines, collections, erasure};
use chrono::DateTime;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Members of one baseline, at most: a manifest of about 200 MB.
const MEMBERS: u32 = 500_000;

/// What to freeze.
#[derive(Clone, Debug, Default)]
pub struct NewBaseline {
    /// Unique in the workspace, 1 to 200 characters.
    pub name: String,
    /// Free text.
    pub description: String,
    /// The collections; empty is the whole workspace.
    pub collections: Vec<CollectionId>,
    /// What else restricts.
    pub filter: Filter,
}

impl Operations {
    /// Freezes the current versions of the given documents under a name. One transaction sees all of them at the same
    /// moment.
    pub async fn freeze(
        &self,
        context: &OperationContext,
        new: &NewBaseline,
        once: Once<'_, Baseline>,
    ) -> Result<Answer<Baseline>, OperationError> {
        context.require(Scope::DocumentsWrite)?;
        let name = new.name.trim();
        check_name("name", name, 200)?;
        check_description(&new.description)?;
        self.check_scope(&new.collections, &new.filter)?;
        if new.filter.is_pinned() {
            return invalid("filter", "freezes current versions: leave out baseline and as_of");
        }
        let mut transaction = self.database.begin(context.workspace).await?;
        if let Some(reply) = once.claim(&mut transaction, context.now).await? {
            return Ok(Answer::Repeated(reply));
        }
        for id in &new.collections {
            if collections::get(&mut transaction, *id).await?.is_none() {
                return Err(OperationError::NotFound(Resource::Collection));
            }
        }
        let members = baselines::choose(&mut transaction, &new.collections, &new.filter, MEMBERS + 1).await?;
        if members.len() > MEMBERS as usize {
            return invalid("collections", format!("hold more than {MEMBERS} documents; freeze fewer collections"));
        }
        let written = manifest(&members).map_err(|error| OperationError::Internal(error.to_string()))?;
        let baseline = Baseline {
            id: self.new_id(),
            name: name.to_owned(),
            description: new.description.clone(),
            digest: Digest(Sha256::digest(&written).into()),
            documents: u32::try_from(members.len()).unwrap_or(u32::MAX),
            collections: new.collections.clone(),
            filter: new.filter.clone(),
            created_at: micros(context.now),
            created_by: context.actor.clone(),
        };
        baselines::insert(&mut transaction, &baseline, &members).await.map_err(|error| {
            if error.is_constraint("baseline_name_unique") {
                OperationError::NameTaken(name.to_owned())
            } else {
                error.into()
            }
        })?;
        let details = json!({ "digest": baseline.digest, "documents": baseline.documents });
        access::audit(&mut transaction, context, "create_baseline", Some(baseline.id.0), details).await?;
        once.commit(transaction, context.now, baseline).await
    }

    /// Baselines, oldest first; with `name`, only the one of that name.
    pub async fn list_baselines(
        &self,
        context: &OperationContext,
        name: Option<&str>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Listing<Baseline>, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let key = CursorKey::new("baselines", &[name.unwrap_or_default()]);
        let after = cursor.map(|text| key.decode(text)).transpose()?;
        let limit = self.page_size(limit)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let page = baselines::list(&mut transaction, name, after, limit).await?;
        Ok(Listing { rows: page.rows, next: page.next.map(|after| key.encode(after)) })
    }

    /// One baseline.
    pub async fn get_baseline(&self, context: &OperationContext, id: BaselineId) -> Result<Baseline, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        baselines::get(&mut transaction, id).await?.ok_or(OperationError::NotFound(Resource::Baseline))
    }

    /// The documents of a baseline, by id; those that were erased since say so.
    pub async fn baseline_members(
        &self,
        context: &OperationContext,
        id: BaselineId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Listing<(Member, Option<ErasureMark>)>, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let key = CursorKey::new("baseline members", &[&id.to_string()]);
        let after = decode(&key, cursor)?;
        let limit = self.page_size(limit)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        if baselines::get(&mut transaction, id).await?.is_none() {
            return Err(OperationError::NotFound(Resource::Baseline));
        }
        let rows = baselines::members(&mut transaction, id, after, limit + 1).await?;
        let listing = cut(rows, limit, &key, |member| member.document_id);
        let documents: Vec<DocumentId> = listing.rows.iter().map(|member| member.document_id).collect();
        let mut marks = erasure::marks(&mut transaction, &documents).await?;
        let rows = listing.rows.into_iter().map(|member| {
            let mark = marks.remove(&member.document_id);
            (member, mark)
        });
        Ok(Listing { rows: rows.collect(), next: listing.next })
    }

    /// What changed from one baseline to another, by document.
    pub async fn compare_baselines(
        &self,
        context: &OperationContext,
        before: BaselineId,
        after: BaselineId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Listing<Change>, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let key = CursorKey::new("baseline changes", &[&before.to_string(), &after.to_string()]);
        let beyond = decode(&key, cursor)?;
        let limit = self.page_size(limit)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        for id in [before, after] {
            if baselines::get(&mut transaction, id).await?.is_none() {
                return Err(OperationError::NotFound(Resource::Baseline));
            }
        }
        let rows = baselines::changes(&mut transaction, before, after, beyond, limit + 1).await?;
        Ok(cut(rows, limit, &key, |change| match change {
            Change::Added(member) | Change::Removed(member) | Change::Changed { after: member, .. } => {
                member.document_id
            }
        }))
    }
}

// These lists have no time in their order; their cursors carry the epoch.
fn decode(key: &CursorKey, cursor: Option<&str>) -> Result<Option<DocumentId>, OperationError> {
    Ok(cursor.map(|text| key.decode(text)).transpose()?.map(|after| DocumentId(after.id)))
}

fn cut<T>(mut rows: Vec<T>, limit: u32, key: &CursorKey, document: impl Fn(&T) -> DocumentId) -> Listing<T> {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next =
        rows.last().filter(|_| more).map(|last| key.encode(After { at: DateTime::UNIX_EPOCH, id: document(last).0 }));
    Listing { rows, next }
}
