//! Who acts, in which workspace, and what they may do.

use crate::ids::{ClientId, JobId, RequestId, WorkspaceId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One permission of a credential (an OAuth 2.0 scope value, RFC 6749 section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Read collections, documents, versions, renditions and originals.
    DocumentsRead,
    /// Create and delete collections, add and delete documents.
    DocumentsWrite,
    /// Search.
    Search,
    /// Ask research questions and read their reports.
    Research,
    /// See jobs.
    JobsRead,
    /// Retry and cancel jobs.
    JobsWrite,
    /// Read the audit trail.
    AuditRead,
    /// Record custody events by scanning labels.
    CustodyWrite,
    /// Place and release legal holds.
    HoldsWrite,
    /// Erase documents for good.
    DocumentsErase,
    /// Set what happens to personal data and credentials, and screen again.
    ScreeningPolicy,
    /// Release and reject what screening holds, read originals in which something is hidden, look values up.
    ScreeningReview,
}

impl Scope {
    /// Every scope, in the order in which they are shown.
    pub const ALL: [Self; 12] = [
        Self::DocumentsRead,
        Self::DocumentsWrite,
        Self::Search,
        Self::Research,
        Self::JobsRead,
        Self::JobsWrite,
        Self::AuditRead,
        Self::CustodyWrite,
        Self::HoldsWrite,
        Self::DocumentsErase,
        Self::ScreeningPolicy,
        Self::ScreeningReview,
    ];

    /// The value on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DocumentsRead => "documents:read",
            Self::DocumentsWrite => "documents:write",
            Self::Search => "search",
            Self::Research => "research",
            Self::JobsRead => "jobs:read",
            Self::JobsWrite => "jobs:write",
            Self::AuditRead => "audit:read",
            Self::CustodyWrite => "custody:write",
            Self::HoldsWrite => "holds:write",
            Self::DocumentsErase => "documents:erase",
            Self::ScreeningPolicy => "screening:policy",
            Self::ScreeningReview => "screening:review",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no scope.
#[derive(Debug, thiserror::Error)]
#[error("unknown scope {0:?}")]
pub struct UnknownScope(pub String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

/// A set of scopes, on the wire a space-separated list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Every scope.
    pub fn all() -> Self {
        Self(Scope::ALL.to_vec())
    }

    /// True when `scope` is in the set.
    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }

    /// True when the set has no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes that are in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.iter().filter(|scope| other.contains(*scope)).collect())
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        let mut list: Vec<Scope> = scopes.into_iter().collect();
        list.sort_unstable();
        list.dedup();
        Self(list)
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_ascii_whitespace().map(Scope::from_str).collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

/// Who performs an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// A program with OAuth 2.0 credentials.
    Client {
        /// Its id.
        id: ClientId,
    },
    /// A job, on behalf of whoever asked for it.
    Job {
        /// Its id.
        id: JobId,
    },
    /// The operator at the machine itself (`carrel admin`).
    Operator,
}

/// What every operation takes first: who acts, where, under which request, and at what time.
#[derive(Clone, Debug)]
pub struct OperationContext {
    /// Who acts.
    pub actor: Actor,
    /// The workspace in which everything happens.
    pub workspace: WorkspaceId,
    /// What the actor may do.
    pub scopes: Scopes,
    /// The request or execution that this belongs to.
    pub request_id: RequestId,
    /// The time of the operation.
    pub now: DateTime<Utc>,
    /// W3C `traceparent` to hand on to jobs, when the caller is traced.
    pub traceparent: Option<String>,
}

/// The actor lacks a scope.
#[derive(Debug, thiserror::Error)]
#[error("scope {0} is missing")]
pub struct MissingScope(pub Scope);

impl OperationContext {
    /// Refuses an actor without `scope`.
    pub fn require(&self, scope: Scope) -> Result<(), MissingScope> {
        if self.scopes.contains(scope) { Ok(()) } else { Err(MissingScope(scope)) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Scope, Scopes};

    #[test]
    fn scopes_are_a_set_on_the_wire() {
        let scopes: Scopes = "search documents:read search".parse().unwrap();
        assert_eq!(scopes.to_string(), "documents:read search");
        assert!(scopes.contains(Scope::Search));
        assert!(!scopes.contains(Scope::JobsWrite));
        assert!("search everything".parse::<Scopes>().is_err());
    }
}
