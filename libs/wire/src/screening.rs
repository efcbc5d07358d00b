//! Screening: policies, reports, reviews, look-ups.

use crate::SpanBody;
use carrel_domain::{CollectionId, DocumentId, JobId, VersionId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What happens to a value that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionBody {
    /// It stays as it is.
    Allow,
    /// Dots stand in its place, for everybody and for every model.
    Mask,
    /// The version waits for a reviewer.
    Hold,
}

/// Rules of a workspace or of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyBody {
    /// By category: `contact`, `financial`, `national_id`, `network`, `wallet`, `credential`, `password_hash`,
    /// `person`. A category that is missing is allowed in a workspace's policy, and follows the workspace in a collection's.
    #[serde(default)]
    pub categories: BTreeMap<String, ActionBody>,
    /// Exceptions for single kinds, such as `email` or `national_id.es.nif`.
    #[serde(default)]
    pub kinds: BTreeMap<String, ActionBody>,
    /// Findings below this confidence (percent, 60 where nothing is said) are reported and allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100)]
    pub min_confidence: Option<u8>,
}

/// A policy with what comes of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PolicyViewBody {
    /// The rules set here.
    pub policy: PolicyBody,
    /// The rules in force: for a collection, the workspace's with its own on top.
    pub effective: PolicyBody,
    /// Grows with every change; 0 until it was set for the first time. `ETag` carries it.
    pub revision: u64,
    /// When it was set.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub updated_at: Option<DateTime<Utc>>,
}

/// How often a kind was found.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KindCountBody {
    /// What it is.
    pub kind: String,
    /// What policies speak about.
    pub category: String,
    /// `low`, `medium`, `high` or `critical`.
    pub severity: String,
    /// The gravest action among these.
    pub action: String,
    /// How many.
    pub count: u64,
    /// Of these, with an agreeing checksum, plan or mark.
    pub validated: u64,
    /// Different values; in a collection's report counted once in each document.
    pub values: u64,
}

/// One finding. It never holds the value.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FindingBody {
    /// From 0, by position.
    pub ordinal: u32,
    /// `text` or `title`.
    pub place: String,
    /// What it is.
    pub kind: String,
    /// What policies speak about.
    pub category: String,
    /// How grave it is.
    pub severity: String,
    /// What happened to it.
    pub action: String,
    /// Percent.
    pub confidence: u8,
    /// True when a checksum, a numbering plan or a mark agreed.
    pub validated: bool,
    /// Where, in code points of the text or title.
    pub span: SpanBody,
    /// The value for human eyes, with at most a few characters left.
    pub mask: String,
    /// Keyed digest: equal for equal values of this workspace.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<String>,
}

/// What a reviewer decided.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReviewBody {
    /// `released` or `rejected`.
    pub decision: String,
    /// `masked` or `plain`, for what was released.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shown: Option<String>,
    /// The reviewer's words.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// What screening has to say about a document's newest version.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DocumentScreeningBody {
    /// The document.
    #[schema(value_type = Uuid)]
    pub document_id: DocumentId,
    /// Its newest version.
    #[schema(value_type = Uuid)]
    pub version_id: VersionId,
    /// Name of the file.
    pub name: String,
    /// State of the version; `quarantined` waits for a reviewer.
    pub state: String,
    /// `clean`, `allowed`, `masked` or `held`.
    pub verdict: String,
    /// When.
    pub screened_at: DateTime<Utc>,
    /// The rules that were applied.
    pub policy: PolicyBody,
    /// By kind, gravest and most frequent first.
    pub kinds: Vec<KindCountBody>,
    /// Findings in all; of very many, the first 20,000 are listed.
    pub total: u32,
    /// A page of findings.
    pub findings: Vec<FindingBody>,
    /// Send it as `first` for the next page of findings; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_first: Option<u32>,
    /// The review, once there was one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub review: Option<ReviewBody>,
    /// Profile of a data set: columns, duplicate rows, passwords, risk.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dataset: Option<Value>,
    /// Why a data set has no profile.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dataset_problem: Option<String>,
    /// What the collection of breaches was asked and said, and why it said nothing.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub breaches: Option<Value>,
}

/// A document's line in the report of its collection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ScreenedDocumentBody {
    /// The document.
    #[schema(value_type = Uuid)]
    pub document_id: DocumentId,
    /// Its newest version.
    #[schema(value_type = Uuid)]
    pub version_id: VersionId,
    /// Its name.
    pub name: String,
    /// State of the newest version.
    pub state: String,
    /// `clean`, `allowed`, `masked` or `held`; absent when it was not screened.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verdict: Option<String>,
    /// Findings in all.
    pub findings: u32,
    /// By kind.
    pub kinds: Vec<KindCountBody>,
}

/// What screening has to say about a collection: sums over all, and a page of its documents.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CollectionScreeningBody {
    /// The collection.
    #[schema(value_type = Uuid)]
    pub collection_id: CollectionId,
    /// Its name.
    pub name: String,
    /// Documents in it.
    pub documents: u64,
    /// Documents by verdict; those that were not screened are missing.
    pub verdicts: BTreeMap<String, u64>,
    /// Sums by kind.
    pub kinds: Vec<KindCountBody>,
    /// A page of documents, oldest first.
    pub items: Vec<ScreenedDocumentBody>,
    /// Send it as `cursor` for the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_cursor: Option<String>,
}

/// How what was held is let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseAsBody {
    /// What was held stays hidden.
    #[default]
    Masked,
    /// What was held may be seen; what is masked stays masked.
    Plain,
}

/// A release.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseBody {
    /// Why; 1 to 2,000 characters. It stands in the audit trail and in the report.
    #[schema(min_length = 1, max_length = 2000)]
    pub reason: String,
    /// How.
    #[serde(default, rename = "as")]
    pub shown: ReleaseAsBody,
}

/// A rejection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectionBody {
    /// Why; 1 to 2,000 characters. It stands in the audit trail and in the report.
    #[schema(min_length = 1, max_length = 2000)]
    pub reason: String,
}

/// The job that was made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ScreeningJobBody {
    /// The job.
    #[schema(value_type = Uuid)]
    pub job_id: JobId,
}

/// A value to look for.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LookupBody {
    /// The value; 1 to 4,000 characters. It is compared by digest, and neither stored nor logged.
    #[schema(min_length = 1, max_length = 4000)]
    pub value: String,
}

impl std::fmt::Debug for LookupBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LookupBody(…)")
    }
}

/// Where a value occurs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OccurrenceBody {
    /// The document.
    #[schema(value_type = Uuid)]
    pub document_id: DocumentId,
    /// Its name.
    pub name: String,
    /// The version.
    #[schema(value_type = Uuid)]
    pub version_id: VersionId,
    /// Its number.
    pub version_number: u32,
    /// What it was taken for.
    pub kind: String,
    /// How often.
    pub count: u64,
}

/// Where a value occurs, at most 200 places.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OccurrencesBody {
    /// The places.
    pub occurrences: Vec<OccurrenceBody>,
}
