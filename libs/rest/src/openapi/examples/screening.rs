//! Examples of screening.

use super::{at, id};
use carrel_wire::{
    ActionBody, CollectionScreeningBody, DocumentScreeningBody, FindingBody, KindCountBody, PolicyBody,
    ScreenedDocumentBody, SpanBody,
};

pub(super) fn policy() -> PolicyBody {
    let categories = [
        ("contact", ActionBody::Allow),
        ("credential", ActionBody::Hold),
        ("financial", ActionBody::Mask),
        ("national_id", ActionBody::Mask),
        ("password_hash", ActionBody::Mask),
    ];
    PolicyBody {
        categories: categories.into_iter().map(|(name, action)| (name.to_owned(), action)).collect(),
        kinds: [("phone".to_owned(), ActionBody::Mask)].into(),
        min_confidence: None,
    }
}

fn kind_count() -> KindCountBody {
    KindCountBody {
        kind: "iban".to_owned(),
        category: "financial".to_owned(),
        severity: "high".to_owned(),
        action: "mask".to_owned(),
        count: 2,
        validated: 2,
        values: 1,
    }
}

pub(super) fn document_screening() -> DocumentScreeningBody {
    DocumentScreeningBody {
        document_id: id(2),
        version_id: id(3),
        name: "gate-manual.pdf".to_owned(),
        state: "searchable".to_owned(),
        verdict: "masked".to_owned(),
        screened_at: at(12),
        policy: policy(),
        kinds: vec![kind_count()],
        total: 2,
        findings: vec![FindingBody {
            ordinal: 0,
            place: "text".to_owned(),
            kind: "iban".to_owned(),
            category: "financial".to_owned(),
            severity: "high".to_owned(),
            action: "mask".to_owned(),
            confidence: 95,
            validated: true,
            span: SpanBody { start: 310, end: 337 },
            mask: "DE•• •••• •••• •••• •••• 00".to_owned(),
            digest: Some("5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef".to_owned()),
        }],
        next_first: None,
        review: None,
        dataset: None,
        dataset_problem: None,
        breaches: None,
    }
}

pub(super) fn collection_screening() -> CollectionScreeningBody {
    CollectionScreeningBody {
        collection_id: id(1),
        name: "harbour".to_owned(),
        documents: 24,
        verdicts: [("clean".to_owned(), 21), ("masked".to_owned(), 3)].into(),
        kinds: vec![kind_count()],
        items: vec![ScreenedDocumentBody {
            document_id: id(2),
            version_id: id(3),
            name: "gate-manual.pdf".to_owned(),
            state: "searchable".to_owned(),
            verdict: Some("masked".to_owned()),
            findings: 2,
            kinds: vec![kind_count()],
        }],
        next_cursor: None,
    }
}
