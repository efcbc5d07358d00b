//! The bodies of the REST API, shared by the server that writes them and the client that reads them.
//!
//! Invariants: fields are only ever added; a body says what a reader needs without knowing the database; spans count
//! Unicode code points of the rendition, from 0, end excluded.
//!
//! ```
//! let body: carrel_wire::SearchBody = serde_json::from_str(r#"{"query": "gate"}"#).unwrap();
//! assert_eq!(body.limit, 10);
//! ```

mod archive;
mod baselines;
mod custody;
mod jobs;
mod problem;
mod research;
mod screening;
mod search;
mod upkeep;

pub use archive::*;
pub use baselines::*;
pub use custody::*;
pub use jobs::*;
pub use problem::*;
pub use research::*;
pub use screening::*;
pub use search::*;
pub use upkeep::*;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A page of a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows of this page.
    pub items: Vec<T>,
    /// Send it as `cursor` for the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_cursor: Option<String>,
}

/// A token (RFC 6749 section 5.1).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenBody {
    /// The access token, a JWT signed with ES256.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until it ends.
    pub expires_in: u64,
    /// Its scopes, separated by spaces.
    pub scope: String,
}

/// Why no token was issued (RFC 6749 section 5.2).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenErrorBody {
    /// `invalid_request`, `invalid_client`, `unsupported_grant_type`, `invalid_scope` or `server_error`.
    pub error: String,
    /// For people.
    pub error_description: String,
}

/// A stretch of text in Unicode code points, end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpanBody {
    /// First code point.
    pub start: u32,
    /// One past the last code point.
    pub end: u32,
}

impl From<carrel_domain::Span> for SpanBody {
    fn from(span: carrel_domain::Span) -> Self {
        Self { start: span.start, end: span.end }
    }
}
