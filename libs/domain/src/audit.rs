//! The audit trail: its entries as they are stored, their places in the chain, and the seals over them.

use crate::ids::WorkspaceId;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An entry as it is stored. Its JSON is kept as the database writes it, because the digests cover these very bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Its number: rises with the time of writing, with gaps.
    pub seq: i64,
    /// The transaction that wrote it.
    pub transaction: i64,
    /// Microseconds since 1970-01-01 UTC.
    pub at: i64,
    /// Who, as JSON.
    pub actor: String,
    /// What was done: the operation's name.
    pub action: String,
    /// To what.
    pub subject: Option<Uuid>,
    /// In which request, or which execution of a job.
    pub request: Uuid,
    /// With which particulars, as JSON.
    pub details: String,
}

impl Entry {
    /// When it was written, as far as a calendar can tell.
    pub fn time(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.at)
    }
}

/// An entry's place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// From 1, without gaps.
    pub position: i64,
    /// The entry.
    pub seq: i64,
    /// Digest of the link before; zero for the first.
    pub previous: [u8; 32],
    /// Its own digest.
    pub digest: [u8; 32],
    /// The seal that covers it.
    pub seal: i64,
}

/// A signed batch of links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// From 1, without gaps.
    pub number: i64,
    /// First position that it covers.
    pub first: i64,
    /// Last position that it covers.
    pub last: i64,
    /// What is signed, byte for byte.
    pub payload: String,
    /// Detached JWS over the payload.
    pub signature: String,
}
