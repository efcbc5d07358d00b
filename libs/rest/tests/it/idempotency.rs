//! `Idempotency-Key`: twice sent, once done.

use crate::files;
use carrel_domain::Scopes;
use carrel_testkit::{Client, TestApp, problem, until};
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

/// Stands in the way of every operation just before its commit, until it is dropped.
async fn barrier(app: &TestApp) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut transaction = app.database.owner.begin().await.unwrap();
    sqlx::query("lock table carrel.audit_entry in exclusive mode").execute(&mut *transaction).await.unwrap();
    transaction
}

/// Waits until some operation stands at the barrier; answers its backend.
async fn blocked(app: &TestApp) -> i64 {
    let sql = "select coalesce(max(pid), 0)::bigint from pg_stat_activity
               where datname = current_database() and wait_event_type = 'Lock' and query ilike '%audit_entry%'";
    until("an operation waits before its commit", async || Some(app.database.number(sql).await).filter(|pid| *pid > 0))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_at_the_same_moment_is_told_to_wait() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let body = json!({ "name": "harbour" });
    let barrier = barrier(&app).await;
    let first = {
        let (client, body) = (client.clone(), body.clone());
        tokio::spawn(async move { post(&client, "/api/v1/collections", "k", &body).await })
    };
    blocked(&app).await;
    let second = post(&client, "/api/v1/collections", "k", &body).await;
    assert!(problem(second, 409, "idempotency_in_progress").await.retryable);
    // A key that nobody uses is not held up by one that somebody does.
    let other = post(&client, "/api/v1/search", "k2", &json!({ "query": "gate", "mode": "lexical" })).await;
    assert_eq!(other.status(), 200);
    barrier.rollback().await.unwrap();
    same(first.await.unwrap(), post(&client, "/api/v1/collections", "k", &body).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_dies_leaves_neither_its_effect_nor_its_key() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    // Jobs write entries of their own.
    let before = app.database.number("select count(*) from carrel.audit_entry where actor ->> 'kind' = 'client'").await;
    for (number, kind) in ["collection", "document", "question"].into_iter().enumerate() {
        let attempt = || {
            let client = client.clone();
            async move {
                match kind {
                    "collection" => post(&client, "/api/v1/collections", "c", &json!({ "name": "quay" })).await,
                    "document" => send(&client, collection, "d", files::TEXT).await,
                    _ => post(&client, "/api/v1/research", "q", &json!({ "question": "How much silt?" })).await,
                }
            }
        };
        let barrier = barrier(&app).await;
        let dying = tokio::spawn(attempt());
        let backend = blocked(&app).await;
        sqlx::query("select pg_terminate_backend($1::int)")
            .bind(i32::try_from(backend).unwrap())
            .execute(&app.database.owner)
            .await
            .unwrap();
        let answer = dying.await.unwrap();
        assert!(answer.status().is_server_error(), "{kind}: {}", answer.status());
        barrier.rollback().await.unwrap();
        let sql = "select (select count(*) from carrel.idempotency) * 1000
                          + (select count(*) from carrel.audit_entry where actor ->> 'kind' = 'client')";
        let expected = before + i64::try_from(number).unwrap() * 1001;
        assert_eq!(app.database.number(sql).await, expected, "{kind}: nothing of it is left");
        same(attempt().await, attempt().await).await;
        // So that only the next request waits for the barrier.
        app.idle().await;
    }
    for sql in [
        "select count(*) from carrel.collection where name = 'quay'",
        "select count(*) from carrel.document_version",
        "select count(*) from carrel.research_run",
    ] {
        assert_eq!(app.database.number(sql).await, 1, "{sql}");
    }
    // There is never an effect whose reply is still to be written.
    assert_eq!(app.database.number("select count(*) from carrel.idempotency where reply is null").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_one_value_quoted_or_not_and_lasts_a_day() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let body = json!({ "name": "harbour" });
    // The draft has a quoted string; most clients send the bare key.
    same(
        post(&client, "/api/v1/collections", "\"8e03978e-40d5\"", &body).await,
        post(&client, "/api/v1/collections", "8e03978e-40d5", &body).await,
    )
    .await;
    let twice = client
        .request(Method::POST, "/api/v1/collections")
        .header("idempotency-key", "a")
        .header("idempotency-key", "b")
        .json(&json!({ "name": "quay" }));
    problem(twice.send().await.unwrap(), 400, "invalid_parameter").await;
    sqlx::query("update carrel.idempotency set created_at = created_at - interval '25 hours'")
        .execute(&app.database.owner)
        .await
        .unwrap();
    problem(post(&client, "/api/v1/collections", "8e03978e-40d5", &body).await, 409, "name_taken").await;
    let fresh = post(&client, "/api/v1/collections", "other", &json!({ "name": "mole" })).await;
    assert_eq!(fresh.status(), 201);
    assert_eq!(app.database.number("select count(*) from carrel.idempotency").await, 1, "what is old is forgotten");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_cancelled_and_retried_once() {
    let app = TestApp::start_with(carrel_testkit::Setup { jobs: 0, ..Default::default() }).await;
    app.expect_unfinished();
    let client = app.client(Scopes::all()).await;
    let run = client.ask("When does the gate close?").await;
    let job = client.run(run).await.run.job_id;
    let empty = json!({});
    let cancel = format!("/api/v1/jobs/{job}/cancel");
    let (first, second) = (post(&client, &cancel, "k", &empty).await, post(&client, &cancel, "k", &empty).await);
    assert_eq!((first.status(), second.status()), (202.try_into().unwrap(), 202.try_into().unwrap()));
    assert_eq!(second.headers()["idempotent-replayed"], "true");
    assert_eq!(second.text().await.unwrap(), first.text().await.unwrap());
    problem(post(&client, &cancel, "l", &empty).await, 409, "job_state").await;
    let retry = format!("/api/v1/jobs/{job}/retry");
    problem(post(&client, &retry, "k", &empty).await, 422, "idempotency_mismatch").await;
    same(post(&client, &retry, "m", &empty).await, post(&client, &retry, "m", &empty).await).await;
    assert_eq!(app.database.number("select count(*) from carrel.job").await, 2);
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
