//! Server-sent events of a research run.

use crate::files;
use carrel_domain::Scopes;
use carrel_testkit::{Client, TestApp, events, problem};
use carrel_wire::RunEventBody;
use reqwest::Method;
use std::time::Duration;
use uuid::Uuid;

/// Everything until the stream ends.
async fn watch(client: &Client, run: Uuid, last: Option<&str>) -> Vec<carrel_testkit::Event> {
    let mut request = client.request(Method::GET, &format!("/api/v1/research/{run}/events"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let answer = request.timeout(Duration::from_secs(30)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    events(&answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_told_from_its_question_to_its_end() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    client.upload(collection, "gate.md", files::MARKDOWN).await;
    app.idle().await;
    let run = client.ask("How fast must the lock gate close, and who decided it?").await;
    // Watched while it works; the stream ends with the run.
    let all = watch(&client, run, None).await;
    let kinds: Vec<&str> = all.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(kinds[..2], ["asked", "planned"], "{kinds:?}");
    assert_eq!(kinds.last(), Some(&"completed"), "{kinds:?}");
    assert!(kinds.contains(&"step_completed") && kinds.contains(&"claim"), "{kinds:?}");
    let mut last = 0;
    for event in &all {
        let body: RunEventBody = serde_json::from_str(&event.data).unwrap();
        assert_eq!((body.seq.to_string(), body.kind.as_str()), (event.id.clone(), event.event.as_str()));
        assert!(body.seq > last, "events come in their order");
        last = body.seq;
    }
    app.idle().await;

    // Whoever lost the connection continues where it was lost.
    for seen in 0..all.len() {
        assert_eq!(watch(&client, run, Some(&all[seen].id)).await, all[seen + 1..], "after event {seen}");
    }
    assert_eq!(watch(&client, run, None).await, all);
    assert_eq!(watch(&client, run, Some("nonsense")).await, all);
    assert!(watch(&client, run, Some("9223372036854775807")).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_run_ends_its_stream() {
    let app = TestApp::start_with(carrel_testkit::Setup { jobs: 0, ..Default::default() }).await;
    let client = app.client(Scopes::all()).await;
    let run = client.ask("When does the gate close?").await;
    let watching = {
        let client = client.clone();
        tokio::spawn(async move { watch(&client, run, None).await })
    };
    let job = client.run(run).await.run.job_id;
    let cancelled = client.request(Method::POST, &format!("/api/v1/jobs/{job}/cancel")).send().await.unwrap();
    assert_eq!(cancelled.status(), 202);
    let told = watching.await.unwrap();
    assert_eq!(told.last().unwrap().event, "cancelled");
    problem(client.get(&format!("/api/v1/research/{}/events", Uuid::now_v7())).await, 404, "not_found").await;
}
