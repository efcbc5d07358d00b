//! The audit trail, custody events, legal holds and erasures.

use carrel_domain::custody::CustodyKind;
use carrel_domain::{CollectionId, CustodyEventId, DocumentId, ErasureId, HoldId, JobId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ActorBody {
    /// A program with credentials.
    Client {
        /// Its id.
        id: Uuid,
    },
    /// A job, on behalf of whoever asked for it.
    Job {
        /// Its id.
        id: Uuid,
    },
    /// The operator at the machine itself.
    Operator,
}

impl From<&carrel_domain::Actor> for ActorBody {
    fn from(actor: &carrel_domain::Actor) -> Self {
        match actor {
            carrel_domain::Actor::Client { id } => Self::Client { id: id.0 },
            carrel_domain::Actor::Job { id } => Self::Job { id: id.0 },
            carrel_domain::Actor::Operator => Self::Operator,
        }
    }
}

/// An entry of the audit trail.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditEntryBody {
    /// Its number.
    pub seq: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    #[schema(value_type = ActorBody)]
    pub actor: Value,
    /// What: the operation's name.
    pub action: String,
    /// To what.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<Uuid>,
    /// In which request, or execution of a job.
    pub request_id: Uuid,
    /// With which particulars.
    #[schema(value_type = Object)]
    pub details: Value,
    /// Its place in the chain; absent until it is sealed, which takes seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub position: Option<i64>,
    /// The signed seal that covers it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seal: Option<i64>,
    /// SHA-256 of its place, its predecessor and itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<String>,
}

/// What happened to the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CustodyKindBody {
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

macro_rules! kinds {
    ($($kind:ident),*) => {
        impl From<CustodyKindBody> for CustodyKind {
            fn from(kind: CustodyKindBody) -> Self {
                match kind { $(CustodyKindBody::$kind => Self::$kind),* }
            }
        }
        impl From<CustodyKind> for CustodyKindBody {
            fn from(kind: CustodyKind) -> Self {
                match kind { $(CustodyKind::$kind => Self::$kind),* }
            }
        }
    };
}
kinds!(Received, Stored, Moved, HandedOver, Returned, Inspected, Copied, Disposed);

/// A scanned label.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanBody {
    /// What the label's code says.
    #[schema(example = "CARREL1:AGL2HQS7CB6EJGSRAAAAAAAAAIAQCAIBAEAQCAIBAEAQC")]
    pub code: String,
    /// What happened.
    pub event: CustodyKindBody,
    /// Where, up to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub place: Option<String>,
    /// What else is to be said, up to 2,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000)]
    pub note: Option<String>,
}

/// A custody event.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CustodyEventBody {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: CustodyEventId,
    /// Whose label was scanned.
    #[schema(value_type = Uuid)]
    pub document_id: DocumentId,
    /// What happened.
    pub event: CustodyKindBody,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What else is to be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
    /// Who scanned.
    pub by: ActorBody,
}

/// A scan that was recorded, with what the label belongs to.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ScannedBody {
    /// What was recorded.
    pub event: CustodyEventBody,
    /// Name of the document.
    pub document_name: String,
    /// SHA-256 of its newest version, to compare with the label.
    pub sha256: String,
}

/// A legal hold to place: on a document or on a collection.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHoldBody {
    /// The document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    pub document_id: Option<DocumentId>,
    /// Or the collection, with all that is in it or comes into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    pub collection_id: Option<CollectionId>,
    /// Why; 1 to 2,000 characters.
    #[schema(min_length = 1, max_length = 2000)]
    pub reason: String,
}

/// Why something is done.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonBody {
    /// 1 to 2,000 characters.
    #[schema(min_length = 1, max_length = 2000)]
    pub reason: String,
}

/// A legal hold.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HoldBody {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: HoldId,
    /// The document that it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    pub document_id: Option<DocumentId>,
    /// The collection that it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    pub collection_id: Option<CollectionId>,
    /// Why.
    pub reason: String,
    /// Since when.
    pub placed_at: DateTime<Utc>,
    /// By whom.
    pub placed_by: ActorBody,
    /// When it ended; absent while it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_at: Option<DateTime<Utc>>,
    /// Who released it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_by: Option<ActorBody>,
    /// Why it was released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_reason: Option<String>,
}

/// An erasure.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErasureBody {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: ErasureId,
    /// The document that was named.
    #[schema(value_type = Uuid)]
    pub document_id: DocumentId,
    /// Every document that goes: the named one and those found inside of it.
    #[schema(value_type = Vec<Uuid>)]
    pub documents: Vec<DocumentId>,
    /// Why.
    pub reason: String,
    /// `requested`, `clearing` or `completed`.
    pub state: String,
    /// The job that does it.
    #[schema(value_type = Uuid)]
    pub job_id: JobId,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// By whom.
    pub requested_by: ActorBody,
    /// When it was completed; then `/receipt` has the proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<DateTime<Utc>>,
}
