//! Problems (RFC 9457).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a request was refused or failed (RFC 9457, `application/problem+json`).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProblemBody {
    /// A URI reference that names the kind of problem: the entry of `code` in docs/API.md.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words; the same for every occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time.
    #[serde(default)]
    pub detail: String,
    /// Stable code.
    pub code: String,
    /// What to do about it.
    #[serde(default)]
    pub advice: String,
    /// True when the same request may succeed later.
    #[serde(default)]
    pub retryable: bool,
    /// Id of the request, for the operator's logs.
    #[serde(default)]
    pub request_id: String,
}
