//! Citations that must be true, and events that nobody may miss.

use crate::archive::{Shelf, noon};
use crate::originals::until_blocked;
use carrel_domain::research::{Citation, Claim, Run, RunState, Searched, Step};
use carrel_domain::search::Filter;
use carrel_domain::{Actor, CitationId, ClaimId, DocumentId, JobId, RunId, Span, StepId, VersionId};
use carrel_storage::{StorageError, research};
use serde_json::json;
use uuid::Uuid;

async fn run_with_step(shelf: &Shelf) -> (RunId, StepId) {
    let run = Run {
        id: RunId(Uuid::now_v7()),
        question: "When?".to_owned(),
        collections: Vec::new(),
        filter: Filter::default(),
        state: RunState::Planning,
        engine: "test".to_owned(),
        job: JobId(Uuid::now_v7()),
        searched: Searched::default(),
        created_at: noon(),
        finished_at: None,
    };
    let step = StepId(Uuid::now_v7());
    let mut tx = shelf.begin().await;
    research::insert_run(&mut tx, &run, &Actor::Operator).await.unwrap();
    let steps = [Step { id: step, ordinal: 0, question: "When?".to_owned(), completed: false }];
    research::insert_steps(&mut tx, run.id, &steps).await.unwrap();
    tx.commit().await.unwrap();
    (run.id, step)
}

fn claim(step: StepId, version: VersionId, (start, end): (u32, u32), quote: &str) -> Claim {
    let citation = Citation {
        id: CitationId(Uuid::now_v7()),
        number: 1,
        document: DocumentId(Uuid::now_v7()),
        document_name: "gate".to_owned(),
        version,
        version_number: 1,
        span: Span::new(start, end).unwrap(),
        page: None,
        quote: quote.to_owned(),
        prefix: String::new(),
        suffix: String::new(),
    };
    Claim {
        id: ClaimId(Uuid::now_v7()),
        step,
        ordinal: 0,
        text: quote.to_owned(),
        score: 1.0,
        citations: vec![citation],
    }
}

async fn store(shelf: &Shelf, run: RunId, claim: Claim) -> Result<(), StorageError> {
    let mut tx = shelf.begin().await;
    research::insert_claims(&mut tx, run, &[claim]).await?;
    tx.commit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quote_that_does_not_stand_there_cannot_be_stored() {
    let shelf = Shelf::new().await;
    let text = "Das Tor schließt 😀 in neunzig Sekunden.";
    let version = shelf.extract("gate", text).await;
    let (run, step) = run_with_step(&shelf).await;
    for (span, quote) in [
        ((0, 7), "das Tor"),
        ((1, 8), "Das Tor"),
        ((0, 7), "Das Tor "),
        ((0, 8), "Das Tor"),
        ((8, 16), "schliesst"),
        ((8, 16), "schlie\u{df}t "),
        ((100, 107), "Das Tor"),
        ((30, 100), "in neunzig Sekunden."),
    ] {
        let error = store(&shelf, run, claim(step, version, span, quote)).await.expect_err(quote);
        // A quote that is cut at the text's end would name a span that is not there.
        assert!(error.is_constraint("citation_quote_verified"), "{span:?} {quote}: {error:?}");
    }
    let nowhere = VersionId(Uuid::now_v7());
    let error = store(&shelf, run, claim(step, nowhere, (0, 7), "Das Tor")).await.unwrap_err();
    assert!(error.is_constraint("citation_quote_verified"), "{error:?}");
    store(&shelf, run, claim(step, version, (8, 18), "schließt 😀")).await.unwrap();
    let mut tx = shelf.begin().await;
    let checked = research::verify(&mut tx, run).await.unwrap();
    assert_eq!((checked.citations, checked.exact, checked.deleted), (1, 1, 0));
    // Nor can a stored one be bent, not even by the owner.
    let bent = sqlx::query("update carrel.research_citation set quote = 'forged'").execute(&shelf.database.owner).await;
    assert_eq!(bent.unwrap_err().as_database_error().unwrap().constraint(), Some("citation_quote_verified"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_workspaces_version_cannot_be_cited() {
    let shelf = Shelf::new().await;
    let version = shelf.extract("gate", "The gate closes.").await;
    let other = shelf.database.workspace().await;
    let stranger = Shelf { workspace: other, ..shelf };
    let (run, step) = run_with_step(&stranger).await;
    let error = store(&stranger, run, claim(step, version, (0, 8), "The gate")).await.unwrap_err();
    assert!(error.is_constraint("citation_quote_verified"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_become_visible_in_the_order_of_their_numbers() {
    let shelf = Shelf::new().await;
    let (run, _) = run_with_step(&shelf).await;
    let mut first = shelf.begin().await;
    research::announce(&mut first, run, "first", json!({})).await.unwrap();
    let mut second = shelf.begin().await;
    let announcing = tokio::spawn(async move {
        research::announce(&mut second, run, "second", json!({})).await.unwrap();
        second.commit().await.unwrap();
    });
    // Were it not for the wait, a watcher would see the second and never ask for the first again.
    until_blocked(&shelf).await;
    first.commit().await.unwrap();
    announcing.await.unwrap();
    let mut tx = shelf.begin().await;
    let kinds: Vec<String> =
        research::events(&mut tx, run, 0).await.unwrap().into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["first", "second"]);
}
