//! What goes wrong around the handlers: time limits, panics, connections that break. Answers are problems all the same.

use crate::files;
use carrel_domain::Scopes;
use carrel_rest::{HttpLimits, Readiness, ReadinessReport};
use carrel_testkit::{TestApp, problem, until};
use futures::StreamExt;
use reqwest::{Body, Method};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn staged(app: &TestApp) -> usize {
    std::fs::read_dir(app.store().join("staging")).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_takes_too_long_is_given_up_and_undone() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let limits = HttpLimits { request: Duration::from_millis(300), ..HttpLimits::default() };
    let hurried = client.at(&app.serve_with(|api| api.limits = limits).await);
    let mut barrier = app.database.owner.begin().await.unwrap();
    sqlx::query("lock table carrel.audit_entry in exclusive mode").execute(&mut *barrier).await.unwrap();
    let body = json!({ "name": "harbour" });
    let answer = hurried.post("/api/v1/collections", &body).await;
    assert_eq!(answer.headers()["retry-after"], "2");
    let refused = problem(answer, 504, "timed_out").await;
    assert!(refused.detail.contains("0.3 s"), "{}", refused.detail);
    let gone = hurried.delete(&format!("/api/v1/collections/{}", uuid::Uuid::now_v7())).await;
    problem(gone, 404, "not_found").await;
    barrier.rollback().await.unwrap();
    let page: Value = client.read("/api/v1/collections").await;
    assert_eq!(page["items"], json!([]), "what it had begun is rolled back");
    assert_eq!(hurried.post("/api/v1/collections", &body).await.status(), 201);
}

/// The beginning of an upload whose file has come completely.
fn begun(text: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n{text}\r\n--b\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_stalls_is_given_up_and_leaves_nothing() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let limits = HttpLimits { upload: Duration::from_millis(500), ..HttpLimits::default() };
    let hurried = client.at(&app.serve_with(|api| api.limits = limits).await);
    let path = format!("/api/v1/collections/{collection}/documents");
    for text in ["The dredger came late.".to_owned(), "The dredger came late. ".repeat(100_000)] {
        let first = futures::stream::iter([Ok::<_, std::io::Error>(begun(&text))]);
        let body = Body::wrap_stream(first.chain(futures::stream::pending()));
        let request = hurried.request(Method::POST, &path).header("content-type", "multipart/form-data; boundary=b");
        problem(request.body(body).send().await.unwrap(), 504, "timed_out").await;
        until("what was staged is removed", async || (staged(&app) == 0).then_some(())).await;
    }
    // Lists of the same address have the limit of a list.
    assert_eq!(hurried.get(&path).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_who_hangs_up_leaves_nothing() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let address = app.url.strip_prefix("http://").unwrap();
    for text in ["The dredger came late.".to_owned(), "The dredger came late. ".repeat(100_000)] {
        let head = format!(
            "POST /api/v1/collections/{collection}/documents HTTP/1.1\r\nHost: carrel\r\nAuthorization: Bearer {}\r\n\
             Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 9000000\r\n\r\n{}",
            client.token,
            begun(&text)
        );
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        until("the bytes arrive in staging", async || (staged(&app) > 0).then_some(())).await;
        drop(connection);
        until("what was staged is removed", async || (staged(&app) == 0).then_some(())).await;
    }
    assert_eq!(app.database.number("select count(*) from carrel.document").await, 0);
    client.upload(collection, "a.txt", files::TEXT).await;
    app.idle().await;
}

struct Broken;

#[async_trait::async_trait]
impl Readiness for Broken {
    async fn report(&self) -> ReadinessReport {
        panic!("on purpose, with a secret in it")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_a_problem_and_the_server_goes_on() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let broken = client.at(&app.serve_with(|api| api.readiness = Arc::new(Broken)).await);
    for _ in 0..3 {
        let answer = broken.get("/health/ready").await;
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        let refused = problem(answer, 500, "internal").await;
        assert!(!refused.detail.contains("secret"), "{}", refused.detail);
    }
    assert_eq!(broken.get("/api/v1/collections").await.status(), 200);
}

/// Sends bytes as they are and answers what comes back until the connection ends.
async fn raw(app: &TestApp, request: &[u8]) -> String {
    let mut connection = TcpStream::connect(app.url.strip_prefix("http://").unwrap()).await.unwrap();
    // The server may hang up before it has read everything.
    let _ = connection.write_all(request).await;
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_no_http_end_their_connection_only() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let get = "GET /health/live HTTP/1.1\r\nHost: carrel\r\nConnection: close\r\n";
    let many: String = (0..500).map(|number| format!("X-{number}: 1\r\n")).collect();
    // These never reach the router: the HTTP library itself answers, with a status and no body.
    for (request, status) in [
        (format!("{get}X-Long: {}\r\n\r\n", "a".repeat(1 << 20)), "431"),
        (format!("{get}{many}\r\n"), "431"),
        ("nonsense\r\n\r\n".to_owned(), "400"),
        (format!("{get}Bad Name: 1\r\n\r\n"), "400"),
        ("GET /health/live HTTP/1.1\r\nContent-Length: x\r\n\r\n".to_owned(), "400"),
    ] {
        let answer = raw(&app, request.as_bytes()).await;
        let expected = format!("HTTP/1.1 {status}");
        // A connection that is reset while we still write shows nothing.
        assert!(answer.is_empty() || answer.starts_with(&expected), "{request:.60}: {answer:.200}");
    }
    // A long address is still ours.
    let answer = client.get(&format!("/api/v1/{}", "a".repeat(60_000))).await;
    problem(answer, 404, "not_found").await;
    assert_eq!(client.get("/api/v1/collections").await.status(), 200);
}
