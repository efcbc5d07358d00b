//! Custody: what happened to the paper, legal holds, and erasure with its proof.

use crate::access::Actor;
use crate::digest::Digest;
use crate::ids::{CollectionId, CustodyEventId, DocumentId, ErasureId, HoldId, JobId, VersionId, WorkspaceId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What happened to a document's paper, or whatever carries its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CustodyKind {
    /// It came in.
    Received,
    /// It was put in its place.
    Stored,
    /// It was put elsewhere.
    Moved,
    /// Somebody took it over.
    HandedOver,
    /// It came back.
    Returned,
    /// Somebody looked at it.
    Inspected,
    /// It was copied.
    Copied,
    /// It was destroyed or given away for good.
    Disposed,
}

impl CustodyKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Received,
        Self::Stored,
        Self::Moved,
        Self::HandedOver,
        Self::Returned,
        Self::Inspected,
        Self::Copied,
        Self::Disposed,
    ];

    /// The name on the wire and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Stored => "stored",
            Self::Moved => "moved",
            Self::HandedOver => "handed_over",
            Self::Returned => "returned",
            Self::Inspected => "inspected",
            Self::Copied => "copied",
            Self::Disposed => "disposed",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One scan of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustodyEvent {
    /// Its id.
    pub id: CustodyEventId,
    /// Whose label.
    pub document: DocumentId,
    /// What happened.
    pub kind: CustodyKind,
    /// Where.
    pub place: Option<String>,
    /// What else is to be said.
    pub note: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
    /// Who scanned.
    pub by: Actor,
}

/// What a hold holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldSubject {
    /// One document.
    Document(DocumentId),
    /// A collection with all that is in it.
    Collection(CollectionId),
}

/// A legal hold: while it stands, nothing that it covers is deleted or erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// What it holds.
    pub subject: HoldSubject,
    /// Why.
    pub reason: String,
    /// Since when.
    pub placed_at: DateTime<Utc>,
    /// By whom.
    pub placed_by: Actor,
    /// How it ended, when it did.
    pub released: Option<Release>,
}

/// The end of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// When.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: Actor,
    /// Why.
    pub reason: String,
}

/// How far an erasure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureState {
    /// Asked for; nothing is cleared yet.
    Requested,
    /// The database holds it no longer; the store and the proof are under way.
    Clearing,
    /// Done and proved.
    Completed,
}

impl ErasureState {
    /// The name on the wire and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Clearing => "clearing",
            Self::Completed => "completed",
        }
    }
}

/// An erasure.
#[derive(Clone, Debug, PartialEq)]
pub struct Erasure {
    /// Its id.
    pub id: ErasureId,
    /// The document that was named.
    pub document: DocumentId,
    /// Why.
    pub reason: String,
    /// How far it is.
    pub state: ErasureState,
    /// The job that does it.
    pub job: JobId,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// By whom.
    pub requested_by: Actor,
    /// What was found and cleared so far.
    pub progress: ErasureProgress,
    /// The receipt's text, once it is completed.
    pub receipt: Option<String>,
    /// Its signature, once somebody with the key has signed it.
    pub signature: Option<String>,
    /// When it was completed.
    pub completed_at: Option<DateTime<Utc>>,
}

/// What is said of a document that was erased, wherever it is still listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureMark {
    /// The erasure.
    pub erasure: ErasureId,
    /// When it was asked for.
    pub at: DateTime<Utc>,
    /// Why.
    pub reason: String,
}

/// What an erasure found and cleared so far: enough to go on after a crash, and nothing of what was erased but ids and
/// digests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ErasureProgress {
    /// Every document that goes.
    pub documents: Vec<DocumentId>,
    /// Every version that goes.
    pub versions: Vec<ErasedVersion>,
    /// Their collections.
    pub collections: Vec<CollectionId>,
    /// Numbers of their passages.
    pub passages: Vec<i32>,
    /// What was cleared.
    pub places: Vec<ClearedPlace>,
    /// What stays on purpose.
    pub remains: Vec<Remainder>,
}

/// A version that was erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasedVersion {
    /// The version.
    pub id: VersionId,
    /// Its document.
    pub document: DocumentId,
    /// Its number.
    pub number: u32,
    /// SHA-256 of its original.
    pub sha256: Digest,
    /// Bytes of its original.
    pub size: u64,
}

/// A place that was cleared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClearedPlace {
    /// A table, or a part of the store.
    pub place: String,
    /// Rows or files that went, or were rewritten without it.
    pub count: u64,
}

/// Something that stays on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remainder {
    /// Where.
    pub place: String,
    /// How many.
    pub count: u64,
    /// Why, and what of it.
    pub why: String,
}

/// Something that was looked for afterwards and not found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureCheck {
    /// What was looked at.
    pub check: String,
    /// In how many places, or with how many questions.
    pub looked_at: u64,
    /// How often it was found; a receipt is only written with 0.
    pub found: u64,
}

/// The text of a receipt, which is signed as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// `carrel-erasure-receipt/1`.
    pub format: String,
    /// The erasure.
    pub erasure: ErasureId,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// The document that was named.
    pub document: DocumentId,
    /// Every document that went: the named one, and those found inside of it.
    pub documents: Vec<DocumentId>,
    /// Every version that went.
    pub versions: Vec<ErasedVersion>,
    /// Why.
    pub reason: String,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// By whom.
    pub requested_by: Actor,
    /// When it was completed.
    pub completed_at: DateTime<Utc>,
    /// What was cleared.
    pub places: Vec<ClearedPlace>,
    /// What was looked for afterwards.
    pub checks: Vec<ErasureCheck>,
    /// What stays on purpose.
    pub remains: Vec<Remainder>,
    /// The newest seal of the audit trail: number, and SHA-256 of its text.
    pub seal: Option<SealReference>,
}

/// What names a seal of the audit trail, for whoever keeps it elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealReference {
    /// Its number.
    pub number: i64,
    /// SHA-256 of its text.
    pub sha256: Digest,
}

impl Receipt {
    /// Name and number of the format.
    pub const FORMAT: &'static str = "carrel-erasure-receipt/1";
}
