//! Large things are deleted in a time that does not depend on their size.

use crate::files;
use carrel_domain::Scopes;
use carrel_rest::HttpLimits;
use carrel_testkit::{Client, Setup, TestApp, problem, until_within};
use carrel_wire::{ModeBody, SearchBody};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// Adds documents of five passages each to a collection, past the API: what they hold does not matter here. All share
/// the original of one that was uploaded.
async fn fill(app: &TestApp, collection: Uuid, documents: i32) {
    let statements = [
        "insert into carrel.document (id, workspace_id, collection_id, external_id, name, created_at, updated_at)
         select gen_random_uuid(), c.workspace_id, c.id, 'bulk-' || n, 'bulk-' || n, now(), now()
         from carrel.collection c, generate_series(1, $2) n where c.id = $1",
        "insert into carrel.document_version
             (id, workspace_id, document_id, number, file_name, sha256, state, created_at, created_by)
         select gen_random_uuid(), d.workspace_id, d.id, 1, d.name, o.sha256, 'searchable', now(), '{\"kind\": \"operator\"}'
         from carrel.document d, (select sha256 from carrel.original order by created_at limit 1) o
         where d.collection_id = $1 and d.name like 'bulk-%' and $2 > 0",
        "insert into carrel.rendition
             (version_id, workspace_id, media_type, language, characters, sha256, text, map, created_at)
         select v.id, v.workspace_id, 'text/plain', 'eng', 9, v.sha256, 'bulk text', '{}', now()
         from carrel.document_version v join carrel.document d on d.id = v.document_id
         where d.collection_id = $1 and d.name like 'bulk-%' and $2 > 0",
        "update carrel.document d set current_version_id = v.id from carrel.document_version v
         where v.document_id = d.id and d.collection_id = $1 and d.name like 'bulk-%' and $2 > 0",
        "insert into carrel.passage (workspace_id, collection_id, document_id, version_id, ordinal, span_start, span_end,
                                     headings, language, text, searchable)
         select v.workspace_id, d.collection_id, d.id, v.id, n, 0, 9, '{}', 'eng', 'bulk text', true
         from carrel.document_version v join carrel.document d on d.id = v.document_id, generate_series(0, 4) n
         where d.collection_id = $1 and d.name like 'bulk-%' and $2 > 0",
        // Not in the graph, whose making would take a minute and whose deletion costs nothing.
        "insert into carrel.embedding (generation, passage_no, workspace_id, collection_id, searchable, vector)
         select e.generation, p.no, p.workspace_id, p.collection_id, false, e.vector
         from carrel.passage p, (select generation, vector from carrel.embedding limit 1) e
         where p.collection_id = $1 and p.text = 'bulk text' and $2 > 0",
    ];
    for statement in statements {
        let done = sqlx::query(statement).bind(collection).bind(documents).execute(&app.database.owner).await.unwrap();
        assert!(done.rows_affected() >= documents.unsigned_abs().into(), "{statement}");
    }
}

