//! Versions that come and go, what was frozen, and reports that can be run again and checked without a server.

use carrel_bundle::verify;
use carrel_domain::Scopes;
use carrel_testkit::{Client, TestApp, problem};
use carrel_wire::{
    AuditEntryBody, BaselineBody, ChangeBody, DiffBody, MemberBody, Page, RunComparisonBody, SearchAnswerBody,
    UploadBody, VersionPageBody,
};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

const QUESTION: &str = "When does the lock gate close?";

async fn freeze(client: &Client, name: &str) -> BaselineBody {
    let made = client.post("/api/v1/baselines", &json!({ "name": name })).await;
    assert_eq!(made.status(), 201);
    made.json().await.unwrap()
}

/// An answer to `QUESTION` in the given filter.
async fn ask(app: &TestApp, client: &Client, filter: Value) -> Uuid {
    let run: Value =
        client.post("/api/v1/research", &json!({ "question": QUESTION, "filter": filter })).await.json().await.unwrap();
    app.idle().await;
    run["id"].as_str().unwrap().parse().unwrap()
}

async fn entries(app: &TestApp, action: &'static str) -> i64 {
    sqlx::query_scalar("select count(*) from carrel.audit_entry where action = $1")
        .bind(action)
        .fetch_one(&app.database.owner)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_on_a_baseline_is_reproduced_and_proved() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    client.upload(collection, "manual.txt", "The lock gate closes in ninety seconds, as the manual has it.").await;
    app.idle().await;
    let baseline = freeze(&client, "as signed").await;
    assert_eq!(baseline.documents, 1);
    let run = ask(&app, &client, json!({ "baseline": baseline.id })).await;
    let report = client.run(run).await;
    assert_eq!(report.run.baseline, Some(baseline.id));
    assert!(report.outdated.is_empty());
    assert!(report.claims[0].citations[0].quote.contains("ninety"));

    client.upload(collection, "manual.txt", "The lock gate closes in sixty seconds, as the bulletin has it.").await;
    client.upload(collection, "notice.txt", "When does the lock gate close? It closes at dusk.").await;
    app.idle().await;
    assert_eq!(client.run(run).await.outdated, [1], "the manual has moved on");

    let again = client.request(Method::POST, &format!("/api/v1/research/{run}/reproduction")).send().await.unwrap();
    assert_eq!(again.status(), 202);
    let again: Value = again.json().await.unwrap();
    app.idle().await;
    let path = format!("/api/v1/research/{}/comparison?from={run}", again["id"].as_str().unwrap());
    let compared: RunComparisonBody = client.read(&path).await;
    assert!(compared.same && compared.equal > 0, "{compared:?}");
    let again: carrel_wire::RunPageBody =
        client.read(&format!("/api/v1/research/{}", again["id"].as_str().unwrap())).await;
    assert_eq!(again.searched.documents, 1, "what was frozen, not what is there now");

    let bytes = client.get(&format!("/api/v1/research/{run}/bundle")).await;
    assert_eq!(bytes.headers()["content-type"], "application/zip");
    let bytes = bytes.bytes().await.unwrap();
    let checked = verify(&bytes).unwrap();
    assert_eq!(checked.faults, []);
    assert_eq!(checked.manifest.baseline.as_ref().unwrap().digest.to_string(), baseline.digest);
    assert_eq!(checked.quotes, report.claims.iter().map(|claim| claim.citations.len()).sum::<usize>());
    let jwks: Value = client.read("/.well-known/jwks.json").await;
    let key = jwks["keys"].as_array().unwrap().iter().find(|key| key["kty"] == "OKP").unwrap();
    assert_eq!(key["kid"], checked.signed_by);
    let mut changed = bytes.to_vec();
    let at = changed.windows(6).rposition(|window| window == b"ninety").unwrap();
    changed[at] ^= 1;
    assert!(!verify(&changed).unwrap().faults.is_empty());
    assert_eq!(entries(&app, "get_bundle").await, 1);
    assert_eq!(entries(&app, "ask").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_without_a_baseline_is_asked_again_as_of_its_time() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    client.upload(collection, "manual.txt", "The lock gate closes in ninety seconds, as the manual has it.").await;
    app.idle().await;
    let run = ask(&app, &client, json!({})).await;
    client.upload(collection, "manual.txt", "The lock gate closes in sixty seconds, as the bulletin has it.").await;
    app.idle().await;
    let again = client.request(Method::POST, &format!("/api/v1/research/{run}/reproduction")).send().await.unwrap();
    let again: Value = again.json().await.unwrap();
    assert!(again["as_of"].is_string());
    app.idle().await;
    let path = format!("/api/v1/research/{}/comparison?from={run}", again["id"].as_str().unwrap());
    assert!(client.read::<RunComparisonBody>(&path).await.same);
    let now = ask(&app, &client, json!({})).await;
    let compared: RunComparisonBody = client.read(&format!("/api/v1/research/{now}/comparison?from={run}")).await;
    assert!(!compared.same && compared.gone[0].quote.contains("ninety") && compared.new[0].quote.contains("sixty"));
    let bundle = client.get(&format!("/api/v1/research/{run}/bundle")).await.bytes().await.unwrap();
    let checked = verify(&bundle).unwrap();
    assert_eq!((checked.faults.len(), checked.versions, checked.manifest.baseline), (0, 1, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_compared_and_brought_back() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let first = client.upload(collection, "gate.txt", "The gate closes in ninety seconds.").await;
    app.idle().await;
    let before = freeze(&client, "before").await;
    let second = client.upload(collection, "gate.txt", "The gate closes in sixty seconds.").await;
    app.idle().await;
    let after = freeze(&client, "after").await;
    assert_ne!(before.digest, after.digest);

    let path = format!("/api/v1/versions/{}/diff?from={}", second.version_id, first.version_id);
    let found: DiffBody = client.read(&path).await;
    assert_eq!(found.differences.len(), 1);
    assert_eq!((found.differences[0].removed.as_str(), found.differences[0].inserted.as_str()), ("ninety", "sixty"));
    assert_eq!(found.differences[0].context, "The gate closes in ");

    let path = format!("/api/v1/baselines/{}/changes?from={}", after.id, before.id);
    let changes: Page<ChangeBody> = client.read(&path).await;
    assert!(
        matches!(&changes.items[..], [ChangeBody::Changed { before, after }] if before.number == 1 && after.number == 2)
    );
    let members: Page<MemberBody> = client.read(&format!("/api/v1/baselines/{}/documents", before.id)).await;
    assert_eq!(members.items[0].version_id, first.version_id);

    let path = format!("/api/v1/versions/{}/restore", first.version_id);
    let restored: UploadBody = client.request(Method::POST, &path).send().await.unwrap().json().await.unwrap();
    assert_eq!(restored.document_id, first.document_id);
    app.idle().await;
    let hits: SearchAnswerBody = client.find("ninety").await;
    assert_eq!(hits.hits[0].version_number, 3);
    let third: VersionPageBody = client.read(&format!("/api/v1/versions/{}", restored.version_id)).await;
    let origin = third.version.origin.unwrap();
    assert_eq!((origin.kind.as_str(), origin.version_id), ("restore", Some(first.version_id)));
    let trail: Page<AuditEntryBody> =
        client.read(&format!("/api/v1/audit?action=restore_version&subject={}", first.document_id)).await;
    assert_eq!(trail.items[0].details["from"], first.version_id.to_string());
    assert_eq!(freeze(&client, "restored").await.documents, 1);
    let nothing: UploadBody = client
        .request(Method::POST, &format!("/api/v1/versions/{}/restore", restored.version_id))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert!(nothing.job_id.is_none(), "it is the newest one already");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_frozen_or_pinned_is_refused() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    freeze(&client, "empty").await;
    let baselines = "/api/v1/baselines";
    problem(client.post(baselines, &json!({ "name": "empty" })).await, 409, "name_taken").await;
    problem(client.post(baselines, &json!({ "name": " " })).await, 422, "invalid_value").await;
    let unknown = json!({ "name": "x", "collections": [Uuid::now_v7()] });
    problem(client.post(baselines, &unknown).await, 404, "not_found").await;
    let pinned = json!({ "name": "x", "filter": { "as_of": "2026-01-01T00:00:00Z" } });
    problem(client.post(baselines, &pinned).await, 422, "invalid_value").await;
    let both = json!({ "baseline": Uuid::now_v7(), "as_of": "2026-01-01T00:00:00Z" });
    problem(client.post("/api/v1/search", &json!({ "query": "gate", "filter": both })).await, 422, "invalid_value")
        .await;
    let missing = json!({ "baseline": Uuid::now_v7() });
    let body = json!({ "query": "gate", "filter": missing });
    problem(client.post("/api/v1/search", &body).await, 404, "not_found").await;
    let body = json!({ "question": QUESTION, "filter": missing });
    problem(client.post("/api/v1/research", &body).await, 404, "not_found").await;
}
