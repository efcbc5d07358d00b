//! Health, the documentation, and the page.

use carrel_testkit::{TestApp, until};
use serde_json::Value;

async fn ready(app: &TestApp) -> (u16, Value) {
    let answer = app.http().get(format!("{}/health/ready", app.url)).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_names_what_fails() {
    let app = TestApp::start().await;
    let (status, body) =
        until("everything answers", async || Some(ready(&app).await).filter(|(status, _)| *status == 200)).await;
    assert_eq!((status, &body["status"]), (200, &"pass".into()));
    for name in ["database", "store", "queue"] {
        assert_eq!(body["checks"][name], "pass", "{name}");
    }

    // A file where the folder was: the store cannot work, whoever asks.
    let _ = std::fs::remove_dir_all(app.store());
    std::fs::write(app.store(), b"").unwrap();
    let (status, body) = ready(&app).await;
    assert_eq!((status, &body["status"]), (503, &"fail".into()));
    assert_ne!(body["checks"]["store"], "pass");
    assert_eq!(body["checks"]["database"], "pass");
    let text = body.to_string();
    assert!(!text.contains(app.store().to_str().unwrap()), "an anonymous answer names no path: {text}");

    let alive = app.http().get(format!("{}/health/live", app.url)).send().await.unwrap();
    assert_eq!(alive.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_is_a_problem_that_passes() {
    use carrel_testkit::problem;
    use reqwest::multipart::{Form, Part};
    let app = TestApp::start().await;
    let client = app.client(carrel_domain::Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let form = || Form::new().part("file", Part::bytes(&b"Words about the harbour wall."[..]).file_name("a.txt"));
    let _ = std::fs::remove_dir_all(app.store());
    std::fs::write(app.store(), b"").unwrap();
    let refused = problem(client.send(collection, form()).await, 503, "store_unavailable").await;
    assert!(refused.retryable);
    std::fs::remove_file(app.store()).unwrap();
    std::fs::create_dir(app.store()).unwrap();
    assert_eq!(client.send(collection, form()).await.status(), 202);
    app.idle().await;
    assert_eq!(client.find("harbour wall").await.hits.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documentation_is_served_from_the_program() {
    let app = TestApp::start().await;
    let get = async |path: &str| app.http().get(format!("{}{path}", app.url)).send().await.unwrap();
    let document: Value = get("/api/openapi.json").await.json().await.unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(committed).unwrap()).unwrap();
    assert!(document == committed, "docs/openapi.json is out of date: run scripts/generate --quick");
    for path in ["/docs", "/docs/reference.js", "/docs/problems"] {
        let answer = get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        let text = answer.text().await.unwrap();
        assert!(!text.contains("https://cdn."), "{path} needs no network");
    }
    let problems = get("/docs/problems").await.text().await.unwrap();
    for code in carrel_rest::problem::CODES {
        assert!(problems.contains(&format!("id=\"{}\"", code.code)), "{}", code.code);
    }
}

struct Failing;

#[async_trait::async_trait]
impl carrel_rest::Readiness for Failing {
    async fn report(&self) -> carrel_rest::ReadinessReport {
        let away = || Err("it does not answer".to_owned());
        let missing = || Err("2 migrations are missing; run `carrel admin migrate`".to_owned());
        let checks = [("database", Ok(())), ("migrations", missing()), ("model", away())];
        carrel_rest::ReadinessReport { checks: checks.map(|(name, result)| (name.to_owned(), result)).into() }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_told_by_its_name() {
    let app = TestApp::start().await;
    let url = app.serve_with(|api| api.readiness = std::sync::Arc::new(Failing)).await;
    let answer = app.http().get(format!("{url}/health/ready")).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let body: Value = answer.json().await.unwrap();
    let expected = serde_json::json!({ "status": "fail", "checks": {
        "database": "pass",
        "migrations": "2 migrations are missing; run `carrel admin migrate`",
        "model": "it does not answer",
    } });
    assert_eq!(body, expected);
    // Alive all the same: restarting would not help.
    assert_eq!(app.http().get(format!("{url}/health/live")).send().await.unwrap().status(), 200);
}

/// The directives of a policy, by name.
fn policy(answer: &reqwest::Response) -> std::collections::BTreeMap<String, Vec<String>> {
    let text = answer.headers()["content-security-policy"].to_str().unwrap();
    let directives = text.split(';').map(|part| part.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    directives.filter(|words| !words.is_empty()).map(|words| (words[0].clone(), words[1..].to_vec())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_locked_down() {
    let app = TestApp::start().await;
    let client = app.client(carrel_domain::Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let html = "<!doctype html><title>x</title><p>Words with a <script>alert(1)</script> in it.</p>";
    let uploaded = client.upload(collection, "page.html", html).await;
    app.idle().await;
    let original = format!("/api/v1/versions/{}/original", uploaded.version_id);
    let foreign = |request: reqwest::RequestBuilder| request.header("origin", "https://elsewhere.example");
    for path in
        ["/", "/index.html", "/some/view", "/docs", "/docs/problems", "/api/v1/collections", "/nowhere.js", &original]
    {
        let answer = foreign(client.request(reqwest::Method::GET, path)).send().await.unwrap();
        let headers = answer.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        let policy = policy(&answer);
        assert_eq!(policy["default-src"], ["'none'"], "{path}");
        // No other site reads an answer: the page and its API have one origin (Fetch standard).
        assert!(!headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{path}");
        if path.starts_with("/docs") {
            // The reference page is a bundle of its own; it may run inline, but reaches nobody.
            assert_eq!(policy["connect-src"], ["'self'"]);
            continue;
        }
        for (directive, sources) in &policy {
            for source in sources {
                let allowed = ["'none'", "'self'"].contains(&source.as_str())
                    || (directive, source.as_str()) == (&"img-src".to_owned(), "data:");
                assert!(allowed, "{path}: {directive} {source}");
            }
        }
    }
    let page = app.http().get(&app.url).send().await.unwrap();
    let page = policy(&page);
    for (directive, source) in [("frame-ancestors", "'none'"), ("base-uri", "'none'"), ("script-src", "'self'")] {
        assert_eq!(page[directive], [source]);
    }
    // An original may be a page; it must never run under our origin.
    let answer = client.get(&original).await;
    assert!(policy(&answer).contains_key("sandbox"));
    assert!(answer.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
    let preflight = foreign(client.request(reqwest::Method::OPTIONS, "/api/v1/search"))
        .header("access-control-request-method", "POST")
        .send()
        .await
        .unwrap();
    assert!(!preflight.headers().contains_key("access-control-allow-origin"));
    carrel_testkit::problem(preflight, 405, "method_not_allowed").await;
}
