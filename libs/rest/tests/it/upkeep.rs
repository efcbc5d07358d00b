//! Originals that rot, documents that are alike, archives without end.

use carrel_domain::digest::Digest;
use carrel_domain::job::{JobKind, JobSpec};
use carrel_domain::{Actor, JobId, Scopes};
use carrel_operations::kinds::BeginFixity;
use carrel_storage::jobs;
use carrel_storage::store_check::{self, CheckRules, Depth, Remedy, StoreReport, Trouble};
use carrel_storage::{OriginalStore, store_move};
use carrel_testkit::{Client, Setup, TestApp, problem};
use carrel_wire::{DocumentBody, DuplicateBody, FixityReportBody, Page};
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::Value;
use std::io::{Cursor, Write};
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

pub(crate) async fn enqueue<K: JobKind>(app: &TestApp, payload: &K) {
    let mut transaction = app.operations.database.begin(app.workspace).await.unwrap();
    let spec = JobSpec::new(JobId(Uuid::now_v7()), payload).unwrap();
    jobs::enqueue(&mut transaction, &[spec], &Actor::Operator).await.unwrap();
    transaction.commit().await.unwrap();
}

/// Where the bytes of an original lie.
fn place(app: &TestApp, sha256: &str) -> PathBuf {
    app.store().join("originals").join(app.workspace.to_string()).join(&sha256[..2]).join(sha256)
}

fn flip(path: &std::path::Path, bit: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let bit = bit % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    std::fs::write(path, bytes).unwrap();
}

async fn check(app: &TestApp, client: &Client) -> FixityReportBody {
    enqueue(app, &BeginFixity {}).await;
    app.idle().await;
    client.read("/api/v1/fixity").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flipped_bit_is_found_told_and_healed_by_the_same_file() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let mut uploads = Vec::new();
    for number in 0..12 {
        let text = format!("Letter {number} about the outer gate. ").repeat(40 + number);
        let name = format!("letter{number}.txt");
        uploads.push((client.upload(collection, &name, text.clone()).await, name, text));
    }
    app.idle().await;
    let sound = check(&app, &client).await;
    assert_eq!((sound.originals, sound.checked, sound.damaged, sound.missing), (12, 12, 0, 0));

    // One bit of each but two, at a place that the digest of its name tells; one is cut, one is gone.
    for (number, (upload, name, _)) in uploads.iter().enumerate() {
        let path = place(&app, &upload.sha256);
        match number {
            0 => {}
            1 => std::fs::remove_file(&path).unwrap(),
            2 => std::fs::write(&path, &std::fs::read(&path).unwrap()[1..]).unwrap(),
            _ => {
                let mark = name.bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(1_000_003) ^ usize::from(byte));
                flip(&path, mark);
            }
        }
    }
    let found = check(&app, &client).await;
    assert_eq!((found.checked, found.damaged, found.missing), (12, 10, 1), "every one of them");
    assert_eq!(found.items.len(), 11);
    let first: FixityReportBody = client.read("/api/v1/fixity?limit=4").await;
    let next = first.next_cursor.expect("there are more");
    let second: FixityReportBody = client.read(&format!("/api/v1/fixity?limit=10&cursor={next}")).await;
    assert_eq!((first.items.len(), second.items.len()), (4, 7));

    let (damaged, name, text) = &uploads[5];
    let version: Value = client.read(&format!("/api/v1/versions/{}", damaged.version_id)).await;
    assert_eq!(version["version"]["fixity"]["verdict"], "damaged");
    assert!(version["version"]["fixity"]["problem"].as_str().unwrap().starts_with("its SHA-256 is"));
    // Nobody gets the last bytes of something that is not the original.
    let path = format!("/api/v1/versions/{}/original", damaged.version_id);
    problem(client.get(&path).await, 500, "original_damaged").await;
    // What is too large to be read before the head goes out breaks off, and may even before its head has left.
    let long = client.upload(collection, "long.txt", "The pump runs every night. ".repeat(60_000)).await;
    app.idle().await;
    flip(&place(&app, &long.sha256), 77_777);
    let path = format!("/api/v1/versions/{}/original", long.version_id);
    if let Ok(original) = client.request(Method::GET, &path).send().await {
        assert!(original.bytes().await.is_err(), "the answer breaks off");
    }
    client.request(Method::DELETE, &format!("/api/v1/documents/{}", long.document_id)).send().await.unwrap();
    app.idle().await;

    client.upload(collection, name, text.clone()).await;
    let healed = check(&app, &client).await;
    assert_eq!((healed.damaged, healed.missing), (9, 1));
    let version: Value = client.read(&format!("/api/v1/versions/{}", damaged.version_id)).await;
    assert_eq!(version["version"]["fixity"]["verdict"], "sound");
    assert_eq!(version["version"]["fixity"]["damaged_since"], Value::Null);
    let stranger: FixityReportBody = app.stranger().await.read("/api/v1/fixity").await;
    assert_eq!((stranger.originals, stranger.items.len()), (0, 0), "another workspace sees nothing of it");
}

