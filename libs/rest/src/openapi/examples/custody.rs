//! Examples of what happened to documents.

use super::{at, id, upload};
use carrel_domain::{CustodyEventId, ErasureId, HoldId};
use carrel_wire::{ActorBody, AuditEntryBody, CustodyEventBody, CustodyKindBody, ErasureBody, HoldBody};
use serde_json::json;
use uuid::Uuid;

pub(super) fn audit_entry() -> AuditEntryBody {
    AuditEntryBody {
        seq: 118,
        at: at(30),
        actor: json!({ "kind": "client", "id": id::<Uuid>(9) }),
        action: "get_original".to_owned(),
        subject: Some(id(3)),
        request_id: id(15),
        details: json!({ "range": "bytes=0-1023" }),
        position: Some(117),
        seal: Some(42),
        digest: Some(upload().sha256),
    }
}

pub(super) fn custody_event() -> CustodyEventBody {
    CustodyEventBody {
        id: id::<CustodyEventId>(16),
        document_id: id(2),
        event: CustodyKindBody::Moved,
        place: Some("Archive, shelf 4".to_owned()),
        note: None,
        at: at(40),
        by: ActorBody::Client { id: id(9) },
    }
}

pub(super) fn hold() -> HoldBody {
    HoldBody {
        id: id::<HoldId>(17),
        document_id: Some(id(2)),
        collection_id: None,
        reason: "Named in the claim of 3 May.".to_owned(),
        placed_at: at(50),
        placed_by: ActorBody::Client { id: id(9) },
        released_at: None,
        released_by: None,
        release_reason: None,
    }
}

pub(super) fn erasure() -> ErasureBody {
    ErasureBody {
        id: id::<ErasureId>(18),
        document_id: id(2),
        documents: vec![id(2)],
        reason: "Asked for by the person it tells of.".to_owned(),
        state: "completed".to_owned(),
        job_id: id(4),
        requested_at: at(70),
        requested_by: ActorBody::Client { id: id(9) },
        completed_at: Some(at(73)),
    }
}
