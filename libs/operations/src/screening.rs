//! Screening: its rules, its reports, its reviews, and where else a value occurs.
//!
//! Never a value: what is stored, audited and answered are kinds, places, masks and keyed digests.

use crate::collections::micros;
use crate::error::invalid;
use crate::kinds::{ExtractDocument, RescreenCollection};
use crate::{Answer, CursorKey, Listing, Once, OperationError, Operations, Resource};
use carrel_domain::archive::DocumentVersion;
use carrel_domain::digest::Digest;
use carrel_domain::job::JobSpec;
use carrel_domain::{CollectionId, DocumentId, JobId, OperationContext, Scope, VersionId, WorkspaceId};
use carrel_screening::breach::HaveIBeenPwned;
use carrel_screening::{Options, Policy, Release, Scanner, ScreeningError, WorkspaceKey};
use carrel_storage::screening::{Finding, Occurrence, Review, ScreenedDocument, StoredScreening, Sums};
use carrel_storage::{Transaction, access, collections, documents, jobs, screening};
use chrono::{DateTime, Utc};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, OnceLock};

/// Longest value that is looked up, in characters.
const LONGEST_VALUE: usize = 4_000;
/// Places that one look-up answers.
const PLACES: u32 = 200;
/// Longest reason of a reviewer, in characters.
const LONGEST_REASON: usize = 2_000;

/// The secret behind the digests of an instance. It never stands in the database that it protects.
#[derive(Clone)]
pub struct ScreeningKey([u8; 32]);

impl ScreeningKey {
    /// The key that follows from a secret. The hash of a secret and a purpose tells nothing of the secret.
    pub fn derive(secret: &[u8]) -> Self {
        Self(Sha256::new().chain_update(b"carrel screening key 1\0").chain_update(secret).finalize().into())
    }

    /// The key of a workspace, so that two workspaces cannot compare what they hold.
    pub fn for_workspace(&self, workspace: WorkspaceId) -> WorkspaceKey {
        WorkspaceKey::new(self.for_purpose(b"workspace\0", workspace.0.as_bytes()))
    }

    /// The key of digests under which answers about accounts are kept.
    pub fn for_accounts(&self) -> [u8; 32] {
        self.for_purpose(b"accounts\0", &[])
    }

    fn for_purpose(&self, purpose: &[u8], of: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(purpose).chain_update(self.0).chain_update(of).finalize().into()
    }
}

impl std::fmt::Debug for ScreeningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScreeningKey(…)")
    }
}

/// The collection of breaches, and how much of it one document may ask.
#[derive(Clone, Debug)]
pub struct BreachService {
    /// The client.
    pub client: HaveIBeenPwned,
    /// Whether passwords of data sets are looked up, and how many of one document; 0 is none.
    pub passwords: u64,
    /// Whether addresses are looked up, and how many of one document; 0 is none.
    pub accounts: usize,
    /// How long answers are kept.
    pub keep: std::time::Duration,
}

/// What screening needs.
#[derive(Clone, Debug, Default)]
pub struct Screening {
    /// What to look for.
    pub options: Options,
    /// The key of digests; without one findings carry none.
    pub key: Option<ScreeningKey>,
    /// The collection of breaches, where one may be asked.
    pub breaches: Option<BreachService>,
    scanner: Arc<OnceLock<Scanner>>,
}

impl Screening {
    /// With these parts.
    pub fn new(options: Options, key: Option<ScreeningKey>, breaches: Option<BreachService>) -> Self {
        Self { options, key, breaches, scanner: Arc::default() }
    }

    /// The scanner; the first call compiles its tables, which takes some tenths of a second.
    pub fn scanner(&self) -> Result<&Scanner, ScreeningError> {
        if let Some(scanner) = self.scanner.get() {
            return Ok(scanner);
        }
        let scanner = Scanner::new(self.options.clone())?;
        Ok(self.scanner.get_or_init(|| scanner))
    }
}

/// Whose policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyOf {
    /// The workspace's own.
    Workspace,
    /// A collection's, which comes on top.
    Collection(CollectionId),
}

impl PolicyOf {
    fn collection(self) -> Option<CollectionId> {
        match self {
            Self::Workspace => None,
            Self::Collection(id) => Some(id),
        }
    }
}

/// A policy with what comes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyView {
    /// The rules set here.
    pub policy: Policy,
    /// The rules in force: for a collection, the workspace's with these on top.
    pub effective: Policy,
    /// 0 until it was set for the first time.
    pub revision: u64,
    /// When it was set.
    pub updated_at: Option<DateTime<Utc>>,
}

/// What screening has to say about a document.
#[derive(Clone, Debug)]
pub struct DocumentScreening {
    /// The version.
    pub version: DocumentVersion,
    /// Its document's name.
    pub name: String,
    /// What was decided.
    pub screening: StoredScreening,
}

