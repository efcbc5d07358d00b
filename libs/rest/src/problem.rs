//! Problems (RFC 9457): one table of codes, and the way from every error to its entry.

use axum::Json;
use axum::extract::multipart::MultipartError;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use carrel_inference::InferenceError;
use carrel_operations::OperationError;
use carrel_storage::StorageError;
use carrel_wire::ProblemBody;
use std::borrow::Cow;

/// One entry of the table of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Stable code.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// The same for every occurrence.
    pub title: &'static str,
    /// What to do about it.
    pub advice: &'static str,
    /// True when the same request may succeed later.
    pub retryable: bool,
}

macro_rules! codes {
    ($($name:ident = $status:literal $code:literal, $title:literal, $advice:literal $(, $retry:ident)?;)*) => {
        $(pub(crate) const $name: Code = Code {
            code: $code, status: $status, title: $title, advice: $advice, retryable: codes!(@retry $($retry)?),
        };)*

        /// Every code that the API answers.
        pub const CODES: &[Code] = &[$($name),*];
    };
    (@retry retryable) => { true };
    (@retry) => { false };
}

codes! {
    UNAUTHENTICATED = 401 "unauthenticated", "No valid access token",
        "Get a token from /oauth/token with a client's credentials and send it as `Authorization: Bearer …`.";
    SCOPE_MISSING = 403 "scope_missing", "The credential lacks a scope",
        "Ask the operator for a client with the scope that `detail` names.";
    NOT_FOUND = 404 "not_found", "Not found",
        "Check the id; what belongs to another workspace is not shown either.";
    NOT_READY_YET = 404 "not_ready_yet", "Not there yet",
        "The work that makes it has not ended; watch its job or its events, then ask again.", retryable;
    METHOD_NOT_ALLOWED = 405 "method_not_allowed", "The method is not supported here",
        "The `Allow` header lists the methods of this address.";
    MALFORMED_BODY = 400 "malformed_body", "The body cannot be read",
        "Send what /api/openapi.json describes; `detail` says where reading stopped.";
    MALFORMED_MULTIPART = 400 "malformed_multipart", "The upload cannot be read",
        "Send multipart/form-data with one part named `file`; its parts must be complete.";
    INVALID_VALUE = 422 "invalid_value", "A value is out of its bounds",
        "`detail` names the value and what it must be.";
    INVALID_PARAMETER = 400 "invalid_parameter", "A parameter cannot be read",
        "Check the path and query parameters against /api/openapi.json.";
    FOREIGN_CURSOR = 400 "foreign_cursor", "The cursor does not belong to this list",
        "Use `next_cursor` of the same list with the same conditions, or begin without a cursor.";
    UNSUPPORTED_MEDIA_TYPE = 415 "unsupported_media_type", "The body has the wrong media type",
        "Send application/json, or multipart/form-data for uploads.";
    BODY_TOO_LARGE = 413 "body_too_large", "The body is too large",
        "Send less: `server.body_limit_bytes` and `server.upload_limit_bytes` are the limits.";
    EMPTY_FILE = 422 "empty_file", "The file is empty",
        "Send a file that has at least one byte.";
    WITHHELD = 409 "withheld", "Screening withholds the version",
        "A reviewer with the scope screening:review releases or rejects it; the document's screening says what was found.";
    NOT_QUARANTINED = 409 "not_quarantined", "The version is not quarantined",
        "Only what screening holds can be released or rejected; look at the version's state.";
    NO_DIGEST_KEY = 409 "no_digest_key", "Digests of values cannot be made",
        "The operator must set screening.digest_key, on the API and on the workers alike.";
    POLICY_CHANGED = 412 "policy_changed", "The policy was changed meanwhile",
        "Read the policy again, and send the change with the ETag that it has now.";
    NAME_TAKEN = 409 "name_taken", "The name is taken",
        "Choose another name, or use the collection that has it.";
    LEGAL_HOLD = 409 "legal_hold", "It is under legal hold",
        "`detail` says who holds it and why; whoever may release holds can release this one.";
    BEING_ERASED = 409 "being_erased", "The document is being erased",
        "Wait until the erasure is completed; then the same file makes a new document.";
    LABEL_UNREADABLE = 422 "label_unreadable", "The code is not that of a label",
        "Scan the QR code of a label that Carrel printed; its text begins with CARREL1: and has 53 characters.";
    LABEL_FORGED = 422 "label_forged", "The label was not made here",
        "Print the document's label again; one of another archive or workspace, or of a replaced signing key, is not accepted.";
    JOB_STATE = 409 "job_state", "The job's state does not allow it",
        "Look at the job first: what has ended can be retried, what has not can be cancelled.";
    IDEMPOTENCY_MISMATCH = 422 "idempotency_mismatch", "The idempotency key belongs to another request",
        "Use a new key for a new request; send the very same request to have its reply repeated.";
    IDEMPOTENCY_IN_PROGRESS = 409 "idempotency_in_progress", "The first request with this key is not finished",
        "Wait, then send the same request again.", retryable;
    RANGE_NOT_SATISFIABLE = 416 "range_not_satisfiable", "The range lies outside of the original",
        "`Content-Range` tells the size; ask for bytes below it.";
    ORIGINAL_DAMAGED = 500 "original_damaged", "The stored bytes are not those that came",
        "Send the same file again, which heals it, or have the operator restore it from a backup (`carrel admin fixity show`).";
    SPACE_MISMATCH = 503 "space_mismatch", "The index was made with another embedding model",
        "The operator must configure the model that made the index, or build a new index generation.";
    MODEL_UNAVAILABLE = 503 "model_unavailable", "The embedding model does not answer",
        "Try again shortly; lexical search works without it.", retryable;
    STORE_UNAVAILABLE = 503 "store_unavailable", "The store of originals does not answer",
        "Try again shortly; the operator finds the cause with `carrel admin doctor`.", retryable;
    DATABASE_UNAVAILABLE = 503 "database_unavailable", "The database does not answer",
        "Try again shortly; the operator finds the cause with `carrel admin doctor`.", retryable;
    CONFLICT = 409 "conflict", "Another request was faster",
        "Send the request again.", retryable;
    TIMED_OUT = 504 "timed_out", "The request took too long",
        "Ask for less at once, or try again.", retryable;
    INTERNAL = 500 "internal", "A fault of Carrel",
        "Tell the operator the request id; the log has the cause.";
}

