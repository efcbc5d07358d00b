//! Documents inside of documents.

use carrel_domain::Scopes;
use carrel_testkit::TestApp;
use carrel_wire::{DocumentBody, Page};
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

    client.upload(collection, "evidence.zip", outer).await;
    app.idle().await;
    let again: Page<DocumentBody> = client.read(&format!("/api/v1/collections/{collection}/documents?limit=50")).await;
    assert_eq!(again.items.len(), 5, "the same archive brings nothing new");
    assert!(again.items.iter().all(|document| document.versions == 1));
}
