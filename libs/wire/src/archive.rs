//! Collections, documents, versions.

use crate::{ActorBody, DuplicateBody, FixityBody, SpanBody};
use carrel_domain::{CollectionId, DocumentId, JobId, VersionId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A collection to make.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCollectionBody {
    /// Unique in the workspace; 1 to 200 characters.
    #[schema(example = "harbour", min_length = 1, max_length = 200)]
    pub name: String,
    /// Up to 2,000 characters.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: String,
}

/// A collection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CollectionBody {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: CollectionId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Documents in it.
    pub documents: u64,
}

/// The parts of an upload (`multipart/form-data`).
#[derive(Clone, Debug, ToSchema)]
pub struct UploadForm {
    /// The file.
    #[schema(value_type = String, format = Binary)]
    pub file: Vec<u8>,
    /// Your own id for the document; by default the file's name. A new file under the same id is a new version.
    pub external_id: Option<String>,
    /// Title to show instead of the one found inside.
    pub title: Option<String>,
    /// A JSON object of your own fields, for filters.
    #[schema(value_type = Option<String>, example = "{\"case\":\"A-17\"}")]
    pub metadata: Option<String>,
}

/// What became of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UploadOutcome {
    /// The first version of a new document.
    Created,
    /// A further version of a known document.
    Revised,
    /// The newest version has the same bytes already.
    Unchanged,
}

/// The answer to an upload.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UploadBody {
    /// What happened.
    pub outcome: UploadOutcome,
    /// The document.
    #[schema(value_type = Uuid)]
    pub document_id: DocumentId,
    /// The version that holds the bytes.
    #[schema(value_type = Uuid)]
    pub version_id: VersionId,
    /// The job that reads them; absent when nothing needed to be done.
    #[schema(value_type = Option<Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub job_id: Option<JobId>,
    /// SHA-256 of the bytes, in hexadecimal.
    pub sha256: String,
    /// Other documents that hold the same bytes (at most ten).
    #[schema(value_type = Vec<Uuid>)]
    pub same_bytes: Vec<DocumentId>,
}

/// A document.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DocumentBody {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: DocumentId,
    /// Where it lies.
    #[schema(value_type = Uuid)]
    pub collection_id: CollectionId,
    /// The sender's own id.
    pub external_id: String,
    /// Name of the newest file.
    pub name: String,
    /// The sender's own fields.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// When the first version came.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// The version that search answers from; absent until one is searchable.
    #[schema(value_type = Option<Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub current_version_id: Option<VersionId>,
    /// Number of versions.
    pub versions: u32,
    /// The newest version.
    pub latest: VersionBody,
    /// Documents with the same bytes or nearly the same words (at most ten); only where a document is shown by itself.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub duplicates: Vec<DuplicateBody>,
}

/// One immutable version of a document.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VersionBody {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: VersionId,
    /// The document.
    #[schema(value_type = Uuid)]
    pub document_id: DocumentId,
    /// From 1, in order of arrival.
    pub number: u32,
    /// Name of the file as it came.
    pub file_name: String,
    /// Title given at upload, or found inside.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    /// What the content was found to be; before that, what the sender declared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub media_type: Option<String>,
    /// Language of the text (ISO 639).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub language: Option<String>,
    /// Code points of the text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub characters: Option<u32>,
    /// Bytes of the original.
    pub size: u64,
    /// SHA-256 of the original, in hexadecimal.
    pub sha256: String,
    /// BLAKE3 of the original, in hexadecimal.
    pub blake3: String,
    /// `received`, `extracted`, `searchable` or `failed`; `quarantined` while screening holds it, `rejected` when a
    /// reviewer keeps it out.
    #[schema(example = "searchable")]
    pub state: String,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<FailureBody>,
    /// What extraction lost or repaired.
    pub warnings: Vec<String>,
    /// What screening decided; absent before it has looked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub screening: Option<ScreeningNoteBody>,
    /// What the last check of the original found; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fixity: Option<FixityBody>,
    /// When it came.
    pub created_at: DateTime<Utc>,
    /// Who brought it; absent in answers of servers that do not tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created_by: Option<ActorBody>,
    /// How it came; absent in answers of servers that do not tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<OriginBody>,
    /// Documents that were found inside of it and are documents of their own: members of an archive, attachments.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub members: Option<u32>,
}

/// How a version came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OriginBody {
    /// `upload`; `member` when it was found inside of another version (an archive, a mail); `restore` when an earlier
    /// version was brought back.
    #[schema(example = "upload")]
    pub kind: String,
    /// The version inside of which it was found, or that was brought back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Uuid>)]
    pub version_id: Option<VersionId>,
}

/// What screening decided about a version, in short; the document's `screening` has the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScreeningNoteBody {
    /// `clean`, `allowed`, `masked` or `held`.
    pub verdict: String,
    /// What was found, in number.
    pub findings: u32,
    /// `released` or `rejected`, once a reviewer has decided.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub review: Option<String>,
}

/// A version with the document that it belongs to.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VersionPageBody {
    /// The version.
    pub version: VersionBody,
    /// The document.
    pub document: DocumentBody,
}

/// A reason with its stable code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureBody {
    /// Stable code.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A part of a version's text.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TextBody {
    /// The version.
    #[schema(value_type = Uuid)]
    pub version_id: VersionId,
    /// Where the part stands.
    pub span: SpanBody,
    /// Code points of the whole text.
    pub characters: u32,
    /// The part.
    pub text: String,
}