async fn sees(client: &Client, word: &str, mode: ModeBody) -> Vec<String> {
    let answer = client.search(&SearchBody { query: word.to_owned(), mode, limit: 10, ..SearchBody::default() }).await;
    answer.hits.into_iter().map(|hit| hit.document_name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_collection_is_gone_at_once_and_cleared_later() {
    // A request may take two seconds, whatever it deletes.
    let http = HttpLimits { request: Duration::from_secs(2), ..HttpLimits::default() };
    let app = TestApp::start_with(Setup { http, ..Setup::default() }).await;
    let client = app.client(Scopes::all()).await;
    let (large, kept) = (client.collection("large").await, client.collection("kept").await);
    let doomed = client.upload(large, "gate.md", files::MARKDOWN).await;
    client.upload(kept, "minutes.txt", files::TEXT).await;
    app.idle().await;
    fill(&app, large, 5_000).await;
    let page: Value = client.read(&format!("/api/v1/collections/{large}")).await;
    assert_eq!(page["documents"], 5_001);

    // Whoever deletes the documents has to wait for this one. The request must not.
    let mut barrier = app.database.owner.begin().await.unwrap();
    sqlx::query("select from carrel.document where collection_id = $1 for update")
        .bind(large)
        .execute(&mut *barrier)
        .await
        .unwrap();
    assert_eq!(client.delete(&format!("/api/v1/collections/{large}")).await.status(), 204);

    let (document, version) = (doomed.document_id, doomed.version_id);
    for path in [
        format!("/api/v1/collections/{large}"),
        format!("/api/v1/collections/{large}/documents"),
        format!("/api/v1/documents/{document}"),
        format!("/api/v1/documents/{document}/versions"),
        format!("/api/v1/versions/{version}"),
        format!("/api/v1/versions/{version}/text"),
        format!("/api/v1/versions/{version}/original"),
    ] {
        problem(client.get(&path).await, 404, "not_found").await;
    }
    problem(client.delete(&format!("/api/v1/collections/{large}")).await, 404, "not_found").await;
    problem(client.delete(&format!("/api/v1/documents/{document}")).await, 404, "not_found").await;
    let named = json!({ "query": "gate", "collections": [large] });
    problem(client.post("/api/v1/search", &named).await, 404, "not_found").await;
    let question = json!({ "question": "When does the gate close?", "collections": [large] });
    problem(client.post("/api/v1/research", &question).await, 404, "not_found").await;
    for mode in [ModeBody::Hybrid, ModeBody::Lexical, ModeBody::Semantic] {
        assert_eq!(sees(&client, "gate dredger", mode).await, ["minutes.txt"], "{mode:?}");
    }
    let page: Value = client.read("/api/v1/collections").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let form = reqwest::multipart::Form::new().part("file", reqwest::multipart::Part::bytes(&b"x"[..]).file_name("x"));
    problem(client.send(large, form).await, 404, "not_found").await;
    // The same bytes elsewhere know nothing of the document that is going.
    let twin = client.upload(kept, "gate.md", files::MARKDOWN).await;
    assert!(twin.same_bytes.is_empty(), "{:?}", twin.same_bytes);
    // And its name is free.
    client.collection("large").await;

    assert!(app.database.number("select count(*) from carrel.document").await > 5_000, "nothing is cleared yet");
    barrier.rollback().await.unwrap();
    app.idle_within(Duration::from_secs(120)).await;
    for (table, rows) in [("collection", 2), ("document", 2), ("document_version", 2), ("rendition", 2)] {
        let sql = format!("select count(*) from carrel.{table}");
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&app.database.owner).await.unwrap();
        assert_eq!(found, rows, "{table}");
    }
    let strays = "select count(*) from carrel.passage p where not exists
                      (select from carrel.collection c where c.id = p.collection_id and c.removed_at is null)";
    assert_eq!(app.database.number(strays).await, 0);
    assert_eq!(app.database.number("select count(*) from carrel.original").await, 2, "the twin keeps its bytes");
    let jobs: Value = client.read("/api/v1/jobs?kind=collection.clear").await;
    assert_eq!(jobs["items"].as_array().unwrap().len(), 1);
    assert_eq!(sees(&client, "gate", ModeBody::Hybrid).await[0], "gate.md");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_under_way_is_cleared_with_its_collection() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    // The upload stands before its commit, the collection in its hands.
    let mut barrier = app.database.owner.begin().await.unwrap();
    sqlx::query("lock table carrel.audit_entry in exclusive mode").execute(&mut *barrier).await.unwrap();
    let uploading = {
        let client = client.clone();
        tokio::spawn(async move { client.upload(collection, "a.txt", files::TEXT).await })
    };
    let waits = async |what: &'static str| {
        until_within(carrel_testkit::DEADLINE, "somebody waits", async || {
            (app.database.number(what).await > 0).then_some(())
        })
        .await;
    };
    waits("select count(*) from pg_locks where not granted and relation = 'carrel.audit_entry'::regclass").await;
    let deleting = {
        let client = client.clone();
        tokio::spawn(async move { client.delete(&format!("/api/v1/collections/{collection}")).await })
    };
    waits(
        "select count(*) from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock' and query like '%carrel.collection%'",
    )
    .await;
    barrier.rollback().await.unwrap();
    uploading.await.unwrap();
    assert_eq!(deleting.await.unwrap().status(), 204);
    // The upload's own job may find its version gone.
    app.expect_failure("not_found");
    app.idle().await;
    for sql in ["select count(*) from carrel.document", "select count(*) from carrel.original"] {
        assert_eq!(app.database.number(sql).await, 0, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_answered_leaves_a_tombstone() {
    let tombstones = "select count(*) from carrel.tombstone";
    // No worker: the document never becomes searchable, whatever passages it has.
    let app = TestApp::start_with(Setup { jobs: 0, ..Setup::default() }).await;
    app.expect_unfinished();
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let unread = client.upload(collection, "gate.md", files::MARKDOWN).await;
    sqlx::query(
        "insert into carrel.passage (workspace_id, collection_id, document_id, version_id, ordinal, span_start, span_end,
                                     headings, language, text)
         select d.workspace_id, d.collection_id, d.id, $1, n, 0, 4, '{}', 'eng', 'text'
         from carrel.document d, generate_series(1, 10) n",
    )
    .bind(unread.version_id.0)
    .execute(&app.database.owner)
    .await
    .unwrap();
    assert_eq!(client.delete(&format!("/api/v1/documents/{}", unread.document_id)).await.status(), 204);
    assert_eq!(app.database.number(tombstones).await, 0, "there are no postings to silence");

    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let read = client.upload(collection, "gate.md", files::MARKDOWN).await;
    client.upload(collection, "minutes.txt", files::TEXT).await;
    app.idle().await;
    let passages = app.database.number("select count(*) from carrel.passage").await;
    assert_eq!(client.delete(&format!("/api/v1/documents/{}", read.document_id)).await.status(), 204);
    let left = app.database.number("select count(*) from carrel.passage").await;
    assert_eq!(app.database.number(tombstones).await, passages - left);
    assert!(passages > left);
    app.idle().await;
    assert!(sees(&client, "gate", ModeBody::Lexical).await.is_empty());
}