/// An error on its way to the client.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    // Rare, and large: problems travel as errors through every handler.
    header: Option<Box<(header::HeaderName, HeaderValue)>>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), header: None }
    }

    pub(crate) fn with_header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// The body, without the request's id, which the outermost layer fills in.
    pub(crate) fn body(&self) -> ProblemBody {
        ProblemBody {
            kind: format!("/docs/problems#{}", self.code.code),
            title: self.code.title.to_owned(),
            status: self.code.status,
            detail: self.detail.clone().into_owned(),
            code: self.code.code.to_owned(),
            advice: self.code.advice.to_owned(),
            retryable: self.code.retryable,
            request_id: String::new(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut body = self.body();
        body.request_id = crate::observe::current_request_id();
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.code == UNAUTHENTICATED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer realm="carrel""#));
        }
        if self.code.retryable && status.is_server_error() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        if let Some(header) = self.header {
            let (name, value) = *header;
            headers.insert(name, value);
        }
        response
    }
}

/// Logs a fault of ours once, with its sources; the client only gets the code.
fn fault(code: Code, error: &dyn std::error::Error) -> Problem {
    let mut causes = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push_str(": ");
        causes.push_str(&cause.to_string());
        source = cause.source();
    }
    tracing::error!(code = code.code, causes, "an operation failed");
    Problem::new(code, code.title)
}

