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
