//! Erasure: everything of a document goes, wherever it was, and that is proved.

use carrel_bundle::verify_receipt;
use carrel_domain::Scopes;
use carrel_domain::custody::{ErasureProgress, Receipt};
use carrel_domain::job::QueueName;
use carrel_storage::erasure::ERASED_CLAIM;
use carrel_storage::{erasure, jobs, originals};
use carrel_testkit::{Client, TestApp, problem, until};
use carrel_wire::{AuditEntryBody, DocumentBody, ErasureBody, Page, UploadBody};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use uuid::Uuid;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Words that stand nowhere but in what is erased: in the first version, in the second one, and in an attachment.
const RARE: [&str; 3] = ["Quorvexinal", "Brimthalion", "Zephyrquartz"];

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

/// The stored files that hold one of the words, or have one of the digests as their name or of their bytes.
fn store_with(app: &TestApp, digests: &[String]) -> Vec<PathBuf> {
    let held = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        let digest = carrel_domain::digest::Digest(Sha256::digest(&bytes).into()).to_string();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let words = RARE.iter().any(|word| bytes.windows(word.len()).any(|part| part == word.as_bytes()));
        words || digests.contains(&digest) || digests.contains(&name)
    };
    files_below(&app.store()).into_iter().filter(held).collect()
}

async fn erase(client: &Client, document: impl std::fmt::Display) -> ErasureBody {
    let answer = client
        .post(&format!("/api/v1/documents/{document}/erase"), &json!({ "reason": "Asked for by the person." }))
        .await;
    assert_eq!(answer.status(), 202);
    answer.json().await.unwrap()
}

async fn receipt(client: &Client, id: impl std::fmt::Display) -> Receipt {
    let signed = client.get(&format!("/api/v1/erasures/{id}/receipt")).await;
    assert_eq!(signed.headers()["content-type"], "application/jose");
    let (receipt, signer) = verify_receipt(&signed.text().await.unwrap()).unwrap();
    let keys: Value = client.read("/.well-known/jwks.json").await;
    assert!(keys["keys"].as_array().unwrap().iter().any(|key| key["kid"] == signer), "{signer}");
    receipt
}

fn cleared(receipt: &Receipt, place: &str) -> u64 {
    receipt.places.iter().find(|cleared| cleared.place == place).unwrap_or_else(|| panic!("{place}")).count
}

/// A document in every place that Carrel has: two versions, attachments, a baseline, a report, kept replies.
struct Everywhere {
    document: Uuid,
    versions: [Uuid; 2],
    digests: Vec<String>,
    run: Uuid,
    baseline: Uuid,
    collection: Uuid,
    fillers: usize,
}

/// `fillers` documents more; 32 make the segments be merged, which puts the words of the first version aside.
async fn everywhere(app: &TestApp, client: &Client, fillers: usize) -> Everywhere {
    let collection = client.collection("harbour").await;
    client.upload(collection, "stays.txt", "The harbour office closes at dusk, as the notice has it.").await;
    let attachment = format!("The attachment says that {} is the name of the gate keeper.", RARE[2]);
    let first = archive(&[
        ("letter.txt", format!("The letter says that {} opens the outer gate at dawn.", RARE[0]).as_bytes()),
        ("inner.zip", &archive(&[("deep.txt", attachment.as_bytes())])),
    ]);
    let form = |bytes: Vec<u8>| {
        let part = reqwest::multipart::Part::bytes(bytes).file_name("case.zip");
        reqwest::multipart::Form::new().part("file", part)
    };
    let path = format!("/api/v1/collections/{collection}/documents");
    let send = client.request(Method::POST, &path).header("idempotency-key", "once").multipart(form(first.clone()));
    let one: UploadBody = send.send().await.unwrap().json().await.unwrap();
    app.idle().await;
    let run = client.ask(&format!("Who opens the outer gate at dawn, {}?", "the keeper")).await;
    app.idle().await;
    let report = client.run(run).await;
    assert!(report.claims.iter().any(|claim| claim.text.contains(RARE[0])), "{:?}", report.claims);
    let baseline: Value = client.post("/api/v1/baselines", &json!({ "name": "as found" })).await.json().await.unwrap();
    let second = archive(&[("letter.txt", format!("Now it is {} who opens the outer gate.", RARE[1]).as_bytes())]);
    let two: UploadBody = client.send(collection, form(second.clone())).await.json().await.unwrap();
    app.idle().await;
    assert_eq!(one.document_id, two.document_id);
    for number in 0..fillers {
        client.upload(collection, &format!("{number}.txt"), format!("Filling number {number} of the segments.")).await;
    }
    app.idle().await;
    for word in RARE {
        assert!(!app.database.rows_with(word).await.is_empty(), "{word}");
    }
    let indexed = app.database.rows_with(&stem(RARE[0])).await;
    assert_eq!(indexed.iter().any(|(place, _)| place.contains("posting_history")), fillers > 30, "{indexed:?}");
    let digests: Vec<String> = sqlx::query_scalar(
        "select distinct encode(v.sha256, 'hex') from carrel.document_version v
         join carrel.document d on d.id = v.document_id
         where d.external_id like 'case.zip%'",
    )
    .fetch_all(&app.database.owner)
    .await
    .unwrap();
    assert!(digests.len() >= 5, "{digests:?}");
    assert!(store_with(app, &digests).len() >= 5);
    Everywhere {
        document: one.document_id.0,
        versions: [one.version_id.0, two.version_id.0],
        digests,
        run,
        baseline: baseline["id"].as_str().unwrap().parse().unwrap(),
        collection,
        fillers,
    }
}