/// The rules in force for a collection.
pub async fn effective(
    transaction: &mut Transaction,
    collection: Option<CollectionId>,
) -> Result<Policy, OperationError> {
    let workspace = stored(transaction, None).await?.map_or_else(Policy::default, |(policy, ..)| policy);
    let Some(collection) = collection else { return Ok(workspace) };
    Ok(match stored(transaction, Some(collection)).await? {
        Some((own, ..)) => workspace.overridden_by(&own),
        None => workspace,
    })
}

async fn stored(
    transaction: &mut Transaction,
    collection: Option<CollectionId>,
) -> Result<Option<(Policy, u64, DateTime<Utc>)>, OperationError> {
    let Some(found) = screening::policy(transaction, collection).await? else { return Ok(None) };
    let policy = serde_json::from_value(found.policy)
        .map_err(|error| OperationError::Internal(format!("a stored screening policy cannot be read: {error}")))?;
    Ok(Some((policy, found.revision, found.updated_at)))
}

impl Operations {
    /// The policy of the workspace or of a collection.
    pub async fn screening_policy(
        &self,
        context: &OperationContext,
        of: PolicyOf,
    ) -> Result<PolicyView, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        view(&mut transaction, of).await
    }

    /// Sets the policy of the workspace or of a collection. What was screened before stays as it is until it is screened
    /// again. With `expected`, only if that is still its revision.
    pub async fn set_screening_policy(
        &self,
        context: &OperationContext,
        of: PolicyOf,
        policy: &Policy,
        expected: Option<u64>,
    ) -> Result<PolicyView, OperationError> {
        context.require(Scope::ScreeningPolicy)?;
        if policy.min_confidence.is_some_and(|confidence| confidence > 100) {
            return invalid("min_confidence", "must be at most 100");
        }
        let mut transaction = self.database.begin(context.workspace).await?;
        let before = view(&mut transaction, of).await?;
        let value = serde_json::to_value(policy).map_err(|error| OperationError::Internal(error.to_string()))?;
        let now = micros(context.now);
        let collection = of.collection();
        let set = screening::set_policy(&mut transaction, collection, &value, expected, now, &context.actor).await?;
        let Some(revision) = set else { return Err(OperationError::PolicyChanged { current: before.revision }) };
        let (action, subject) = match of {
            PolicyOf::Workspace => ("set_screening_policy", context.workspace.0),
            PolicyOf::Collection(id) => ("set_collection_screening_policy", id.0),
        };
        let details = json!({ "before": before.policy, "after": policy, "revision": revision });
        access::audit(&mut transaction, context, action, Some(subject), details).await?;
        let after = view(&mut transaction, of).await?;
        transaction.commit().await?;
        Ok(after)
    }

    /// Screens a collection again, by the policy in force when each of its versions has its turn.
    pub async fn rescreen(
        &self,
        context: &OperationContext,
        id: CollectionId,
        once: Once<'_, JobId>,
    ) -> Result<Answer<JobId>, OperationError> {
        context.require(Scope::ScreeningPolicy)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        if let Some(reply) = once.claim(&mut transaction, context.now).await? {
            return Ok(Answer::Repeated(reply));
        }
        collections::get(&mut transaction, id).await?.ok_or(OperationError::NotFound(Resource::Collection))?;
        let mut spec = JobSpec::new(self.new_id(), &RescreenCollection { collection: id })?;
        spec.unique_key = Some(id.to_string());
        spec.traceparent.clone_from(&context.traceparent);
        let ids = jobs::enqueue(&mut transaction, &[spec], &context.actor).await?;
        let job = ids.first().copied().ok_or_else(|| OperationError::Internal("no job was made".to_owned()))?;
        access::audit(&mut transaction, context, "rescreen_collection", Some(id.0), json!({ "job": job })).await?;
        once.commit(transaction, context.now, job).await
    }

    /// What screening has to say about a document's newest version.
    pub async fn document_screening(
        &self,
        context: &OperationContext,
        id: DocumentId,
    ) -> Result<DocumentScreening, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let document =
            documents::get(&mut transaction, id).await?.ok_or(OperationError::NotFound(Resource::Document))?;
        let found = screening::get(&mut transaction, document.latest.id).await?;
        let screening = found.ok_or(OperationError::NotFound(Resource::Screening))?;
        Ok(DocumentScreening { version: document.latest, name: document.name, screening })
    }

    /// Findings of a version from number `first` on.
    pub async fn findings(
        &self,
        context: &OperationContext,
        version: VersionId,
        first: u32,
        limit: u32,
    ) -> Result<Vec<Finding>, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let limit = self.page_size(limit)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        Ok(screening::findings(&mut transaction, version, first, limit).await?)
    }

    /// Sums over a collection, with its name.
    pub async fn collection_screening(
        &self,
        context: &OperationContext,
        id: CollectionId,
    ) -> Result<(String, Sums), OperationError> {
        context.require(Scope::DocumentsRead)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let found = collections::get(&mut transaction, id).await?;
        let collection = found.ok_or(OperationError::NotFound(Resource::Collection))?;
        Ok((collection.name, screening::sums(&mut transaction, id).await?))
    }

    /// Documents of a collection with what was found in each, oldest first.
    pub async fn screened_documents(
        &self,
        context: &OperationContext,
        id: CollectionId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Listing<ScreenedDocument>, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let key = CursorKey::new("screened documents", &[&id.to_string()]);
        let after = cursor.map(|text| key.decode(text)).transpose()?;
        let limit = self.page_size(limit)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let page = screening::documents(&mut transaction, id, after, limit).await?;
        Ok(Listing { rows: page.rows, next: page.next.map(|after| key.encode(after)) })
    }

    /// Lets a quarantined version go. The job that reads and indexes it is part of the same transaction.
    pub async fn release_version(
        &self,
        context: &OperationContext,
        id: VersionId,
        (release, reason): (Release, &str),
        once: Once<'_, JobId>,
    ) -> Result<Answer<JobId>, OperationError> {
        context.require(Scope::ScreeningReview)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        if let Some(reply) = once.claim(&mut transaction, context.now).await? {
            return Ok(Answer::Repeated(reply));
        }
        let review = Review::Released { shown: release.as_str() };
        review_version(&mut transaction, context, id, &review, reason).await?;
        let mut spec = JobSpec::new(self.new_id(), &ExtractDocument { version: id })?;
        spec.traceparent.clone_from(&context.traceparent);
        let job = spec.id;
        jobs::enqueue(&mut transaction, &[spec], &context.actor).await?;
        let details = json!({ "reason": reason, "as": release, "job": job });
        access::audit(&mut transaction, context, "release_version", Some(id.0), details).await?;
        let answer = once.commit(transaction, context.now, job).await?;
        metrics::counter!("carrel_screening_reviews_total", "decision" => "released").increment(1);
        Ok(answer)
    }

    /// Keeps a quarantined version out for good.
    pub async fn reject_version(
        &self,
        context: &OperationContext,
        id: VersionId,
        reason: &str,
        once: Once<'_, ()>,
    ) -> Result<Answer<()>, OperationError> {
        context.require(Scope::ScreeningReview)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        if let Some(reply) = once.claim(&mut transaction, context.now).await? {
            return Ok(Answer::Repeated(reply));
        }
        review_version(&mut transaction, context, id, &Review::Rejected, reason).await?;
        access::audit(&mut transaction, context, "reject_version", Some(id.0), json!({ "reason": reason })).await?;
        let answer = once.commit(transaction, context.now, ()).await?;
        metrics::counter!("carrel_screening_reviews_total", "decision" => "rejected").increment(1);
        Ok(answer)
    }

    /// Where else a value occurs in the workspace. The value is compared by digest; it is neither stored nor logged.
    pub async fn look_up_value(
        &self,
        context: &OperationContext,
        value: &str,
    ) -> Result<Vec<Occurrence>, OperationError> {
        context.require(Scope::ScreeningReview)?;
        let value = value.trim();
        let length = value.chars().count();
        if length == 0 || length > LONGEST_VALUE {
            return invalid("value", format!("must have 1 to {LONGEST_VALUE} characters"));
        }
        let key = self.screening.key.as_ref().ok_or(OperationError::NoDigestKey)?.for_workspace(context.workspace);
        let digests: Vec<Digest> = key.digests(value).iter().map(|digest| Digest(*digest.as_bytes())).collect();
        let mut transaction = self.database.begin(context.workspace).await?;
        let found = screening::occurrences(&mut transaction, &digests, PLACES).await?;
        let details = json!({ "places": found.len() });
        access::audit(&mut transaction, context, "look_up_value", Some(context.workspace.0), details).await?;
        transaction.commit().await?;
        Ok(found)
    }
}

