//! Questions and their reports.

use crate::files;
use carrel_domain::Scopes;
use carrel_testkit::{TestApp, problem, until};
use carrel_wire::{TextBody, VerificationBody};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_quote_of_a_report_stands_in_its_version() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    for (name, text) in [("gate.md", files::MARKDOWN), ("pilots.html", files::HTML), ("minutes.txt", files::TEXT)] {
        client.upload(collection, name, text).await;
    }
    app.idle().await;
    let id = client.ask("How fast must the lock gate close, and who decided it?").await;
    app.idle().await;
    let run = client.run(id).await;
    assert_eq!(run.run.state, "completed");
    assert!(!run.plan.is_empty() && run.plan.iter().all(|step| step.completed));
    let citations: Vec<_> = run.claims.iter().flat_map(|claim| &claim.citations).collect();
    assert!(!citations.is_empty());
    assert!(run.claims.iter().all(|claim| !claim.citations.is_empty()), "a claim without a quote");
    for citation in &citations {
        let (start, end) = (citation.span.start, citation.span.end);
        let path = format!("/api/v1/versions/{}/text?start={start}&end={end}", citation.version_id);
        let text: TextBody = client.read(&path).await;
        assert_eq!(text.text, citation.quote);
    }
    assert!(citations.iter().any(|citation| citation.quote.contains("gate")), "{citations:#?}");
    let numbers: Vec<u32> = citations.iter().map(|citation| citation.number).collect();
    assert_eq!(numbers, (1..=u32::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());

    let report = client.get(&format!("/api/v1/research/{id}/report.md")).await;
    assert_eq!(report.headers()["content-type"], "text/markdown; charset=utf-8");
    let report = report.text().await.unwrap();
    assert!(report.contains(&citations[0].document_name), "{report}");
    assert_eq!(run.report.as_deref(), Some(report.as_str()));
    let checked: VerificationBody = client.read(&format!("/api/v1/research/{id}/verification")).await;
    let all = citations.len() as u64;
    assert_eq!((checked.citations, checked.exact, checked.deleted), (all, all, 0));

    // A report outlives what it cites, and says so.
    client.delete(&format!("/api/v1/collections/{collection}")).await;
    app.idle().await;
    let checked: VerificationBody = client.read(&format!("/api/v1/research/{id}/verification")).await;
    assert_eq!((checked.citations, checked.exact, checked.deleted), (all, 0, all));
    assert_eq!(client.get(&format!("/api/v1/research/{id}/report.json")).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_without_evidence_is_not_answered() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let id = client.ask("Who painted the ceiling of the chapel?").await;
    app.idle().await;
    let run = client.run(id).await;
    assert_eq!(run.run.state, "abstained");
    assert!(run.claims.is_empty());
    assert!(!run.searched.questions.is_empty());
    assert!(!run.report.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn naming_a_collection_twice_is_naming_it() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    client.upload(collection, "gate.md", files::MARKDOWN).await;
    app.idle().await;
    let twice = [collection, collection];
    let answer = client.post("/api/v1/search", &json!({ "query": "lock gate", "collections": twice })).await;
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    let question = json!({ "question": "When does the lock gate close?", "collections": twice });
    let run: Value = client.post("/api/v1/research", &question).await.json().await.unwrap();
    app.idle().await;
    assert_eq!(client.run(run["id"].as_str().unwrap().parse().unwrap()).await.run.state, "completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_does_not_stand_yet_says_so() {
    let app = TestApp::start_with(carrel_testkit::Setup { jobs: 0, ..Default::default() }).await;
    let client = app.client(Scopes::all()).await;
    let id = client.ask("When does the gate close?").await;
    for format in ["md", "json"] {
        let refused =
            problem(client.get(&format!("/api/v1/research/{id}/report.{format}")).await, 404, "not_ready_yet").await;
        assert!(refused.retryable);
    }
    let collection = client.collection("harbour").await;
    let uploaded = client.upload(collection, "gate.md", files::MARKDOWN).await;
    problem(client.get(&format!("/api/v1/versions/{}/text", uploaded.version_id)).await, 404, "not_ready_yet").await;
    app.expect_unfinished();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_explained_cancelled_and_retried() {
    let app = TestApp::start_with(carrel_testkit::Setup { jobs: 0, ..Default::default() }).await;
    let client = app.client(Scopes::all()).await;
    let id = client.ask("When does the gate close?").await;
    let run = client.run(id).await;
    let path = format!("/api/v1/jobs/{}", run.run.job_id);
    let job: Value = client.read(&path).await;
    assert_eq!((&job["kind"], &job["state"]), (&json!("research.plan"), &json!("available")));
    assert_eq!(job["waits"][0]["reason"], "no_worker_for_queue");

    let cancelled = client.post(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!(cancelled.status(), 202);
    problem(client.post(&format!("{path}/cancel"), &json!({})).await, 409, "job_state").await;
    until("the run is cancelled", async || (client.run(id).await.run.state == "cancelled").then_some(())).await;
    let listed: Value = client.read("/api/v1/jobs?state=cancelled&kind=research.plan").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);

    let retried = client.post(&format!("{path}/retry"), &json!({})).await;
    assert_eq!(retried.status(), 202);
    let retried: Value = retried.json().await.unwrap();
    let replay: Value = client.read(&format!("/api/v1/jobs/{}", retried["job_id"].as_str().unwrap())).await;
    assert_eq!(replay["replay_of"], json!(run.run.job_id));
    app.expect_unfinished();
}
