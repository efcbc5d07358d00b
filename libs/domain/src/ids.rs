//! Typed identifiers: UUIDv7 newtypes, so that no two kinds of id can be mixed up.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    )*};
}

id! {
    /// A tenant: everything stored belongs to exactly one workspace.
    WorkspaceId;
    /// A named set of documents inside a workspace.
    CollectionId;
    /// A document: the identity that its versions share.
    DocumentId;
    /// One immutable version of a document.
    VersionId;
    /// A stretch of a version's text that search can return.
    PassageId;
    /// A unit of background work.
    JobId;
    /// The token that one execution of a job holds; a completion with another token changes nothing.
    ClaimToken;
    /// Something that must leave the system: a mail, a webhook, a call.
    EffectId;
    /// One start of one worker process.
    WorkerId;
    /// A research run: a question and all that was done to answer it.
    RunId;
    /// One sub-question of a run's plan.
    StepId;
    /// One statement of a report.
    ClaimId;
    /// An exact quote that supports a claim.
    CitationId;
    /// A frozen list of document versions.
    BaselineId;
    /// One scan of a label.
    CustodyEventId;
    /// A legal hold.
    HoldId;
    /// An erasure.
    ErasureId;
    /// An OAuth 2.0 client.
    ClientId;
    /// One request or one job execution, for logs, problems and audit entries.
    RequestId;
}

/// Makes new identifiers. Injected, because ids carry the time and randomness of their making.
pub trait IdSource: Send + Sync {
    /// A new UUIDv7 (RFC 9562).
    fn new_id(&self) -> Uuid;
}
