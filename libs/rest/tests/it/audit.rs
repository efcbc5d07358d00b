//! The audit trail: who did what, written with what was done.

use crate::routes::{self, Trail};
use carrel_domain::Scopes;
use carrel_testkit::{Client, Setup, TestApp};
use reqwest::{Method, Response};
use serde_json::Value;
use uuid::Uuid;

/// The entries that a request left: action, actor, subject.
async fn entries(app: &TestApp, answer: &Response) -> Vec<(String, Value, Option<Uuid>)> {
    let request: Uuid = answer.headers()["x-request-id"].to_str().unwrap().parse().unwrap();
    sqlx::query_as("select action, actor, subject from carrel.audit_entry where request_id = $1 and workspace_id = $2")
        .bind(request)
        .bind(app.workspace.0)
        .fetch_all(&app.database.owner)
        .await
        .unwrap()
}

/// Ids of what the operations may do their work on; each is used up by at most one of them.
struct Subjects {
    collection: Uuid,
    doomed_collection: Uuid,
    document: Uuid,
    version: Uuid,
    run: Uuid,
    job: Uuid,
    cancelled_job: Uuid,
    baseline: Uuid,
}

async fn subjects(client: &Client) -> Subjects {
    let collection = client.collection("kept").await;
    let doomed_collection = client.collection("doomed").await;
    let kept = client.upload(collection, "kept.txt", "Words that stay.").await;
    // A version that was replaced can be brought back.
    client.upload(collection, "kept.txt", "Words that stay longer.").await;
    let doomed = client.upload(collection, "doomed.txt", "Words that go.").await;
    let baseline: Value =
        client.post("/api/v1/baselines", &serde_json::json!({ "name": "frozen" })).await.json().await.unwrap();
    let baseline = baseline["id"].as_str().unwrap().parse().unwrap();
    let run = client.ask("What stays?").await;
    let job = client.run(run).await.run.job_id.0;
    let cancelled_job = kept.job_id.unwrap().0;
    let path = format!("/api/v1/jobs/{cancelled_job}/cancel");
    assert_eq!(client.request(Method::POST, &path).send().await.unwrap().status(), 202);
    Subjects {
        collection,
        doomed_collection,
        document: doomed.document_id.0,
        version: kept.version_id.0,
        run,
        job,
        cancelled_job,
        baseline,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_leaves_the_trail_that_is_expected() {
    // No worker, so that nothing but the requests writes.
    let app = TestApp::start_with(Setup { jobs: 0, ..Setup::default() }).await;
    app.expect_unfinished();
    let client = app.client(Scopes::all()).await;
    let subjects = subjects(&client).await;
    let mut changing = 0;
    let mut routes = routes::guarded();
    // What deletes comes last, when everything else has been looked at.
    routes.sort_by_key(|route| route.method == Method::DELETE);
    for route in routes {
        // Streams do not end while nobody works, and there is no report yet.
        if ["watch_run", "get_report_markdown", "get_report_json", "get_text"].contains(&route.name.as_str()) {
            assert_eq!((&route.method, route.trail), (&Method::GET, Trail::Nothing));
            continue;
        }
        // They need a label, a hold or an erasure; tests/it/custody.rs and tests/it/erasure.rs look at their entries.
        let custody = ["scan_label", "place_hold", "release_hold", "erase_document", "get_erasure", "get_receipt"];
        // They need what screening has looked at; tests/it/screening.rs looks at their entries.
        let reviews = ["release_version", "reject_version"];
        if custody.contains(&route.name.as_str())
            || reviews.contains(&route.name.as_str())
            || route.name.starts_with("get_document_screening")
        {
            continue;
        }
        // They need a report or a text; tests/it/baselines.rs looks at their entries.
        if ["reproduce_run", "compare_runs", "get_bundle", "diff_versions"].contains(&route.name.as_str()) {
            continue;
        }
        let subject = match (route.name.as_str(), route.path.split('/').nth(3).unwrap()) {
            ("delete_collection", _) => subjects.doomed_collection,
            ("retry_job", _) => subjects.cancelled_job,
            (_, "baselines") => subjects.baseline,
            (_, "collections") => subjects.collection,
            (_, "documents") => subjects.document,
            (_, "versions") => subjects.version,
            (_, "research") => subjects.run,
            (_, "jobs") => subjects.job,
            (_, "search" | "audit" | "holds" | "screening" | "fixity" | "index") => Uuid::nil(),
            (_, other) => panic!("{}: no test knows a subject below /{other}", route.name),
        };
        // A search by words needs no model and no index.
        let request = client.request(route.method.clone(), &route.with_id(subject));
        let answer = route.with_body(request).send().await.unwrap();
        assert!(answer.status().is_success(), "{}: {}", route.name, answer.status());
        let left = entries(&app, &answer).await;
        match route.trail {
            Trail::Entry => {
                assert_eq!(left.len(), 1, "{}: {left:?}", route.name);
                let (action, actor, about) = &left[0];
                assert_eq!(action, &route.name);
                assert_eq!(actor["id"], client.id.to_string(), "{}", route.name);
                // Dead letters are replayed by the hundred.
                assert!(
                    about.is_some() || route.name == "retry_dead_jobs",
                    "{}: an entry names its subject",
                    route.name
                );
                // What makes a version is an entry about its document.
                if route.path.contains("{id}") && !["add_document", "restore_version"].contains(&route.name.as_str()) {
                    assert_eq!(about, &Some(subject), "{}", route.name);
                }
            }
            Trail::Nothing => assert_eq!(left, [], "{}", route.name),
        }
        let safe = route.method == Method::GET || route.name == "search";
        assert!(safe || route.trail == Trail::Entry, "{} changes something and leaves no trail", route.name);
        changing += i32::from(!safe);
    }
    assert!(changing >= 6, "{changing} operations change something");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_leaves_no_entry() {
    let app = TestApp::start_with(Setup { jobs: 0, ..Setup::default() }).await;
    let client = app.client(Scopes::all()).await;
    let nobody = app.client(Scopes::default()).await;
    for route in routes::guarded() {
        let path = route.with_id(Uuid::now_v7());
        let refused = route.with_body(nobody.request(route.method.clone(), &path)).send().await.unwrap();
        assert_eq!(refused.status(), 403, "{}", route.name);
        if route.path.contains("{id}") {
            let missing = route.with_body(client.request(route.method.clone(), &path)).send().await.unwrap();
            assert_eq!(missing.status(), 404, "{}", route.name);
        }
    }
    assert_eq!(app.database.number("select count(*) from carrel.audit_entry").await, 0);
}
