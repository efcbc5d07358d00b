//! Uploads of bytes that are being released.

use bytes::Bytes;
use carrel_domain::{Actor, ClientId, OperationContext, RequestId, Scopes};
use carrel_operations::{Once, Upload};
use carrel_storage::originals;
use carrel_testkit::{Setup, TestApp, until};
use chrono::Utc;
use futures::{TryStreamExt, stream};
use std::convert::Infallible;
use uuid::Uuid;

const TEXT: &[u8] = b"Minutes of the harbour board, second copy.";

fn context(app: &TestApp) -> OperationContext {
    OperationContext {
        actor: Actor::Client { id: ClientId(Uuid::now_v7()) },
        workspace: app.workspace,
        scopes: Scopes::all(),
        request_id: RequestId(Uuid::now_v7()),
        now: Utc::now(),
        traceparent: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_arrive_during_their_release_are_kept() {
    // No worker: the test is the job that releases, step by step.
    let app = TestApp::start_with(Setup { jobs: 0, ..Setup::default() }).await;
    app.expect_unfinished();
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let first = client.upload(collection, "first.txt", TEXT).await;
    assert_eq!(client.delete(&format!("/api/v1/documents/{}", first.document_id)).await.status(), 204);
    let sha256 = carrel_domain::digest::Digest::parse(&first.sha256).unwrap();

    let mut release = app.operations.database.begin(app.workspace).await.unwrap();
    assert!(originals::begin_release(&mut release, sha256).await.unwrap());

    let (operations, context) = (app.operations.clone(), context(&app));
    let uploading = tokio::spawn(async move {
        let bytes = stream::iter([Ok::<_, Infallible>(Bytes::from_static(TEXT))]);
        let staged = operations.stage_upload(&context, bytes).await.unwrap();
        let upload = Upload {
            collection: collection.into(),
            file_name: "second.txt".to_owned(),
            external_id: None,
            title: None,
            media_type: None,
            metadata: None,
            within: None,
        };
        operations.add_document(&context, &upload, staged, Once::without_key()).await.unwrap();
    });
    until("the upload asks whether the bytes are there", async || {
        let sql =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        (app.database.number(sql).await > 0).then_some(())
    })
    .await;
    release.commit().await.unwrap();
    app.operations.originals.delete(app.workspace, sha256).await.unwrap();
    let mut tx = app.operations.database.begin(app.workspace).await.unwrap();
    originals::finish_release(&mut tx, sha256).await.unwrap();
    tx.commit().await.unwrap();

    uploading.await.unwrap();
    let read = app.operations.originals.read(app.workspace, sha256, None).await.expect("the original is there");
    let parts: Vec<Bytes> = read.try_collect().await.unwrap();
    assert_eq!(parts.concat(), TEXT);
    let staged = std::fs::read_dir(app.store().join("staging")).map_or(0, Iterator::count);
    assert_eq!(staged, 0, "nothing stays in staging");
}
