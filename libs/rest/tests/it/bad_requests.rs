//! Requests that are wrong: each gets a problem with its code, none a 500, and Carrel works on.

use crate::files;
use carrel_domain::Scopes;
use carrel_testkit::{Client, TestApp, problem};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

async fn app_and_client() -> (TestApp, Client) {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    (app, client)
}

/// Carrel still takes a document and answers from it.
async fn still_works(app: &TestApp, client: &Client) {
    let collection = client.collection("afterwards").await;
    client.upload(collection, "gate.md", files::MARKDOWN).await;
    app.idle().await;
    assert_eq!(client.find("lock gate closes").await.hits[0].document_name, "gate.md");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_not_as_described() {
    let (app, client) = app_and_client().await;
    let cases = [
        ("/api/v1/collections", json!({})),
        ("/api/v1/collections", json!({ "name": 7 })),
        ("/api/v1/collections", json!({ "name": null })),
        ("/api/v1/collections", json!({ "name": "a", "colour": "red" })),
        ("/api/v1/collections", json!([])),
        ("/api/v1/collections", json!("a")),
        ("/api/v1/search", json!({})),
        ("/api/v1/search", json!({ "query": ["a"] })),
        ("/api/v1/search", json!({ "query": "a", "mode": "psychic" })),
        ("/api/v1/search", json!({ "query": "a", "collections": ["harbour"] })),
        ("/api/v1/search", json!({ "query": "a", "limit": -1 })),
        ("/api/v1/search", json!({ "query": "a", "limit": 1.5 })),
        ("/api/v1/search", json!({ "query": "a", "filter": { "colour": "red" } })),
        ("/api/v1/search", json!({ "query": "a", "filter": { "created_from": "yesterday" } })),
        ("/api/v1/research", json!({})),
        ("/api/v1/research", json!({ "question": "a?", "depth": 3 })),
    ];
    for (path, body) in cases {
        let refused = problem(client.post(path, &body).await, 400, "malformed_body").await;
        assert!(!refused.detail.is_empty(), "{path} {body}");
    }
    for text in ["", "{", "{\"name\":", "nonsense", "{\"name\":\"a\"}}", "\u{feff}{\"name\":\"a\"}"] {
        let request = client.request(Method::POST, "/api/v1/collections").header("content-type", "application/json");
        problem(request.body(text).send().await.unwrap(), 400, "malformed_body").await;
    }
    let request = client.request(Method::POST, "/api/v1/collections").header("content-type", "application/json");
    problem(request.body(b"{\"name\":\"\xff\xfe\"}".to_vec()).send().await.unwrap(), 400, "malformed_body").await;
    let deep =
        format!("{{\"query\":\"a\",\"filter\":{{\"metadata\":{}1{}}}}}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    let request = client.request(Method::POST, "/api/v1/search").header("content-type", "application/json");
    problem(request.body(deep).send().await.unwrap(), 400, "malformed_body").await;
    still_works(&app, &client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_out_of_their_bounds() {
    let (app, client) = app_and_client().await;
    client.collection("taken").await;
    problem(client.post("/api/v1/collections", &json!({ "name": "taken" })).await, 409, "name_taken").await;
    let many: Vec<Uuid> = (0..101).map(|_| Uuid::now_v7()).collect();
    let documents: Vec<Uuid> = (0..1_001).map(|_| Uuid::now_v7()).collect();
    let cases = [
        ("/api/v1/collections", json!({ "name": "" })),
        ("/api/v1/collections", json!({ "name": "   " })),
        ("/api/v1/collections", json!({ "name": "a".repeat(201) })),
        ("/api/v1/collections", json!({ "name": "a\u{0}b" })),
        ("/api/v1/collections", json!({ "name": "a\nb" })),
        ("/api/v1/collections", json!({ "name": "a", "description": "\u{0}" })),
        ("/api/v1/collections", json!({ "name": "a", "description": "d".repeat(2_001) })),
        ("/api/v1/search", json!({ "query": "" })),
        ("/api/v1/search", json!({ "query": " \t\n" })),
        ("/api/v1/search", json!({ "query": "a\u{0}b" })),
        ("/api/v1/search", json!({ "query": "gate ".repeat(20_000) })),
        ("/api/v1/search", json!({ "query": "?!".repeat(50_000) })),
        ("/api/v1/research", json!({ "question": "?!".repeat(50_000) })),
        ("/api/v1/search", json!({ "query": "a", "limit": 0 })),
        ("/api/v1/search", json!({ "query": "a", "limit": 100_000 })),
        ("/api/v1/search", json!({ "query": "a", "collections": many })),
        ("/api/v1/search", json!({ "query": "a", "filter": { "documents": documents } })),
        ("/api/v1/search", json!({ "query": "a", "filter": { "languages": ["Klingon"] } })),
        ("/api/v1/search", json!({ "query": "a", "filter": { "media_types": ["text/\u{0}"] } })),
        ("/api/v1/search", json!({ "query": "a", "filter": { "metadata": { "a": "\u{0}" } } })),
        ("/api/v1/search", json!({ "query": "a", "filter": { "metadata": { "\u{0}": 1 } } })),
        ("/api/v1/search", json!({ "query": "a", "filter": { "metadata": { "a": "b".repeat(20_000) } } })),
        ("/api/v1/search", json!({ "query": "a", "filter": { "created_from": "-200000-01-01T00:00:00Z" } })),
        ("/api/v1/research", json!({ "question": "" })),
        ("/api/v1/research", json!({ "question": "q".repeat(4_001) })),
        ("/api/v1/research", json!({ "question": "Why?\u{0}" })),
        ("/api/v1/research", json!({ "question": "Why?", "filter": { "media_types": ["\u{0}"] } })),
    ];
    for (path, body) in cases {
        let refused = problem(client.post(path, &body).await, 422, "invalid_value").await;
        assert!(!refused.detail.is_empty(), "{path}");
    }
    // What only looks like NUL is an ordinary text.
    let literal = json!({ "query": "a", "filter": { "metadata": { "a": "\\u0000" } } });
    assert_eq!(client.post("/api/v1/search", &literal).await.status(), 200);
    still_works(&app, &client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_without_words() {
    let (app, client) = app_and_client().await;
    let collection = client.collection("harbour").await;
    client.upload(collection, "gate.md", files::MARKDOWN).await;
    app.idle().await;
    let long = "?".repeat(8_000);
    let queries =
        ["?!…—«»", "'; drop table carrel.passage; --", "the of and", "%_\\", "😀😀", "\u{202e}\u{200b}", long.as_str()];
    for query in queries {
        for mode in ["hybrid", "lexical", "semantic"] {
            let answer = client.post("/api/v1/search", &json!({ "query": query, "mode": mode })).await;
            assert_eq!(answer.status(), 200, "{query:.20} {mode}");
        }
    }
    let id = client.ask("???").await;
    app.idle().await;
    assert!(["abstained", "completed"].contains(&client.run(id).await.run.state.as_str()));
    still_works(&app, &client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_that_cannot_be_read() {
    let (app, client) = app_and_client().await;
    let id = Uuid::now_v7();
    let collection = client.collection("harbour").await;
    let paths = [
        "/api/v1/collections/harbour".to_owned(),
        "/api/v1/collections/%00".to_owned(),
        "/api/v1/collections/%FF".to_owned(),
        "/api/v1/documents/1".to_owned(),
        "/api/v1/jobs/00000000-0000-0000-0000-00000000000g".to_owned(),
        "/api/v1/collections?limit=many".to_owned(),
        "/api/v1/collections?limit=-1".to_owned(),
        "/api/v1/collections?limit=4294967296".to_owned(),
        "/api/v1/collections?colour=red".to_owned(),
        "/api/v1/collections?limit=1&limit=2".to_owned(),
        "/api/v1/jobs?state=lost".to_owned(),
        "/api/v1/jobs?queue=mail".to_owned(),
        "/api/v1/jobs?version_id=1".to_owned(),
        format!("/api/v1/collections/{collection}/documents?sha256=abc"),
        format!("/api/v1/collections/{collection}/documents?state=lost"),
        format!("/api/v1/versions/{id}/text?start=9&end=1"),
        format!("/api/v1/versions/{id}/text?start=-1"),
    ];
    for path in paths {
        problem(client.get(&path).await, 400, "invalid_parameter").await;
    }
    for path in [
        "/api/v1/collections?limit=0".to_owned(),
        "/api/v1/collections?limit=100000".to_owned(),
        "/api/v1/jobs?limit=0".to_owned(),
        "/api/v1/research?limit=201".to_owned(),
        format!("/api/v1/collections/{collection}/documents?limit=0"),
        format!("/api/v1/documents/{id}/versions?limit=0"),
        format!("/api/v1/versions/{id}/text?start=2147483647&end=2147483648"),
        "/api/v1/collections?name=%00".to_owned(),
        "/api/v1/jobs?kind=a%00b".to_owned(),
        format!("/api/v1/collections/{collection}/documents?external_id=%00"),
    ] {
        problem(client.get(&path).await, 422, "invalid_value").await;
    }
    let uploaded = client.upload(collection, "gate.md", files::MARKDOWN).await;
    app.idle().await;
    for range in ["start=2147483646&end=2147483647", "start=2147483647&end=2147483647", "start=5&end=5"] {
        let text: Value = client.read(&format!("/api/v1/versions/{}/text?{range}", uploaded.version_id)).await;
        assert_eq!(text["text"], "", "{range}");
    }
    still_works(&app, &client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cursors_of_other_lists() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (app, client) = app_and_client().await;
    let collection = client.collection("harbour").await;
    let other = client.collection("quay").await;
    for name in ["a.txt", "b.txt"] {
        client.upload(collection, name, files::TEXT).await;
    }
    app.idle().await;
    let page: Value = client.read(&format!("/api/v1/collections/{collection}/documents?limit=1")).await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let jobs: Value = client.read("/api/v1/jobs?limit=1").await;
    let of_jobs = jobs["next_cursor"].as_str().unwrap();
    for path in [
        format!("/api/v1/collections?cursor={cursor}"),
        format!("/api/v1/collections/{other}/documents?cursor={cursor}"),
        format!("/api/v1/collections/{collection}/documents?cursor={cursor}&state=failed"),
        format!("/api/v1/jobs?cursor={cursor}"),
        format!("/api/v1/jobs?state=completed&cursor={of_jobs}"),
        format!("/api/v1/research?cursor={of_jobs}"),
        "/api/v1/collections?cursor=".to_owned(),
        "/api/v1/collections?cursor=%00".to_owned(),
        format!("/api/v1/collections?cursor={}", "A".repeat(10_000)),
    ] {
        problem(client.get(&path).await, 400, "foreign_cursor").await;
    }
    // One that is made up may name any moment.
    for moment in [i64::MIN, i64::MIN + 1, -8_000_000_000_000_000_000, 8_000_000_000_000_000_000, i64::MAX] {
        let mut bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap();
        bytes[4..12].copy_from_slice(&moment.to_be_bytes());
        let forged = URL_SAFE_NO_PAD.encode(bytes);
        let answer = client.get(&format!("/api/v1/collections/{collection}/documents?cursor={forged}")).await;
        assert!(answer.status().as_u16() < 500, "{moment}: {}", answer.text().await.unwrap());
    }
    still_works(&app, &client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_methods_types_sizes_and_addresses() {
    let (app, client) = app_and_client().await;
    for (method, path) in [
        (Method::PUT, "/api/v1/collections"),
        (Method::DELETE, "/api/v1/search"),
        (Method::GET, "/api/v1/search"),
        (Method::PATCH, "/health/live"),
        (Method::GET, "/oauth/token"),
        (Method::POST, "/docs"),
    ] {
        let answer = client.request(method.clone(), path).send().await.unwrap();
        assert!(answer.headers().contains_key("allow"), "{method} {path}");
        problem(answer, 405, "method_not_allowed").await;
    }
    for (method, path) in [
        (Method::GET, "/api/v1/nothing"),
        (Method::GET, "/api/v2/search"),
        (Method::POST, "/api/v1/collections/"),
        (Method::GET, "/health/nothing"),
        (Method::POST, "/anything"),
        (Method::GET, "/missing.js"),
    ] {
        problem(client.request(method, path).send().await.unwrap(), 404, "not_found").await;
    }
    for media_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("multipart/form-data")]
    {
        for path in ["/api/v1/collections", "/api/v1/search", "/api/v1/research"] {
            let mut request = client.request(Method::POST, path).body("{\"name\":\"a\"}");
            if let Some(media_type) = media_type {
                request = request.header("content-type", media_type);
            }
            problem(request.send().await.unwrap(), 415, "unsupported_media_type").await;
        }
    }
    let large = json!({ "name": "a", "description": "d".repeat(2 << 20) });
    problem(client.post("/api/v1/collections", &large).await, 413, "body_too_large").await;
    // Whatever it is refused for, a client with much to send hears why before its connection closes.
    let much = "d".repeat(20 << 20);
    for _ in 0..8 {
        for (path, status, code) in [
            ("/api/v1/nothing", 404, "not_found"),
            ("/health/live", 405, "method_not_allowed"),
            ("/api/v1/search", 415, "unsupported_media_type"),
        ] {
            problem(client.request(Method::POST, path).body(much.clone()).send().await.unwrap(), status, code).await;
        }
        problem(client.post("/api/v1/collections", &large).await, 413, "body_too_large").await;
    }
    let long = format!("/api/v1/collections?name={}", "n".repeat(20_000));
    assert!(client.get(&long).await.status().as_u16() < 500);
    still_works(&app, &client).await;
}
