//! Research.

use crate::{FailureBody, FilterBody, SpanBody};
use carrel_domain::{BaselineId, CitationId, ClaimId, CollectionId, DocumentId, JobId, RunId, StepId, VersionId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A question.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuestionBody {
    /// What to find out; up to 4,000 characters.
    #[schema(example = "How fast must the lock gate close, and who decided it?", min_length = 1, max_length = 4000)]
    pub question: String,
    /// Where to look; empty is the whole workspace.
    #[serde(default)]
    #[schema(value_type = Vec<Uuid>)]
    pub collections: Vec<CollectionId>,
    /// What else restricts.
    #[serde(default)]
    pub filter: FilterBody,
}

/// A research run.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunBody {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: RunId,
    /// What was asked.
    pub question: String,
    /// Where it looks.
    #[schema(value_type = Vec<Uuid>)]
    pub collections: Vec<CollectionId>,
    /// The baseline that it looks in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Uuid>)]
    pub baseline: Option<BaselineId>,
    /// The time whose versions it looks in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub as_of: Option<DateTime<Utc>>,
    /// `planning`, `gathering`, `writing`, `completed`, `abstained`, `failed` or `cancelled`.
    #[schema(example = "completed")]
    pub state: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<FailureBody>,
    /// What wrote the report.
    #[schema(example = "extractive/1")]
    pub engine: String,
    /// The job that began it.
    #[schema(value_type = Uuid)]
    pub job_id: JobId,
    /// When it was asked.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finished_at: Option<DateTime<Utc>>,
}

/// A run with all that it has produced so far.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunPageBody {
    /// The run.
    #[serde(flatten)]
    pub run: RunBody,
    /// The sub-questions.
    pub plan: Vec<StepBody>,
    /// The statements of the report, each with its quotes.
    pub claims: Vec<ClaimBody>,
    /// Numbers of the citations whose document has a newer version, or is gone: the report is stale there.
    #[serde(default)]
    pub outdated: Vec<u32>,
    /// How much was looked at.
    pub searched: SearchedBody,
    /// The report in Markdown, when it stands.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub report: Option<String>,
}

/// One sub-question.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StepBody {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: StepId,
    /// From 0.
    pub ordinal: u32,
    /// What is asked.
    pub question: String,
    /// True when its evidence is gathered.
    pub completed: bool,
}

/// How much was looked at.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct SearchedBody {
    /// Documents that could have answered.
    pub documents: u64,
    /// Passages that were read.
    pub passages: u64,
    /// Sentences that were weighed.
    pub sentences: u64,
    /// The sub-questions.
    pub questions: Vec<String>,
}

/// One statement of the report.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClaimBody {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: ClaimId,
    /// The sub-question that it answers.
    #[schema(value_type = Uuid)]
    pub step_id: StepId,
    /// The statement.
    pub text: String,
    /// How well it answers, in 0 to 1.
    pub score: f32,
    /// The quotes that carry it; at least one.
    pub citations: Vec<CitationBody>,
}

/// An exact quote.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CitationBody {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: CitationId,
    /// From 1, through the whole report.
    pub number: u32,
    /// The document.
    #[schema(value_type = Uuid)]
    pub document_id: DocumentId,
    /// Its name when it was cited.
    pub document_name: String,
    /// The version.
    #[schema(value_type = Uuid)]
    pub version_id: VersionId,
    /// Its number.
    pub version_number: u32,
    /// Where the quote stands in the version's text.
    pub span: SpanBody,
    /// Page of its first character.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<u32>,
    /// The exact words.
    pub quote: String,
    /// Up to 64 characters before the quote.
    pub prefix: String,
    /// Up to 64 characters after the quote.
    pub suffix: String,
}

/// Something that happened in a run; sent as server-sent events.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunEventBody {
    /// Grows with every event; send it as `Last-Event-ID` to continue.
    pub seq: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// `asked`, `planned`, `step_completed`, `claim`, `completed`, `abstained`, `failed` or `cancelled`.
    pub kind: String,
    /// What.
    #[schema(value_type = Object)]
    pub payload: Value,
}

/// What two reports quote.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunComparisonBody {
    /// True when both quote the same words at the same places.
    pub same: bool,
    /// Quotes of both.
    pub equal: usize,
    /// Quotes that only the earlier run has.
    pub gone: Vec<CitationBody>,
    /// Quotes that only the later run has.
    pub new: Vec<CitationBody>,
}

/// A fresh check of a report's quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerificationBody {
    /// Citations of the report.
    pub citations: u64,
    /// Quotes that equal the version's text at their span, byte for byte.
    pub exact: u64,
    /// Citations whose document has been deleted since.
    pub deleted: u64,
}