fn rules(remedy: Remedy, now: DateTime<Utc>) -> CheckRules {
    CheckRules { depth: Depth::Bytes, remedy, grace: Duration::from_hours(2), now }
}

async fn look(app: &TestApp, rules: &CheckRules) -> StoreReport {
    let operations = &app.operations;
    let (database, store) = (&operations.database, &operations.originals);
    let mut report = StoreReport::default();
    let mut pace = carrel_storage::fixity::Pace::new(None);
    store_check::check_originals(database, store, app.workspace, rules, &mut pace, &mut report, &mut |_| {})
        .await
        .unwrap();
    store_check::collect_orphans(database, store, app.workspace, rules, &mut report).await.unwrap();
    store_check::collect_staged(store, rules, &mut report).await.unwrap();
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_is_compared_with_the_database_and_only_what_is_old_goes() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let kept = client.upload(collection, "kept.txt", "The gate closes.").await;
    let rotten = client.upload(collection, "rotten.txt", "The quay is long.").await;
    let lost = client.upload(collection, "lost.txt", "The mole is short.").await;
    app.idle().await;
    flip(&place(&app, &rotten.sha256), 9);
    std::fs::remove_file(place(&app, &lost.sha256)).unwrap();
    let orphan = place(&app, &"ab".repeat(32));
    std::fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    std::fs::write(&orphan, "nobody's").unwrap();
    let foreign = app.store().join("originals").join(app.workspace.to_string()).join("notes.txt");
    std::fs::write(&foreign, "not ours").unwrap();
    let staged = app.store().join("staging");
    std::fs::create_dir_all(&staged).unwrap();
    for name in ["left-over", "broken-off#1"] {
        std::fs::write(staged.join(name), "half").unwrap();
    }
    let now = Utc::now();
    let young = look(&app, &rules(Remedy::Repair, now)).await;
    assert_eq!(young.count(Trouble::Orphan), 1, "it is told");
    assert!(orphan.exists(), "and left, because an upload may be about to use it");
    assert_eq!(young.count(Trouble::Staged), 0, "an upload that runs");
    assert!(staged.join("left-over").exists() && staged.join("broken-off#1").exists());
    assert_eq!((young.count(Trouble::Missing), young.count(Trouble::Damaged)), (1, 1));
    assert_eq!(young.count(Trouble::Foreign), 1);
    assert!(!young.is_sound());
    assert!(!place(&app, &rotten.sha256).exists(), "damaged bytes are out of the way");

    let later = now + chrono::Duration::hours(3);
    let told = look(&app, &rules(Remedy::Tell, later)).await;
    assert_eq!((told.count(Trouble::Orphan), told.count(Trouble::Staged), told.quarantined), (1, 2, 1));
    assert!(orphan.exists());
    let old = look(&app, &rules(Remedy::Repair, later)).await;
    assert_eq!((old.count(Trouble::Orphan), old.count(Trouble::Staged)), (1, 2));
    assert!(!orphan.exists() && !staged.join("left-over").exists() && !staged.join("broken-off#1").exists());
    assert!(foreign.exists(), "what is not ours is never touched");
    assert!(place(&app, &kept.sha256).exists());
    let rows = "select count(*) from carrel.original";
    assert_eq!(app.database.number(rows).await, 3, "no row of an orphan is left");
    for (name, text) in [("rotten.txt", "The quay is long."), ("lost.txt", "The mole is short.")] {
        client.upload(collection, name, text).await;
    }
    assert!(look(&app, &rules(Remedy::Tell, later)).await.is_sound(), "the same files heal them");
    app.idle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_to_another_store_goes_on_where_it_was() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    for number in 0..5 {
        client.upload(collection, &format!("{number}.txt"), format!("Letter number {number}.")).await;
    }
    app.idle().await;
    let folder = tempfile::tempdir().unwrap();
    let target = OriginalStore::directory(folder.path()).unwrap();
    let from = &app.operations.originals;
    let mut seen = 0;
    let moved =
        store_move::copy_all(from, &target, store_move::Trust::Digest, &mut |bytes| seen += bytes).await.unwrap();
    assert_eq!((moved.copied, moved.present, moved.complete), (5, 0, true));
    assert_eq!(seen, moved.bytes);
    // One arrived damaged as long as nobody looked, one came after, one is damaged at home.
    let late = client.upload(collection, "late.txt", "The late letter.").await;
    app.idle().await;
    let path =
        |sha256: &str| folder.path().join("originals").join(app.workspace.to_string()).join(&sha256[..2]).join(sha256);
    let listed: Page<DocumentBody> = client.read(&format!("/api/v1/collections/{collection}/documents")).await;
    flip(&path(&listed.items[0].latest.sha256), 3);
    let again = store_move::copy_all(from, &target, store_move::Trust::Digest, &mut |_| {}).await.unwrap();
    assert_eq!((again.copied, again.present), (2, 4));
    assert!(path(&late.sha256).exists());
    flip(&place(&app, &late.sha256), 5);
    std::fs::remove_file(path(&late.sha256)).unwrap();
    let damaged = store_move::copy_all(from, &target, store_move::Trust::Size, &mut |_| {}).await.unwrap();
    assert_eq!((damaged.copied, damaged.present, damaged.damaged.len()), (0, 5, 1));
    assert!(!path(&late.sha256).exists(), "damage is not copied");
    // A store that knows the one before reads what is only there.
    let empty = tempfile::tempdir().unwrap();
    let new = OriginalStore::directory(empty.path()).unwrap().with_previous(target);
    let sha256 = Digest::parse(&listed.items[1].latest.sha256).unwrap();
    new.fetch(app.workspace, sha256, &empty.path().join("copy")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_are_told_in_whatever_collection_and_never_dropped() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let (here, there) = (client.collection("here").await, client.collection("there").await);
    let text: String = (0..300).map(|word| format!("word{} lies at berth {} ", word, word % 7)).collect();
    let edited = text.replace("word150 lies", "word150 does not lie");
    let first = client.upload(here, "first.txt", text.clone()).await;
    let same = client.upload(there, "same.txt", text.clone()).await;
    let near = client.upload(there, "near.txt", edited).await;
    let other = client.upload(here, "other.txt", "A dredger waits for high water beyond the bar.").await;
    app.idle().await;
    let found: Vec<DuplicateBody> = client.read(&format!("/api/v1/documents/{}/duplicates", first.document_id)).await;
    let kinds: Vec<(&str, _)> = found.iter().map(|row| (row.kind.as_str(), row.document_id)).collect();
    assert_eq!(kinds, [("exact", same.document_id), ("near", near.document_id)]);
    let similarity = found[1].similarity.unwrap();
    assert!(similarity > 0.9 && similarity < 1.0, "{similarity}");
    assert!(found[1].closeness.is_some_and(|cosine| cosine > 0.9), "{found:?}");
    let document: DocumentBody = client.read(&format!("/api/v1/documents/{}", near.document_id)).await;
    assert_eq!(document.duplicates.len(), 2, "both are nearly it");
    let alone: DocumentBody = client.read(&format!("/api/v1/documents/{}", other.document_id)).await;
    assert!(alone.duplicates.is_empty());
    let hits = client.find("word150").await.hits;
    let names: std::collections::BTreeSet<&str> = hits.iter().map(|hit| hit.document_name.as_str()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["first.txt", "near.txt", "same.txt"], "none is dropped");
    let id = first.document_id;
    problem(client.get(&format!("/api/v1/documents/{id}/duplicates?least=0.1")).await, 422, "invalid_value").await;
    let stranger = app.stranger().await;
    problem(stranger.get(&format!("/api/v1/documents/{id}/duplicates")).await, 404, "not_found").await;
    // A new version that says something else is no duplicate any more.
    client.upload(there, "near.txt", "Now about tugs and their crews.").await;
    app.idle().await;
    let found: Vec<DuplicateBody> = client.read(&format!("/api/v1/documents/{id}/duplicates")).await;
    assert_eq!(found.len(), 1, "{found:?}");
}

fn archive(members: impl Iterator<Item = (String, Vec<u8>)>) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_documents_inside_of_one_end_with_their_reason() {
    let app = TestApp::start_with(Setup { descendants: 25, ..Setup::default() }).await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    // Ten archives of ten of ten of ten of a hundred letters each, within the depth that is allowed.
    let mut nested =
        archive((0..100).map(|number| (format!("{number}.txt"), format!("Letter {number}.").into_bytes())));
    for _ in 0..4 {
        nested = archive((0..10).map(|number| (format!("{number}.zip"), nested.clone())));
    }
    let upload = client.upload(collection, "room.zip", nested).await;
    let good = client.upload(collection, "gate.txt", "The gate closes in ninety seconds.").await;
    app.expect_failure("too_many");
    app.idle_within(Duration::from_secs(240)).await;
    let inside = app.database.number("select max(descendants)::bigint from carrel.document_version").await;
    assert_eq!(inside, 20, "ten archives, and the ten of the first that was opened");
    assert_eq!(app.database.number("select count(*) from carrel.document").await, 22);
    let refused = "select count(*) from carrel.document_version where state = 'failed' and failure_code = 'too_many'";
    assert_eq!(app.database.number(refused).await, 9 + 10);
    for version in [upload.version_id, good.version_id] {
        let page: Value = client.read(&format!("/api/v1/versions/{version}")).await;
        assert_eq!(page["version"]["state"], "searchable", "the archive goes on: {page}");
    }
    let jobs: Value = client.read("/api/v1/jobs?state=discarded&limit=1").await;
    let message = jobs["items"][0]["last_error"]["message"].as_str().unwrap();
    assert!(message.contains("more than the 25"), "{message}");
}
