//! Research runs: a question, its plan, and claims that quote their evidence.

use crate::ids::{CitationId, ClaimId, CollectionId, DocumentId, JobId, RunId, StepId, VersionId};
use crate::search::Filter;
use crate::text::Span;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RunState {
    /// The question is being split into steps.
    Planning,
    /// Steps search and collect evidence.
    Gathering,
    /// Claims are chosen and checked.
    Writing,
    /// The report stands.
    Completed,
    /// Nothing above the threshold was found; the report says what was searched.
    Abstained,
    /// A job gave up.
    Failed {
        /// Stable reason.
        code: String,
        /// In plain words.
        message: String,
    },
    /// Stopped on request.
    Cancelled,
}

impl RunState {
    /// The name on the wire and in SQL.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Gathering => "gathering",
            Self::Writing => "writing",
            Self::Completed => "completed",
            Self::Abstained => "abstained",
            Self::Failed { .. } => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// True when nothing more will happen.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Planning | Self::Gathering | Self::Writing)
    }
}

/// A research run without its claims.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// What was asked.
    pub question: String,
    /// Where to look; empty is everywhere in the workspace.
    pub collections: Vec<CollectionId>,
    /// What else restricts the search.
    pub filter: Filter,
    /// Where it stands.
    pub state: RunState,
    /// What wrote the report, for example `extractive/1`.
    pub engine: String,
    /// The job that began it.
    pub job: JobId,
    /// What was searched.
    pub searched: Searched,
    /// When it was asked.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// How much was looked at, for the report and above all for an abstention.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Searched {
    /// Documents that could have answered.
    pub documents: u64,
    /// Passages that were read.
    pub passages: u64,
    /// Sentences that were weighed.
    pub sentences: u64,
    /// The sub-questions that were asked.
    pub questions: Vec<String>,
}

/// One sub-question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its id.
    pub id: StepId,
    /// From 0, in the plan's order.
    pub ordinal: u32,
    /// What is asked.
    pub question: String,
    /// True when its evidence is gathered.
    pub completed: bool,
}

/// One statement of the report.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Its id.
    pub id: ClaimId,
    /// The sub-question that it answers.
    pub step: StepId,
    /// From 0, in the report's order.
    pub ordinal: u32,
    /// The statement. The built-in engine states nothing but what it quotes.
    pub text: String,
    /// How well it answers, in 0 to 1.
    pub score: f32,
    /// At least one.
    pub citations: Vec<Citation>,
}

/// An exact quote from an immutable version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Citation {
    /// Its id.
    pub id: CitationId,
    /// From 1, through the whole report.
    pub number: u32,
    /// The document.
    pub document: DocumentId,
    /// Its name when it was cited.
    pub document_name: String,
    /// The version.
    pub version: VersionId,
    /// Its number.
    pub version_number: u32,
    /// Where the quote stands in the version's rendition.
    pub span: Span,
    /// Page of its first character.
    pub page: Option<u32>,
    /// The rendition's own words at the span.
    pub quote: String,
    /// Up to 64 characters before it.
    pub prefix: String,
    /// Up to 64 characters after it.
    pub suffix: String,
}

/// Something that happened in a run, for those who watch it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// Grows with every event; a watcher continues after the last one seen.
    pub seq: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// `planned`, `step_completed`, `claim`, `completed`, `abstained`, `failed`, `cancelled`.
    pub kind: String,
    /// What.
    pub payload: serde_json::Value,
}
