//! Who may not: every operation of the OpenAPI document without a token, without scopes, and from another workspace.

use crate::{files, routes};
use carrel_domain::{Scope, Scopes};
use carrel_testkit::{Client, TestApp, problem};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_asks_for_a_token() {
    let app = TestApp::start().await;
    let forged = {
        let token = app.client(Scopes::all()).await.token;
        let (head, _) = token.rsplit_once('.').unwrap();
        format!("Bearer {head}.{}", "A".repeat(86))
    };
    for route in routes::guarded() {
        let url = format!("{}{}", app.url, route.with_id(Uuid::now_v7()));
        let request = || route.with_body(app.http().request(route.method.clone(), &url));
        let answer = request().send().await.unwrap();
        let challenge = answer.headers().get("www-authenticate").expect("a challenge (RFC 6750)").clone();
        assert!(challenge.to_str().unwrap().starts_with("Bearer"), "{challenge:?}");
        problem(answer, 401, "unauthenticated").await;
        for header in ["Bearer garbage", "Bearer ", "Bearer", "Basic Y2FycmVsOmNhcnJlbA==", "", forged.as_str()] {
            let answer = request().header("authorization", header).send().await.unwrap();
            problem(answer, 401, "unauthenticated").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_asks_for_its_scope() {
    let app = TestApp::start_with(carrel_testkit::Setup { jobs: 0, ..Default::default() }).await;
    app.expect_unfinished();
    let nobody = app.client(Scopes::default()).await;
    for scope in Scope::ALL {
        let others = app.client(Scope::ALL.into_iter().filter(|other| *other != scope).collect()).await;
        let only = app.client(Scopes::from_iter([scope])).await;
        for route in routes::guarded().into_iter().filter(|route| route.scope == Some(scope.as_str())) {
            let path = route.with_id(Uuid::now_v7());
            for client in [&nobody, &others] {
                let request = route.with_body(client.request(route.method.clone(), &path));
                let refused = problem(request.send().await.unwrap(), 403, "scope_missing").await;
                assert!(refused.detail.contains(scope.as_str()), "{}: {}", route.name, refused.detail);
            }
            let request = route.with_body(only.request(route.method.clone(), &path));
            let status = request.send().await.unwrap().status().as_u16();
            let expected = match route.name.as_str() {
                // Their examples name a document that is not there, and a label that nobody made.
                "place_hold" => 404..=404,
                "scan_label" => 422..=422,
                _ if route.path.contains("{id}") => 404..=404,
                _ => 200..=299,
            };
            assert!(expected.contains(&status), "{}: {status} with its scope alone", route.name);
            assert_eq!(route.operation["security"], json!([{ "oauth2": [scope.as_str()] }]), "{}", route.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_scope_does_not_open_the_others() {
    let app = TestApp::start().await;
    let reader = app.client("documents:read".parse().unwrap()).await;
    assert_eq!(reader.get("/api/v1/collections").await.status(), 200);
    problem(reader.post("/api/v1/collections", &json!({ "name": "mine" })).await, 403, "scope_missing").await;
    problem(reader.post("/api/v1/search", &json!({ "query": "gate" })).await, 403, "scope_missing").await;
    problem(reader.get("/api/v1/jobs").await, 403, "scope_missing").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_writes_can_add_documents() {
    let app = TestApp::start().await;
    let collection = app.client(Scopes::all()).await.collection("inbox").await;
    let writer = app.client("documents:write".parse().unwrap()).await;
    writer.upload(collection, "minutes.txt", files::TEXT).await;
    app.idle().await;
}

/// One id of every kind.
async fn one_of_each(app: &TestApp, client: &Client) -> BTreeMap<&'static str, Uuid> {
    let collection = client.collection("harbour").await;
    let uploaded = client.upload(collection, "gate.md", files::MARKDOWN).await;
    app.idle().await;
    let run = client.ask("When does the lock gate close?").await;
    let gone = client.upload(collection, "gone.txt", files::TEXT).await;
    app.idle().await;
    let path = format!("/api/v1/documents/{}/erase", gone.document_id);
    let erasure: Value = client.post(&path, &json!({ "reason": "asked for" })).await.json().await.unwrap();
    let held = json!({ "document_id": uploaded.document_id, "reason": "claim" });
    let hold: Value = client.post("/api/v1/holds", &held).await.json().await.unwrap();
    app.idle().await;
    let baseline: Value = client.post("/api/v1/baselines", &json!({ "name": "frozen" })).await.json().await.unwrap();
    BTreeMap::from([
        ("baselines", baseline["id"].as_str().unwrap().parse().unwrap()),
        ("collections", collection),
        ("documents", uploaded.document_id.0),
        ("versions", uploaded.version_id.0),
        ("jobs", uploaded.job_id.unwrap().0),
        ("research", run),
        ("erasures", erasure["id"].as_str().unwrap().parse().unwrap()),
        ("holds", hold["id"].as_str().unwrap().parse().unwrap()),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_others_looks_like_what_is_not_there() {
    let app = TestApp::start().await;
    let owner = app.client(Scopes::all()).await;
    let stranger = app.stranger().await;
    let ids = one_of_each(&app, &owner).await;
    let mut tried = 0;
    for route in routes::guarded().into_iter().filter(|route| route.path.contains('{')) {
        let kind = route.path.split('/').nth(3).unwrap();
        let mut answers = Vec::new();
        for id in [ids[kind], Uuid::now_v7()] {
            let path = route.with_id(id);
            assert!(!path.contains('{'), "{}: no test knows the other parameters", route.name);
            let request = route.with_body(stranger.request(route.method.clone(), &path));
            let mut body = problem(request.send().await.unwrap(), 404, "not_found").await;
            body.request_id = String::new();
            answers.push(serde_json::to_value(body).unwrap());
        }
        assert_eq!(answers[0], answers[1], "{}: the two differ", route.name);
        tried += 1;
    }
    assert!(tried >= 15, "{tried} operations take an id");
    // Nothing happened to what the stranger aimed at.
    let standing: Value = owner.read("/api/v1/holds?standing=true").await;
    assert_eq!(standing["items"][0]["id"], ids["holds"].to_string());
    for (kind, id) in ids.iter().filter(|(kind, _)| **kind != "holds") {
        assert_eq!(owner.get(&format!("/api/v1/{kind}/{id}")).await.status(), 200, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_cannot_reach_into_another_workspace() {
    let app = TestApp::start().await;
    let owner = app.client(Scopes::all()).await;
    let stranger = app.stranger().await;
    let ids = one_of_each(&app, &owner).await;
    let collection = ids["collections"];
    for id in [collection, Uuid::now_v7()] {
        let answer = stranger.post("/api/v1/search", &json!({ "query": "gate", "collections": [id] })).await;
        problem(answer, 404, "not_found").await;
        let question = json!({ "question": "When does the gate close?", "collections": [id] });
        problem(stranger.post("/api/v1/research", &question).await, 404, "not_found").await;
    }
    assert!(stranger.find("lock gate").await.hits.is_empty());
    let filtered = json!({ "query": "gate", "filter": { "documents": [ids["documents"]] } });
    let answer: Value = stranger.post("/api/v1/search", &filtered).await.json().await.unwrap();
    assert_eq!(answer["hits"], json!([]));
    for list in ["collections", "jobs", "research"] {
        let page: Value = stranger.read(&format!("/api/v1/{list}")).await;
        assert_eq!(page["items"], json!([]), "{list}");
    }
    let version = ids["versions"];
    let page: Value = stranger.read(&format!("/api/v1/jobs?version_id={version}")).await;
    assert_eq!(page["items"], json!([]));
}
