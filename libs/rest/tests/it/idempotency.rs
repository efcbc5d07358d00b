//! `Idempotency-Key`: twice sent, once done.

use crate::files;
use carrel_domain::Scopes;
use carrel_testkit::{Client, TestApp, problem};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use uuid::Uuid;

async fn post(client: &Client, path: &str, key: &str, body: &Value) -> Response {
    client.request(Method::POST, path).header("idempotency-key", key).json(body).send().await.unwrap()
}

async fn send(client: &Client, collection: Uuid, key: &str, text: &'static str) -> Response {
    let form = Form::new().part("file", Part::bytes(text.as_bytes()).file_name("a.txt"));
    let path = format!("/api/v1/collections/{collection}/documents");
    client.request(Method::POST, &path).header("idempotency-key", key).multipart(form).send().await.unwrap()
}

/// Both answers carry the same status and body; only the second says that it is a repetition.
async fn same(first: Response, second: Response) -> Value {
    assert_eq!(first.status(), second.status());
    assert!(first.status().is_success());
    assert!(!first.headers().contains_key("idempotent-replayed"));
    assert_eq!(second.headers()["idempotent-replayed"], "true");
    let (first, second): (Value, Value) = (first.json().await.unwrap(), second.json().await.unwrap());
    assert_eq!(first, second);
    first
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_is_done_once() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let body = json!({ "name": "harbour", "description": "all about it" });
    let made = same(
        post(&client, "/api/v1/collections", "k1", &body).await,
        post(&client, "/api/v1/collections", "k1", &body).await,
    )
    .await;
    let collection: Uuid = made["id"].as_str().unwrap().parse().unwrap();

    same(send(&client, collection, "k2", files::TEXT).await, send(&client, collection, "k2", files::TEXT).await).await;
    app.idle().await;
    assert_eq!(app.database.number("select count(*) from carrel.document_version").await, 1);

    let question = json!({ "question": "How much silt did the dredger remove?" });
    same(
        post(&client, "/api/v1/research", "k3", &question).await,
        post(&client, "/api/v1/research", "k3", &question).await,
    )
    .await;
    app.idle().await;
    assert_eq!(app.database.number("select count(*) from carrel.research_run").await, 1);
    let staged = std::fs::read_dir(app.store().join("staging")).map_or(0, Iterator::count);
    assert_eq!(staged, 0, "the repetition's bytes are removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_request_under_the_same_key_is_refused() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let made: Value =
        post(&client, "/api/v1/collections", "k", &json!({ "name": "harbour" })).await.json().await.unwrap();
    let collection: Uuid = made["id"].as_str().unwrap().parse().unwrap();
    let other = json!({ "name": "quay" });
    problem(post(&client, "/api/v1/collections", "k", &other).await, 422, "idempotency_mismatch").await;
    problem(send(&client, collection, "k", files::TEXT).await, 422, "idempotency_mismatch").await;
    let question = json!({ "question": "Why?" });
    problem(post(&client, "/api/v1/research", "k", &question).await, 422, "idempotency_mismatch").await;
    assert!(send(&client, collection, "u", files::TEXT).await.status().is_success());
    problem(send(&client, collection, "u", files::HTML).await, 422, "idempotency_mismatch").await;
    app.idle().await;

    // A key belongs to its client.
    let colleague = app.client(Scopes::all()).await;
    assert_eq!(post(&colleague, "/api/v1/collections", "k", &other).await.status(), 201);
    let stranger = app.stranger().await;
    assert_eq!(post(&stranger, "/api/v1/collections", "k", &other).await.status(), 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_gives_its_key_back() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    client.collection("harbour").await;
    let taken = json!({ "name": "harbour" });
    problem(post(&client, "/api/v1/collections", "k", &taken).await, 409, "name_taken").await;
    assert_eq!(post(&client, "/api/v1/collections", "k", &json!({ "name": "quay" })).await.status(), 201);
    for key in ["", "two words", &"k".repeat(256)] {
        problem(post(&client, "/api/v1/collections", key, &taken).await, 422, "invalid_value").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_at_the_same_moment_are_done_once() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let body = json!({ "question": "How much silt was there?" });
    let tries: Vec<_> = (0..8)
        .map(|_| {
            let (client, body) = (client.clone(), body.clone());
            tokio::spawn(async move { post(&client, "/api/v1/research", "k", &body).await })
        })
        .collect();
    for attempt in tries {
        let answer = attempt.await.unwrap();
        if answer.status() != 202 {
            problem(answer, 409, "idempotency_in_progress").await;
        }
    }
    app.idle().await;
    assert_eq!(app.database.number("select count(*) from carrel.research_run").await, 1);
}