async fn review_version(
    transaction: &mut Transaction,
    context: &OperationContext,
    id: VersionId,
    review: &Review,
    reason: &str,
) -> Result<(), OperationError> {
    let length = reason.trim().chars().count();
    if length == 0 || length > LONGEST_REASON || reason.contains('\0') {
        return invalid("reason", format!("must have 1 to {LONGEST_REASON} characters and no NUL"));
    }
    let found = documents::version(transaction, id).await?;
    let version = found.ok_or(OperationError::NotFound(Resource::Version))?;
    let now = micros(context.now);
    if !screening::review(transaction, id, review, reason.trim(), now, &context.actor).await? {
        return Err(OperationError::NotHeld { state: version.state.as_str() });
    }
    Ok(())
}

async fn view(transaction: &mut Transaction, of: PolicyOf) -> Result<PolicyView, OperationError> {
    let collection = of.collection();
    if let Some(id) = collection {
        collections::get(transaction, id).await?.ok_or(OperationError::NotFound(Resource::Collection))?;
    }
    let effective = effective(transaction, collection).await?;
    Ok(match stored(transaction, collection).await? {
        Some((policy, revision, at)) => PolicyView { policy, effective, revision, updated_at: Some(at) },
        None => {
            let policy = if collection.is_some() { Policy::inheriting() } else { Policy::default() };
            PolicyView { policy, effective, revision: 0, updated_at: None }
        }
    })
}
