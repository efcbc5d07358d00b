//! Why an operation was refused or failed.

use carrel_domain::access::MissingScope;
use carrel_domain::custody::{Hold, HoldSubject};
use carrel_domain::{Actor, Scope};
use carrel_inference::InferenceError;
use carrel_storage::StorageError;

/// What a resource is called when it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// An erasure.
    Erasure,
    /// A receipt: the erasure exists and is not completed.
    Receipt,
    /// A legal hold.
    Hold,
    /// A baseline.
    Baseline,
    /// A collection.
    Collection,
    /// A document.
    Document,
    /// A version of a document.
    Version,
    /// A rendition: the version exists, its text does not (yet).
    Rendition,
    /// A job.
    Job,
    /// A research run.
    Run,
    /// A report: the run exists and has not ended.
    Report,
    /// What screening found: the document exists, it was not screened (yet).
    Screening,
}

impl Resource {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Erasure => "erasure",
            Self::Receipt => "receipt",
            Self::Hold => "legal hold",
            Self::Baseline => "baseline",
            Self::Collection => "collection",
            Self::Document => "document",
            Self::Version => "version",
            Self::Rendition => "text",
            Self::Job => "job",
            Self::Run => "research run",
            Self::Report => "report",
            Self::Screening => "screening",
        }
    }
}

/// Errors of operations. What exists in another workspace is [`OperationError::NotFound`], like what does not exist.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// The credential lacks a scope.
    #[error("scope {0} is missing")]
    Denied(Scope),
    /// Nothing of that id is visible.
    #[error("there is no such {}", .0.as_str())]
    NotFound(Resource),
    /// A value is out of its bounds.
    #[error("{field}: {problem}")]
    Invalid {
        /// Which value.
        field: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Screening holds the version, or a reviewer keeps it out.
    #[error("the version is {state}: screening withholds its text")]
    Withheld {
        /// Its state.
        state: &'static str,
    },
    /// Only what is quarantined can be reviewed.
    #[error("the version is {state}, not quarantined")]
    NotHeld {
        /// Its state.
        state: &'static str,
    },
    /// The policy was changed since it was read.
    #[error("the policy has revision {current}")]
    PolicyChanged {
        /// Its revision now.
        current: u64,
    },
    /// This instance has no key for digests.
    #[error("this instance has no key for digests of values")]
    NoDigestKey,
    /// The name is taken.
    #[error("the name {0:?} is taken")]
    NameTaken(String),
    /// Something that must not be deleted.
    #[error("{}", held(.0))]
    Held(Box<Hold>),
    /// The document is being erased, or is part of one that is.
    #[error("the document is being erased")]
    BeingErased,
    /// The code is not that of a label.
    #[error("code: is not that of a label of a Carrel archive")]
    LabelUnreadable,
    /// The code looks like a label's, but this instance did not make it for a document of this workspace.
    #[error("code: was not made by this archive for a document of this workspace, or was changed")]
    LabelForged,
    /// The cursor was not made by this list, or with other conditions.
    #[error("the cursor does not belong to this list")]
    ForeignCursor,
    /// The upload is larger than allowed.
    #[error("the upload exceeds {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The upload has no bytes.
    #[error("the file is empty")]
    EmptyFile,
    /// The sender's stream broke.
    #[error("the upload broke off: {0}")]
    BrokenUpload(String),
    /// The job cannot be treated so in its state.
    #[error("the job is {state} and cannot be {wanted}")]
    JobState {
        /// Its state.
        state: &'static str,
        /// What was asked.
        wanted: &'static str,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyMismatch,
    /// The first request with this idempotency key is still being worked on.
    #[error("a request with this idempotency key is in progress")]
    IdempotencyInProgress,
    /// No such client, or a wrong secret.
    #[error("the client credentials are not valid")]
    InvalidClient,
    /// A scope was asked for that the client does not have, or that does not exist.
    #[error("the client may not have these scopes: {0}")]
    InvalidScope(String),
    /// The live index was made with another embedding model.
    #[error("the index is made of {live} vectors, but the configured embedder is {configured}")]
    SpaceMismatch {
        /// Space of the live generation.
        live: String,
        /// Space of the embedder.
        configured: String,
    },
    /// The database or the store.
    #[error(transparent)]
    Storage(StorageError),
    /// The embedder.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// Screening itself.
    #[error(transparent)]
    Screening(#[from] carrel_screening::ScreeningError),
    /// A fault of ours.
    #[error("{0}")]
    Internal(String),
}

impl From<StorageError> for OperationError {
    fn from(error: StorageError) -> Self {
        if error.is_constraint("document_erased") {
            return Self::BeingErased;
        }
        Self::Storage(error)
    }
}

/// Who holds what since when, and why.
fn held(hold: &Hold) -> String {
    let subject = match hold.subject {
        HoldSubject::Document(id) => format!("document {id}"),
        HoldSubject::Collection(id) => format!("collection {id}"),
    };
    let by = match &hold.placed_by {
        Actor::Client { id } => format!("client {id}"),
        Actor::Job { id } => format!("job {id}"),
        Actor::Operator => "the operator".to_owned(),
    };
    let since = hold.placed_at.format("%Y-%m-%d %H:%M:%S UTC");
    format!("{subject} is under legal hold {} by {by} since {since}: {}", hold.id, hold.reason)
}

impl From<MissingScope> for OperationError {
    fn from(missing: MissingScope) -> Self {
        Self::Denied(missing.0)
    }
}

impl From<carrel_domain::job::PayloadError> for OperationError {
    fn from(error: carrel_domain::job::PayloadError) -> Self {
        Self::Internal(error.to_string())
    }
}

pub(crate) fn invalid<T>(field: &'static str, problem: impl Into<String>) -> Result<T, OperationError> {
    Err(OperationError::Invalid { field, problem: problem.into() })
}
