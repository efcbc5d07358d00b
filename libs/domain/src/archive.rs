//! Collections, documents and their versions, as every layer sees them.

use crate::access::Actor;
use crate::digest::{Digest, Digests};
use crate::ids::{CollectionId, DocumentId, VersionId};
use crate::text::Language;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A named set of documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// Its id.
    pub id: CollectionId,
    /// Unique in the workspace.
    pub name: String,
    /// Free text.
    pub description: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Documents in it.
    pub documents: u64,
}

/// How far a version has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum VersionState {
    /// The original is stored; nothing is derived yet.
    Received,
    /// The rendition exists; it is not searchable yet.
    Extracted,
    /// Search answers from it, or did until a newer version took its place.
    Searchable,
    /// It could not be read.
    Failed {
        /// Stable reason.
        code: String,
        /// In plain words.
        message: String,
    },
    /// Screening holds it: nothing of it can be read until a reviewer has decided.
    Quarantined,
    /// A reviewer keeps it out.
    Rejected {
        /// The reviewer's words.
        reason: String,
    },
}

impl DocumentVersion {
    /// True when the original holds something that the text does not show, or may: screening has hidden or held
    /// something, or has not looked yet. What could not be read cannot be screened and is no secret by that.
    pub fn is_veiled(&self) -> bool {
        match self.state {
            VersionState::Received | VersionState::Quarantined | VersionState::Rejected { .. } => true,
            VersionState::Extracted | VersionState::Searchable | VersionState::Failed { .. } => {
                self.screening.as_ref().is_some_and(|note| note.verdict == "masked" || note.verdict == "held")
            }
        }
    }
}

impl VersionState {
    /// The name on the wire and in SQL.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Extracted => "extracted",
            Self::Searchable => "searchable",
            Self::Failed { .. } => "failed",
            Self::Quarantined => "quarantined",
            Self::Rejected { .. } => "rejected",
        }
    }
}

/// What screening decided about a version, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScreeningNote {
    /// `clean`, `allowed`, `masked` or `held`.
    pub verdict: String,
    /// What was found, in number.
    pub findings: u32,
    /// `released` or `rejected`, once a reviewer has decided.
    pub review: Option<String>,
}

/// One immutable version of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentVersion {
    /// Its id.
    pub id: VersionId,
    /// The document.
    pub document: DocumentId,
    /// From 1, in order of arrival.
    pub number: u32,
    /// Name of the file as it came.
    pub file_name: String,
    /// Title given at upload, or found in the document.
    pub title: Option<String>,
    /// Media type: what the content was found to be, or before that what the sender declared.
    pub media_type: Option<String>,
    /// Language of the rendition.
    pub language: Option<Language>,
    /// Code points of the rendition.
    pub characters: Option<u32>,
    /// Bytes of the original.
    pub size: u64,
    /// Digests of the original.
    pub digests: Digests,
    /// How far it has come.
    pub state: VersionState,
    /// What extraction lost or repaired.
    pub warnings: Vec<String>,
    /// What screening decided; `None` before it has looked.
    pub screening: Option<ScreeningNote>,
    /// What the last fixity check of the original found; `None` before the first.
    pub fixity: Option<Fixity>,
    /// When it came.
    pub created_at: DateTime<Utc>,
    /// Who brought it.
    pub created_by: Actor,
    /// How it came.
    pub origin: Origin,
    /// Documents that were found inside of it; `None` before it was read, and when it can hold none.
    pub members: Option<u32>,
}

/// How a version came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Somebody sent it.
    Upload,
    /// It was found inside of this version: a member of an archive, an attachment of a mail.
    Member(VersionId),
    /// It was brought back: the bytes are those of this earlier version.
    Restore(VersionId),
}

impl Origin {
    /// The name in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Member(_) => "member",
            Self::Restore(_) => "restore",
        }
    }

    /// The version that it came from.
    pub fn version(self) -> Option<VersionId> {
        match self {
            Self::Upload => None,
            Self::Member(version) | Self::Restore(version) => Some(version),
        }
    }

    /// What [`as_str`](Self::as_str) and [`version`](Self::version) say together.
    pub fn parse(name: &str, version: Option<VersionId>) -> Option<Self> {
        match (name, version) {
            ("upload", None) => Some(Self::Upload),
            ("member", Some(version)) => Some(Self::Member(version)),
            ("restore", Some(version)) => Some(Self::Restore(version)),
            _ => None,
        }
    }
}

/// A document with its current version.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its id.
    pub id: DocumentId,
    /// Where it lies.
    pub collection: CollectionId,
    /// The sender's own id for it, by default the file's name; a new file under the same one is a new version.
    pub external_id: String,
    /// Name shown to people.
    pub name: String,
    /// Free fields, for filters.
    pub metadata: Map<String, Value>,
    /// When the first version came.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// The version that search answers from; `None` until one is searchable.
    pub current: Option<VersionId>,
    /// The newest version, whatever its state.
    pub latest: DocumentVersion,
    /// Number of versions.
    pub versions: u32,
}

/// Whether the stored bytes of an original are still those that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Size and both digests are right.
    Sound,
    /// They are there and differ, or cannot be read.
    Damaged,
    /// They are not there.
    Missing,
}

impl Verdict {
    /// The name on the wire and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Damaged => "damaged",
            Self::Missing => "missing",
        }
    }

    /// The verdict of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Sound, Self::Damaged, Self::Missing].into_iter().find(|verdict| verdict.as_str() == text)
    }
}

/// What a fixity check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixity {
    /// The finding.
    pub verdict: Verdict,
    /// What was found instead, in plain words.
    pub problem: Option<String>,
    /// When it was last looked at.
    pub checked_at: DateTime<Utc>,
    /// Since when it is not sound.
    pub damaged_since: Option<DateTime<Utc>>,
}

/// The original of a version in the object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// Content address.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
    /// Media type to send it with.
    pub media_type: Option<String>,
    /// Name to offer for saving.
    pub file_name: String,
}
