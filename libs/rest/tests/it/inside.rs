//! Documents inside of documents.

use carrel_domain::Scopes;
use carrel_testkit::TestApp;
use carrel_wire::{ActorBody, DocumentBody, Page, VersionBody};
use std::io::{Cursor, Write};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_archives_become_documents_that_answer() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let inner = archive(&[("log.txt", b"The shift log mentions the frozen echo.")]);
    let outer = archive(&[
        ("letters/first.txt", b"The first letter mentions the lock gate."),
        ("letters/second.txt", b"The second letter mentions the quay."),
        ("empty.txt", b""),
        ("night.zip", &inner),
    ]);
    client.upload(collection, "evidence.zip", outer.clone()).await;
    app.idle().await;
    let documents: Page<DocumentBody> =
        client.read(&format!("/api/v1/collections/{collection}/documents?limit=50")).await;
    let mut ids: Vec<&str> = documents.items.iter().map(|document| document.external_id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(
        ids,
        [
            "evidence.zip",
            "evidence.zip/letters/first.txt",
            "evidence.zip/letters/second.txt",
            "evidence.zip/night.zip",
            "evidence.zip/night.zip/log.txt",
        ]
    );
    let found = client.find("frozen echo").await;
    assert_eq!(found.hits[0].external_id, "evidence.zip/night.zip/log.txt");
    let log = documents.items.iter().find(|document| document.external_id.ends_with("log.txt")).unwrap();
    assert_eq!(log.metadata["found_in"]["depth"], 2);
    assert_eq!(log.metadata["found_in"]["path"], "log.txt");

    let named = |name: &str| documents.items.iter().find(|document| document.external_id == name).unwrap();
    let (outermost, night) = (&named("evidence.zip").latest, &named("evidence.zip/night.zip").latest);
    assert_eq!((outermost.members, night.members, log.latest.members), (Some(3), Some(1), None));
    let from = |version: &VersionBody| {
        let origin = version.origin.clone().unwrap();
        (origin.kind, origin.version_id)
    };
    assert_eq!(from(outermost), ("upload".to_owned(), None));
    assert_eq!(from(&log.latest), ("member".to_owned(), Some(night.id)));
    assert!(matches!(outermost.created_by, Some(ActorBody::Client { .. })));
    assert!(matches!(log.latest.created_by, Some(ActorBody::Job { .. })));

    // What was sent itself is read first, and so is what follows from it.
    let sql = "select j.priority from carrel.job_history j
               where (j.payload ->> 'version')::uuid = any ($1) group by 1 order by 1";
    for (versions, priority) in [(vec![outermost.id.0], 0), (vec![night.id.0, log.latest.id.0], 5)] {
        let found: Vec<i16> = sqlx::query_scalar(sql).bind(versions).fetch_all(&app.database.owner).await.unwrap();
        assert_eq!(found, [priority]);
    }

    client.upload(collection, "evidence.zip", outer).await;
    app.idle().await;
    let again: Page<DocumentBody> = client.read(&format!("/api/v1/collections/{collection}/documents?limit=50")).await;
    assert_eq!(again.items.len(), 5, "the same archive brings nothing new");
    assert!(again.items.iter().all(|document| document.versions == 1));
}
