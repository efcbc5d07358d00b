//! Examples of questions and reports.

use super::{QUESTION, TEXT, at, id, span};
use carrel_domain::{CitationId, ClaimId, RunId, StepId};
use carrel_wire::{CitationBody, ClaimBody, RunBody, RunEventBody, RunPageBody, SearchedBody, StepBody};
use serde_json::json;

pub(super) fn run() -> RunBody {
    RunBody {
        id: id::<RunId>(5),
        question: QUESTION.to_owned(),
        collections: vec![id(1)],
        baseline: None,
        as_of: None,
        state: "completed".to_owned(),
        failure: None,
        engine: carrel_research::ENGINE.to_owned(),
        job_id: id(4),
        created_at: at(60),
        finished_at: Some(at(62)),
    }
}

pub(super) fn run_page() -> RunPageBody {
    let citation = CitationBody {
        id: id::<CitationId>(8),
        number: 1,
        document_id: id(2),
        document_name: "gate-manual.pdf".to_owned(),
        version_id: id(3),
        version_number: 1,
        span: span(),
        page: Some(3),
        quote: TEXT.to_owned(),
        prefix: "4.2 Closing. ".to_owned(),
        suffix: " Whoever is on watch".to_owned(),
    };
    let claim = ClaimBody {
        id: id::<ClaimId>(7),
        step_id: id::<StepId>(6),
        text: TEXT.to_owned(),
        score: 0.75,
        citations: vec![citation],
    };
    RunPageBody {
        run: run(),
        plan: vec![StepBody { id: id(6), ordinal: 0, question: QUESTION.to_owned(), completed: true }],
        claims: vec![claim],
        outdated: Vec::new(),
        searched: SearchedBody { documents: 24, passages: 30, sentences: 122, questions: vec![QUESTION.to_owned()] },
        report: Some(report()),
    }
}

pub(super) fn report() -> String {
    format!("# {QUESTION}\n\n{TEXT} [1]\n\n## Sources\n\n1. gate-manual.pdf, version 1, page 3: “{TEXT}”\n")
}

pub(super) fn event() -> RunEventBody {
    RunEventBody { seq: 1, at: at(60), kind: "asked".to_owned(), payload: json!({ "question": QUESTION }) }
}
