//! Search.

use crate::SpanBody;
use carrel_domain::{BaselineId, CollectionId, DocumentId, VersionId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Which halves of the index answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModeBody {
    /// Words and meaning, fused.
    #[default]
    Hybrid,
    /// Words only (BM25).
    Lexical,
    /// Meaning only (vectors).
    Semantic,
}

/// A search.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchBody {
    /// What to look for; up to 8,000 characters.
    #[schema(example = "How fast must the lock gate close?", min_length = 1, max_length = 8000)]
    pub query: String,
    /// Which halves of the index answer.
    #[serde(default)]
    pub mode: ModeBody,
    /// Where to look; empty is the whole workspace.
    #[serde(default)]
    #[schema(value_type = Vec<Uuid>)]
    pub collections: Vec<CollectionId>,
    /// What else restricts.
    #[serde(default)]
    pub filter: FilterBody,
    /// Hits wanted, 1 to 100.
    #[serde(default = "ten")]
    #[schema(minimum = 1, maximum = 100, default = 10)]
    pub limit: u32,
}

fn ten() -> u32 {
    10
}

/// Conditions on what may be found; all must hold, an empty list does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FilterBody {
    /// Documents.
    #[schema(value_type = Vec<Uuid>)]
    pub documents: Vec<DocumentId>,
    /// Languages (ISO 639).
    pub languages: Vec<String>,
    /// Media types.
    pub media_types: Vec<String>,
    /// The version came at or after this time.
    pub created_from: Option<DateTime<Utc>>,
    /// The version came before this time.
    pub created_before: Option<DateTime<Utc>>,
    /// Fields that the document's metadata must contain.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// The versions of this baseline answer instead of the current ones.
    #[schema(value_type = Option<Uuid>)]
    pub baseline: Option<BaselineId>,
    /// The versions that were current at this time answer instead of those that are now.
    pub as_of: Option<DateTime<Utc>>,
}

/// What a search found.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SearchAnswerBody {
    /// Best first.
    pub hits: Vec<HitBody>,
    /// The words that were looked for, as the index knows them (stemmed, without stop words).
    pub terms: Vec<String>,
}

/// A passage that answers.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HitBody {
    /// The document.
    #[schema(value_type = Uuid)]
    pub document_id: DocumentId,
    /// Its name.
    pub document_name: String,
    /// The sender's own id of the document.
    pub external_id: String,
    /// Where it lies.
    #[schema(value_type = Uuid)]
    pub collection_id: CollectionId,
    /// The version.
    #[schema(value_type = Uuid)]
    pub version_id: VersionId,
    /// Its number.
    pub version_number: u32,
    /// Title of the version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    /// The passage.
    pub passage: PassageBody,
    /// The part of the passage to show.
    pub snippet: SnippetBody,
    /// Why it stands where it stands.
    pub scores: ScoresBody,
}

/// A passage of a version.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PassageBody {
    /// Number in the version, from 0.
    pub ordinal: u32,
    /// Where it stands in the version's text.
    pub span: SpanBody,
    /// Page of its first character.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<u32>,
    /// Headings above it, outermost first.
    pub headings: Vec<String>,
    /// Language (ISO 639).
    pub language: String,
    /// Its text.
    pub text: String,
}

/// A part of a passage with what to highlight.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SnippetBody {
    /// The text.
    pub text: String,
    /// What to highlight, in code points of `text`.
    pub highlights: Vec<SpanBody>,
    /// The page of the first of them, or else of its beginning; a passage can go over several pages.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<u32>,
}

/// The scores that ranked a hit.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct ScoresBody {
    /// What the hits are ordered by, in 0 to 1.
    pub rank: f32,
    /// BM25; absent where no query word occurs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lexical: Option<f32>,
    /// Cosine similarity; absent when vectors did not take part.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vector: Option<f32>,
}