impl From<OperationError> for Problem {
    fn from(error: OperationError) -> Self {
        let detail = error.to_string();
        let code = match &error {
            OperationError::Denied(_) => SCOPE_MISSING,
            OperationError::NotFound(
                carrel_operations::Resource::Rendition
                | carrel_operations::Resource::Report
                | carrel_operations::Resource::Receipt
                | carrel_operations::Resource::Screening,
            ) => NOT_READY_YET,
            OperationError::NotFound(_) => NOT_FOUND,
            OperationError::Invalid { .. } | OperationError::InvalidScope(_) => INVALID_VALUE,
            OperationError::NameTaken(_) => NAME_TAKEN,
            OperationError::Withheld { .. } => WITHHELD,
            OperationError::NotHeld { .. } => NOT_QUARANTINED,
            OperationError::NoDigestKey => NO_DIGEST_KEY,
            OperationError::PolicyChanged { .. } => POLICY_CHANGED,
            OperationError::ForeignCursor => FOREIGN_CURSOR,
            OperationError::TooLarge { .. } => BODY_TOO_LARGE,
            OperationError::EmptyFile => EMPTY_FILE,
            OperationError::BrokenUpload(_) => MALFORMED_MULTIPART,
            OperationError::Held(_) => LEGAL_HOLD,
            OperationError::BeingErased => BEING_ERASED,
            OperationError::LabelUnreadable => LABEL_UNREADABLE,
            OperationError::LabelForged => LABEL_FORGED,
            OperationError::JobState { .. } => JOB_STATE,
            OperationError::IdempotencyMismatch => IDEMPOTENCY_MISMATCH,
            OperationError::IdempotencyInProgress => IDEMPOTENCY_IN_PROGRESS,
            OperationError::InvalidClient => UNAUTHENTICATED,
            OperationError::SpaceMismatch { .. } => SPACE_MISMATCH,
            OperationError::Storage(source) => return storage_problem(source),
            OperationError::Inference(source) => return inference_problem(source),
            OperationError::Screening(_) | OperationError::Internal(_) => return fault(INTERNAL, &error),
        };
        Self::new(code, detail)
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        storage_problem(&error)
    }
}

fn storage_problem(error: &StorageError) -> Problem {
    match error {
        StorageError::Unavailable(_) => fault(DATABASE_UNAVAILABLE, error),
        StorageError::Conflict(_) => Problem::new(CONFLICT, error.to_string()),
        StorageError::TimedOut(_) => fault(TIMED_OUT, error),
        StorageError::Store(_) => fault(STORE_UNAVAILABLE, error),
        StorageError::Damaged { .. } => fault(ORIGINAL_DAMAGED, error),
        StorageError::Unrepresentable(_) => Problem::new(INVALID_VALUE, error.to_string()),
        _ => fault(INTERNAL, error),
    }
}

fn inference_problem(error: &InferenceError) -> Problem {
    match error {
        InferenceError::InputTooLarge { .. } => Problem::new(INVALID_VALUE, error.to_string()),
        _ => fault(MODEL_UNAVAILABLE, error),
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(BODY_TOO_LARGE, rejection.body_text()),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::new(UNSUPPORTED_MEDIA_TYPE, rejection.body_text()),
            _ => Self::new(MALFORMED_BODY, rejection.body_text()),
        }
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(INVALID_PARAMETER, rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(INVALID_PARAMETER, rejection.body_text())
    }
}

impl From<MultipartError> for Problem {
    fn from(error: MultipartError) -> Self {
        match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(BODY_TOO_LARGE, error.body_text()),
            _ => Self::new(MALFORMED_MULTIPART, error.body_text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CODES;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_and_advise() {
        let names: HashSet<&str> = CODES.iter().map(|code| code.code).collect();
        assert_eq!(names.len(), CODES.len());
        for code in CODES {
            assert!((400..600).contains(&code.status), "{}", code.code);
            assert!(code.advice.ends_with('.'), "{}", code.code);
        }
    }
}
