//! Workers that are killed (SIGKILL) in the middle of what must not be left half done.

use crate::processes::{Running, WORKER, free_address, program};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use carrel_bundle::verify_receipt;
use carrel_domain::custody::Receipt;
use carrel_domain::{Actor, Scopes};
use carrel_inference::hashing::HashingEmbedder;
use carrel_inference::wire::{EmbeddingsRequest, EmbeddingsResponse};
use carrel_inference::{Embedder, EmbeddingSpace, InputKind, OpenAiEmbedder, RemoteOptions};
use carrel_operations::start_filling;
use carrel_storage::generations;
use carrel_testkit::{Client, Setup, TestApp, problem, until_within};
use carrel_wire::{ErasureBody, ModeBody, SearchBody};
use serde_json::json;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longer than the lease of a killed worker and the look for such leases.
const LONG: Duration = Duration::from_secs(60);
const RARE: &str = "Quorvexinal";
const MODEL: &str = "second-model";
const DIMENSION: usize = 96;

/// The API in this process, and no worker but those that a test starts.
async fn api(next: Option<Arc<dyn Embedder>>) -> TestApp {
    TestApp::start_between(Setup { jobs: 0, ..Setup::default() }, next).await
}

/// A worker's process on the application's database and store.
fn worker(app: &TestApp, data: &Path, queues: &str, settings: &[(&str, &str)]) -> Running {
    let mut command = program(WORKER, data);
    command
        .args(["--queues", queues])
        .env("CARREL__DATABASE__URL", &app.database.service_url)
        .env("CARREL__STORE__PATH", app.store())
        .env("CARREL__JOBS__LEASE_SECONDS", "5")
        .env("CARREL__SERVER__METRICS_LISTEN", free_address().to_string())
        .env("CARREL__INFERENCE__EMBEDDER__DIMENSION", app.operations.embedder.space().dimension.to_string())
        .env("CARREL__TELEMETRY__LOG_FILTER", "warn")
        .envs(settings.iter().copied())
        .stderr(Stdio::inherit());
    Running(command.spawn().unwrap())
}

const ALL: &str = "ingest=1,ai=1,maintenance=1";

fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}

async fn erasure(client: &Client, id: impl std::fmt::Display) -> ErasureBody {
    client.read(&format!("/api/v1/erasures/{id}")).await
}

