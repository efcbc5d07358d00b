//! Baselines and differences between versions.

use crate::{FilterBody, SpanBody};
use carrel_domain::{BaselineId, CollectionId, DocumentId, ErasureId, VersionId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A baseline to freeze.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBaselineBody {
    /// Unique in the workspace; 1 to 200 characters.
    #[schema(example = "Contract as signed", min_length = 1, max_length = 200)]
    pub name: String,
    /// Up to 2,000 characters.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: String,
    /// The collections whose current versions are frozen; empty is the whole workspace.
    #[serde(default)]
    #[schema(value_type = Vec<Uuid>)]
    pub collections: Vec<CollectionId>,
    /// What else restricts; `baseline` and `as_of` are refused.
    #[serde(default)]
    pub filter: FilterBody,
}

/// A frozen list of document versions.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BaselineBody {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: BaselineId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// SHA-256 of the manifest: one line of JSON for each member, by document id.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub digest: String,
    /// Documents in it.
    pub documents: u32,
    /// The collections that were frozen; empty is the whole workspace.
    #[schema(value_type = Vec<Uuid>)]
    pub collections: Vec<CollectionId>,
    /// When it was frozen.
    pub created_at: DateTime<Utc>,
}

/// A document of a baseline, in the version that was frozen.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MemberBody {
    /// The document.
    #[schema(value_type = Uuid)]
    pub document_id: DocumentId,
    /// Where it lay.
    #[schema(value_type = Uuid)]
    pub collection_id: CollectionId,
    /// The sender's own id of the document.
    pub external_id: String,
    /// Its name.
    pub name: String,
    /// The version.
    #[schema(value_type = Uuid)]
    pub version_id: VersionId,
    /// Its number.
    pub number: u32,
    /// Bytes of the original.
    pub size: u64,
    /// SHA-256 of the original.
    pub sha256: String,
    /// BLAKE3 of the original.
    pub blake3: String,
    /// SHA-256 of the text that citations point into.
    pub rendition_sha256: String,
    /// Why the document is gone, when it was erased; this line is all that is kept of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased: Option<Box<ErasedBody>>,
}

/// What is said of a document that was erased.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErasedBody {
    /// The erasure.
    #[schema(value_type = Uuid)]
    pub erasure_id: ErasureId,
    /// When it was asked for.
    pub at: DateTime<Utc>,
    /// Why.
    pub reason: String,
}

/// What became of a document between two baselines.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum ChangeBody {
    /// Only the later baseline holds it.
    Added {
        /// As it is there.
        after: MemberBody,
    },
    /// Only the earlier baseline holds it.
    Removed {
        /// As it was there.
        before: MemberBody,
    },
    /// Both hold it, in different versions; `GET /versions/{after}/diff?from={before}` shows the words.
    Changed {
        /// The earlier version.
        before: MemberBody,
        /// The later version.
        after: MemberBody,
    },
}

/// What differs between two versions, word by word.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DiffBody {
    /// The earlier version.
    #[schema(value_type = Uuid)]
    pub before: VersionId,
    /// The later version.
    #[schema(value_type = Uuid)]
    pub after: VersionId,
    /// In the order of the texts; what lies between two of them is equal.
    pub differences: Vec<DifferenceBody>,
    /// True when there are more than are shown.
    pub truncated: bool,
}

/// A stretch that differs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DifferenceBody {
    /// Where it stood in the earlier text.
    pub before: SpanBody,
    /// Where it stands in the later text.
    pub after: SpanBody,
    /// The words that went.
    pub removed: String,
    /// The words that came.
    pub inserted: String,
    /// Up to 64 characters in front of it, equal in both.
    pub context: String,
}
