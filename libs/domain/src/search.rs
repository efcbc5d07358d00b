//! Queries and what they find.

use crate::ids::{BaselineId, CollectionId, DocumentId, VersionId};
use crate::text::{Language, Span};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Which halves of the index answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchMode {
    /// Words and meaning, fused.
    #[default]
    Hybrid,
    /// Words only (BM25).
    Lexical,
    /// Meaning only (vectors).
    Semantic,
}

impl SearchMode {
    /// The name on the wire and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Lexical => "lexical",
            Self::Semantic => "semantic",
        }
    }
}

/// Conditions on what may be found; all must hold, an empty list does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// Documents.
    pub documents: Vec<DocumentId>,
    /// Languages of the version.
    pub languages: Vec<Language>,
    /// Media types of the version.
    pub media_types: Vec<String>,
    /// The version came at or after this time.
    pub created_from: Option<DateTime<Utc>>,
    /// The version came before this time.
    pub created_before: Option<DateTime<Utc>>,
    /// Fields that the document's metadata must contain (JSON containment).
    pub metadata: Map<String, Value>,
    /// The versions of this baseline answer instead of the current ones.
    pub baseline: Option<BaselineId>,
    /// The versions that were current at this time answer instead of those that are now.
    pub as_of: Option<DateTime<Utc>>,
}

impl Filter {
    /// True when other versions than the current ones answer.
    pub fn is_pinned(&self) -> bool {
        self.baseline.is_some() || self.as_of.is_some()
    }

    /// True when nothing is restricted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The scores that ranked a hit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// What the hits are ordered by: for hybrid the weighted sum of both scaled scores, in 0 to 1.
    pub rank: f32,
    /// BM25; `None` where no query word occurs, or when words did not take part.
    pub lexical: Option<f32>,
    /// Cosine similarity, in -1 to 1; `None` when vectors did not take part.
    pub vector: Option<f32>,
}

/// A passage that answers a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The document.
    pub document: DocumentId,
    /// Where it lies.
    pub collection: CollectionId,
    /// Name of the document.
    pub document_name: String,
    /// The sender's own id of the document.
    pub external_id: String,
    /// Title of the version.
    pub title: Option<String>,
    /// The version that the passage belongs to.
    pub version: VersionId,
    /// Its number.
    pub version_number: u32,
    /// Number of the passage in the version, from 0.
    pub ordinal: u32,
    /// Where it stands in the rendition.
    pub span: Span,
    /// Page of its first character.
    pub page: Option<u32>,
    /// Where further pages begin in it: code points from its start, and the page's number.
    pub page_breaks: Vec<(u32, u32)>,
    /// Headings above it, outermost first.
    pub headings: Vec<String>,
    /// Language of the version.
    pub language: Language,
    /// The whole text of the passage.
    pub text: String,
    /// Why it stands where it stands.
    pub scores: Scores,
}

impl Hit {
    /// The page on which the character `offset` of the passage stands.
    pub fn page_at(&self, offset: u32) -> Option<u32> {
        let before = self.page_breaks.iter().take_while(|(start, _)| *start <= offset);
        before.last().map(|(_, page)| *page).or(self.page)
    }
}