/// Tables whose writers stand still, one after the other: while the rows are cleared and nothing is committed; between
/// the rows and the store; before the receipt. At each the worker is killed.
async fn erased_in_spite_of(kills: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let app = api(None).await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let made = client.upload(collection, "letter.txt", format!("{RARE} opens the outer gate at dawn.")).await;
    client.upload(collection, "stays.txt", "The harbour office closes at dusk.").await;
    let first = worker(&app, folder.path(), ALL, &[]);
    app.idle_within(LONG).await;
    drop(first);
    assert!(app.database.rows_with(RARE).await.len() > 1, "its text and its passage");
    let originals = app.store().join("originals");
    assert_eq!(files_below(&originals), 2);

    let path = format!("/api/v1/documents/{}/erase", made.document_id);
    let answer = client.post(&path, &json!({ "reason": "Asked for by the person." })).await;
    let begun: ErasureBody = answer.json().await.unwrap();
    for table in kills {
        let mut held = app.database.hold(table).await;
        let running = worker(&app, folder.path(), ALL, &[]);
        held.wanted().await;
        let (state, kept) = (erasure(&client, begun.id).await.state, files_below(&originals));
        let expected = match *table {
            "carrel.custody_event" => ("requested", 2),
            "carrel.original" => ("clearing", 2),
            _ => ("clearing", 1),
        };
        assert_eq!((state.as_str(), kept), expected, "{table}");
        // SIGKILL: nothing of the program runs any more.
        drop(running);
        held.release().await;
        assert_ne!(erasure(&client, begun.id).await.state, "completed", "{table}");
    }
    let _last = worker(&app, folder.path(), ALL, &[]);
    until_within(LONG, "the erasure is completed", async || {
        (erasure(&client, begun.id).await.state == "completed").then_some(())
    })
    .await;
    app.idle_within(LONG).await;

    let signed = client.get(&format!("/api/v1/erasures/{}/receipt", begun.id)).await.text().await.unwrap();
    let (receipt, _): (Receipt, _) = verify_receipt(&signed).unwrap();
    assert_eq!(receipt.document, made.document_id);
    assert!(receipt.checks.iter().all(|check| check.found == 0 && check.looked_at > 0), "{:?}", receipt.checks);
    let cleared = |place: &str| receipt.places.iter().find(|cleared| cleared.place == place).unwrap().count;
    assert_eq!((cleared("store"), cleared("document"), cleared("rendition")), (1, 1, 1), "each is counted once");
    for word in [RARE, "quorvexi"] {
        assert_eq!(app.database.rows_with(word).await, []);
    }
    assert_eq!(files_below(&originals), 1);
    assert_eq!(files_below(&folder.path().join("scratch")), 0);
    problem(client.get(&format!("/api/v1/documents/{}", made.document_id)).await, 404, "not_found").await;
    assert!(client.find(RARE).await.hits.iter().all(|hit| hit.document_name == "stays.txt"));
    assert_eq!(client.find("harbour office").await.hits[0].document_name, "stays.txt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_whose_workers_are_killed_before_and_after_its_commit_is_ended_by_the_next() {
    erased_in_spite_of(&["carrel.custody_event", "carrel.original"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_whose_worker_is_killed_before_the_receipt_is_proved_by_the_next() {
    erased_in_spite_of(&["carrel.audit_entry"]).await;
}

/// A model that stops answering, and what it was asked.
struct Model {
    asked: Mutex<Vec<String>>,
    /// How many texts it answers at most.
    patience: Mutex<usize>,
}

async fn embed(State(model): State<Arc<Model>>, Json(request): Json<EmbeddingsRequest>) -> Json<EmbeddingsResponse> {
    let inputs = request.into_inputs();
    let patient = {
        let mut asked = model.asked.lock().unwrap();
        asked.extend(inputs.iter().cloned());
        asked.len() <= *model.patience.lock().unwrap()
    };
    if !patient {
        std::future::pending::<()>().await;
    }
    let hashing = HashingEmbedder::new(DIMENSION);
    let vectors = hashing.embed(&inputs, InputKind::Passage).await.unwrap();
    let space = EmbeddingSpace { name: MODEL.to_owned(), ..hashing.space().clone() };
    Json(EmbeddingsResponse::new(&space, vectors))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_generation_whose_worker_is_killed_is_filled_by_the_next() {
    let model = Arc::new(Model { asked: Mutex::default(), patience: Mutex::new(usize::MAX) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/embeddings", post(embed)).with_state(Arc::clone(&model));
    tokio::spawn(axum::serve(listener, router).into_future());
    let next = OpenAiEmbedder::new(RemoteOptions::new(&url, MODEL, DIMENSION)).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let app = api(Some(Arc::new(next))).await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    client.upload(collection, "gate.txt", "The lock gate closes at dusk.").await;
    // More passages than two batches of the job.
    let berths: String = (0..1_400)
        .map(|n| format!("# Berth {n}\n\nShip number {n} lies at berth {n}. {}\n\n", "It waits. ".repeat(60)))
        .collect();
    client.upload(collection, "berths.md", berths).await;
    let dimension = DIMENSION.to_string();
    let second = [
        ("CARREL__INFERENCE__NEXT__PROVIDER", "openai"),
        ("CARREL__INFERENCE__NEXT__URL", url.as_str()),
        ("CARREL__INFERENCE__NEXT__MODEL", MODEL),
        ("CARREL__INFERENCE__NEXT__DIMENSION", dimension.as_str()),
        ("CARREL__INFERENCE__NEXT__TIMEOUT_SECONDS", "60"),
    ];
    let first = worker(&app, folder.path(), ALL, &second);
    app.idle_within(LONG).await;

    let database = &app.operations.database;
    let no = generations::open(database, MODEL, DIMENSION).await.unwrap();
    let wanted = generations::missing(database, no).await.unwrap();
    assert!(wanted > 512, "{wanted}");
    let before = model.asked.lock().unwrap().len();
    *model.patience.lock().unwrap() = before + 300;
    start_filling(database, &*app.operations.ids, &[app.workspace], no, &Actor::Operator).await.unwrap();
    until_within(LONG, "the model falls silent", async || {
        (model.asked.lock().unwrap().len() > before + 300).then_some(())
    })
    .await;
    drop(first);
    let part = generations::missing(database, no).await.unwrap();
    assert_eq!(wanted - part, 256, "the first batch was committed, the second one was not");
    assert!(generations::switch(database, no).await.unwrap_err().is_constraint("generation_incomplete"));
    let query = |words: &str| SearchBody {
        query: words.to_owned(),
        mode: ModeBody::Semantic,
        limit: 5,
        ..SearchBody::default()
    };
    let gate = query("lock gate closes at dusk");
    assert_eq!(client.search(&gate).await.hits[0].document_name, "gate.txt", "searches go on");

    *model.patience.lock().unwrap() = usize::MAX;
    let killed = model.asked.lock().unwrap().len();
    let _second = worker(&app, folder.path(), ALL, &second);
    app.idle_within(LONG).await;
    assert_eq!(generations::missing(database, no).await.unwrap(), 0);
    let rest: Vec<String> = model.asked.lock().unwrap()[killed..].to_vec();
    let rest = rest.iter().filter(|text| text.contains("Ship number") || text.contains("lock gate")).count();
    assert_eq!(rest as u64, part, "what had been stored is not asked for again");
    generations::switch(database, no).await.unwrap();
    assert_eq!(client.search(&gate).await.hits[0].document_name, "gate.txt");
    assert!(generations::drop(database, 1).await.unwrap());
}
