//! Fixity, duplicates, index generations.

use carrel_domain::{CollectionId, DocumentId, VersionId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the last fixity check of an original found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FixityBody {
    /// `sound`, `damaged` (there, and not what came) or `missing`.
    #[schema(example = "sound")]
    pub verdict: String,
    /// What was found instead.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
    /// When it was last read.
    pub checked_at: DateTime<Utc>,
    /// Since when it is not sound.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub damaged_since: Option<DateTime<Utc>>,
}

/// How the originals are.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FixityReportBody {
    /// Originals that a version refers to.
    pub originals: u64,
    /// Those that were read again at least once.
    pub checked: u64,
    /// Those that are there and differ from what came.
    pub damaged: u64,
    /// Those that are not there.
    pub missing: u64,
    /// The check that is longest ago.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oldest_check: Option<DateTime<Utc>>,
    /// Those that are not sound, the longest so first.
    pub items: Vec<DamageBody>,
    /// Send it as `cursor` for the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_cursor: Option<String>,
}

/// An original that is not sound.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DamageBody {
    /// SHA-256 that it should have, in hexadecimal.
    pub sha256: String,
    /// Bytes that it should have.
    pub size: u64,
    /// What was found.
    pub fixity: FixityBody,
    /// Versions that hold it, newest first (at most twenty).
    #[schema(value_type = Vec<Uuid>)]
    pub versions: Vec<VersionId>,
}

/// A document that is like another.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DuplicateBody {
    /// `exact` (the same bytes), `near` (nearly the same words) or `meaning` (other words that say nearly the same).
    #[schema(example = "near")]
    pub kind: String,
    /// The other document.
    #[schema(value_type = Uuid)]
    pub document_id: DocumentId,
    /// Its collection.
    #[schema(value_type = Uuid)]
    pub collection_id: CollectionId,
    /// Its name.
    pub name: String,
    /// The sender's own id of it.
    pub external_id: String,
    /// The version that is alike.
    #[schema(value_type = Uuid)]
    pub version_id: VersionId,
    /// Share of the five-word sequences of both that both have, 0 to 1, estimated from 128 values (give or take 0.04).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub similarity: Option<f32>,
    /// Cosine of what both mean on the whole; absent where it was not compared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub closeness: Option<f32>,
}

/// An index generation: the vectors of one embedding model.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GenerationBody {
    /// Its number.
    pub number: u32,
    /// Name of its embedding space.
    pub space: String,
    /// Components of a vector.
    pub dimension: u64,
    /// `filling`, `live` (it answers) or `retired`.
    #[schema(example = "live")]
    pub state: String,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// When it last began to answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub live_since: Option<DateTime<Utc>>,
    /// Its vectors in your workspace.
    pub vectors: u64,
    /// Vectors of the live generation in your workspace: so many it needs.
    pub wanted: u64,
}