/// The word as the index has it, or its beginning.
fn stem(word: &str) -> String {
    word.to_lowercase().chars().take(8).collect()
}

async fn nothing_is_left(app: &TestApp, client: &Client, what: &Everywhere) {
    for word in RARE {
        assert_eq!(app.database.rows_with(word).await, [], "{word}");
        assert_eq!(app.database.rows_with(&stem(word)).await, [], "{word} in the index");
        let hits = client.find(word).await.hits;
        assert!(hits.iter().all(|hit| !hit.external_id.starts_with("case.zip")), "{word}");
    }
    assert_eq!(store_with(app, &what.digests), Vec::<PathBuf>::new());
    // Digests and ids stay in the manifest and in the trail, and nowhere else.
    for digest in &what.digests {
        for (place, _) in app.database.rows_with(digest).await {
            assert!(
                [
                    "carrel.audit_entry.details",
                    "carrel.erasure.progress",
                    "carrel.erasure.receipt",
                    "carrel.erasure.signature"
                ]
                .contains(&place.as_str())
                    || place.starts_with("carrel_jobs."),
                "{place}"
            );
        }
    }
    for version in what.versions {
        let places: Vec<String> =
            app.database.rows_with(&version.to_string()).await.into_iter().map(|(place, _)| place).collect();
        assert!(
            places.iter().all(|place| place.starts_with("carrel.audit_entry") || place.starts_with("carrel.erasure")),
            "{places:?}"
        );
        problem(client.get(&format!("/api/v1/versions/{version}")).await, 404, "not_found").await;
        problem(client.get(&format!("/api/v1/versions/{version}/original")).await, 404, "not_found").await;
    }
    problem(client.get(&format!("/api/v1/documents/{}", what.document)).await, 404, "not_found").await;
    let left: Page<DocumentBody> =
        client.read(&format!("/api/v1/collections/{}/documents?limit=200", what.collection)).await;
    assert!(left.items.iter().all(|document| !document.external_id.starts_with("case.zip")));
    let harbour = client.find("harbour office dusk").await;
    assert_eq!(harbour.hits[0].external_id, "stays.txt", "what stays is found as before");
    let filling = client.find("filling segments").await.hits;
    assert_eq!(filling.iter().filter(|hit| hit.document_name != "stays.txt").count(), what.fillers.min(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_of_a_document_goes_and_the_receipt_proves_it() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let what = everywhere(&app, &client, 32).await;
    problem(client.get(&format!("/api/v1/erasures/{}", Uuid::now_v7())).await, 404, "not_found").await;
    let begun = erase(&client, what.document).await;
    app.idle().await;
    nothing_is_left(&app, &client, &what).await;

    let erasure: ErasureBody = client.read(&format!("/api/v1/erasures/{}", begun.id)).await;
    assert_eq!(erasure.state, "completed");
    let receipt = receipt(&client, begun.id).await;
    assert_eq!((receipt.document.0, receipt.reason.as_str()), (what.document, "Asked for by the person."));
    assert_eq!(receipt.documents.len(), 4, "with what was found inside: {:?}", receipt.documents);
    assert_eq!(receipt.versions.len(), 6);
    assert_eq!(cleared(&receipt, "store"), what.digests.len() as u64);
    for place in [
        "rendition",
        "passage",
        "embedding",
        "posting",
        "posting_history",
        "research_evidence",
        "research_citation",
        "research_claim",
        "research_event",
        "idempotency",
        "document_version",
        "document",
        "job_history",
    ] {
        assert!(cleared(&receipt, place) > 0, "{place}: {:?}", receipt.places);
    }
    assert!(
        receipt.checks.len() >= 5 && receipt.checks.iter().all(|check| check.found == 0 && check.looked_at > 0),
        "{:?}",
        receipt.checks
    );
    assert!(receipt.remains.iter().any(|rest| rest.place == "baseline_member"));

    // The report says it; the manifest still names the digest; the trail names who and why.
    let report = client.run(what.run).await;
    assert!(report.claims.iter().any(|claim| claim.text == ERASED_CLAIM && claim.citations.is_empty()));
    assert!(report.report.unwrap().contains("this claim quoted a document that was erased"));
    let members: Value = client.read(&format!("/api/v1/baselines/{}/documents?limit=200", what.baseline)).await;
    let member =
        members["items"].as_array().unwrap().iter().find(|member| member["document_id"] == what.document.to_string());
    assert!(what.digests.iter().any(|digest| member.unwrap()["sha256"] == digest.as_str()));
    assert_eq!(member.unwrap()["erased"]["reason"], "Asked for by the person.");
    for (action, entries) in [("erase_document", 1), ("complete_erasure", 1)] {
        let trail: Page<AuditEntryBody> =
            client.read(&format!("/api/v1/audit?action={action}&subject={}", what.document)).await;
        assert_eq!(trail.items.len(), entries, "{action}");
    }
    let again = erase(&client, what.document).await;
    assert_eq!((again.id, again.state.as_str()), (begun.id, "completed"));
    // The same file may come back: as a new document.
    let back = client.upload(what.collection, "case.zip", archive(&[("a.txt", b"Another letter of the case.")])).await;
    assert_ne!(back.document_id.0, what.document);
    app.idle().await;
    problem(app.stranger().await.get(&format!("/api/v1/erasures/{}/receipt", begun.id)).await, 404, "not_found").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_document_holds_as_well_stays_and_is_named() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let text = format!("The minutes mention {} and nobody else at the quay.", RARE[0]);
    let one = client.upload(collection, "one.txt", text.clone()).await;
    let twin = client.upload(collection, "twin.txt", text).await;
    app.idle().await;
    let begun = erase(&client, one.document_id).await;
    app.idle().await;
    let receipt = receipt(&client, begun.id).await;
    assert_eq!(cleared(&receipt, "store"), 0);
    let kept = receipt.remains.iter().find(|rest| rest.place == "store").unwrap();
    assert!(kept.why.contains(&twin.document_id.to_string()) && kept.why.contains(&one.sha256), "{kept:?}");
    assert!(receipt.remains.iter().any(|rest| rest.place == "rendition"), "{:?}", receipt.remains);
    let hits = client.find(RARE[0]).await.hits;
    assert_eq!(hits.iter().map(|hit| hit.external_id.as_str()).collect::<Vec<_>>(), ["twin.txt"]);
    let bytes = client.get(&format!("/api/v1/versions/{}/original", twin.version_id)).await;
    assert_eq!(bytes.status(), 200);
}

/// The job is killed after each of its steps and begins again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_was_killed_ends_like_one_that_was_not() {
    let mut outcomes = Vec::new();
    for steps in 0..5 {
        let app = TestApp::start().await;
        let client = app.client(Scopes::all()).await;
        let what = everywhere(&app, &client, 0).await;
        let database = &app.operations.database;
        jobs::pause_queue(database, QueueName::Maintenance, None).await.unwrap();
        let begun = erase(&client, what.document).await;
        problem(client.get(&format!("/api/v1/erasures/{}/receipt", begun.id)).await, 404, "not_ready_yet").await;
        problem(client.delete(&format!("/api/v1/documents/{}", what.document)).await, 409, "being_erased").await;
        let form = reqwest::multipart::Form::new()
            .part("file", reqwest::multipart::Part::bytes(&b"something new"[..]).file_name("case.zip"));
        problem(client.send(what.collection, form).await, 409, "being_erased").await;
        if steps > 0 {
            let mut transaction = database.begin(app.workspace).await.unwrap();
            let mut progress: ErasureProgress = erasure::family(&mut transaction, what.document.into()).await.unwrap();
            assert_eq!(erasure::stop_jobs(&mut transaction, &progress.versions).await.unwrap(), 0);
            erasure::clear(&mut transaction, begun.id, &mut progress).await.unwrap();
            if steps == 1 {
                // Killed before the commit.
                transaction.rollback().await.unwrap();
            } else {
                transaction.commit().await.unwrap();
            }
            let sha256 = progress.versions[0].sha256;
            if steps > 2 {
                let mut transaction = database.begin(app.workspace).await.unwrap();
                assert!(originals::begin_release(&mut transaction, sha256).await.unwrap());
                transaction.commit().await.unwrap();
            }
            if steps > 3 {
                app.operations.originals.delete(app.workspace, sha256).await.unwrap();
            }
        }
        jobs::resume_queue(database, QueueName::Maintenance).await.unwrap();
        app.idle().await;
        nothing_is_left(&app, &client, &what).await;
        let receipt = receipt(&client, begun.id).await;
        let mut places: Vec<(String, u64)> =
            receipt.places.into_iter().map(|place| (place.place, place.count)).collect();
        places.sort();
        outcomes.push((places, receipt.documents.len(), receipt.versions.len(), receipt.checks));
    }
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "{outcomes:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_comes_in_between_stops_the_job() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let made = client.upload(collection, "gate.txt", "The gate closes at dusk, says the notice.").await;
    app.idle().await;
    jobs::pause_queue(&app.operations.database, QueueName::Maintenance, None).await.unwrap();
    let begun = erase(&client, made.document_id).await;
    let body = json!({ "document_id": made.document_id, "reason": "The claim of 3 May." });
    let held: Value = client.post("/api/v1/holds", &body).await.json().await.unwrap();
    jobs::resume_queue(&app.operations.database, QueueName::Maintenance).await.unwrap();
    app.expect_failure("legal_hold");
    app.idle().await;
    assert_eq!(client.get(&format!("/api/v1/versions/{}/original", made.version_id)).await.status(), 200);
    let release = format!("/api/v1/holds/{}/release", held["id"].as_str().unwrap());
    client.post(&release, &json!({ "reason": "Settled." })).await;
    let retry = client.request(Method::POST, &format!("/api/v1/jobs/{}/retry", begun.job_id)).send().await.unwrap();
    assert_eq!(retry.status(), 202);
    until("the erasure is completed", async || {
        let erasure: ErasureBody = client.read(&format!("/api/v1/erasures/{}", begun.id)).await;
        (erasure.state == "completed").then_some(())
    })
    .await;
    app.idle().await;
    problem(client.get(&format!("/api/v1/versions/{}", made.version_id)).await, 404, "not_found").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_needs_its_scope_a_reason_and_a_document() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let made = client.upload(collection, "gate.txt", "The gate closes at dusk.").await;
    app.idle().await;
    let path = format!("/api/v1/documents/{}/erase", made.document_id);
    let reason = json!({ "reason": "asked for" });
    let everything_else: Scopes = Scopes::all().iter().filter(|scope| scope.as_str() != "documents:erase").collect();
    let other = app.client(everything_else).await;
    let refused = problem(other.post(&path, &reason).await, 403, "scope_missing").await;
    assert!(refused.detail.contains("documents:erase"));
    problem(app.stranger().await.post(&path, &reason).await, 404, "not_found").await;
    problem(client.post(&path, &json!({ "reason": " " })).await, 422, "invalid_value").await;
    problem(client.post(&path, &json!({})).await, 400, "malformed_body").await;
    let missing = format!("/api/v1/documents/{}/erase", Uuid::now_v7());
    problem(client.post(&missing, &reason).await, 404, "not_found").await;
    assert_eq!(client.get(&format!("/api/v1/versions/{}/original", made.version_id)).await.status(), 200);
}
