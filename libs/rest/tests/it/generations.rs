//! A change of the embedding model while searches and uploads go on.

use crate::upkeep::enqueue;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use carrel_domain::{IdSource, Scopes};
use carrel_inference::hashing::HashingEmbedder;
use carrel_inference::wire::{EmbeddingsRequest, EmbeddingsResponse};
use carrel_inference::{Embedder, EmbeddingSpace, InputKind, OpenAiEmbedder, RemoteOptions};
use carrel_operations::kinds::FillGeneration;
use carrel_operations::start_filling;
use carrel_storage::generations;
use carrel_testkit::{Client, Setup, TestApp};
use carrel_wire::{GenerationBody, ModeBody, SearchBody};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use uuid::Uuid;

const MODEL: &str = "second-model";
const DIMENSION: usize = 96;

/// A service with OpenAI's protocol and another model than the application's own.
#[derive(Default)]
struct Service {
    inputs: AtomicU64,
    /// Requests until it fails, once.
    fails_in: AtomicI64,
}

async fn embed(
    State(service): State<Arc<Service>>,
    Json(request): Json<EmbeddingsRequest>,
) -> Result<Json<EmbeddingsResponse>, StatusCode> {
    if service.fails_in.fetch_sub(1, Ordering::SeqCst) == 1 {
        return Err(StatusCode::BAD_REQUEST);
    }
    assert_eq!(request.model, MODEL);
    let inputs = request.into_inputs();
    service.inputs.fetch_add(inputs.len() as u64, Ordering::SeqCst);
    let model = HashingEmbedder::new(DIMENSION);
    let vectors = model.embed(&inputs, InputKind::Passage).await.unwrap();
    let space = EmbeddingSpace { name: MODEL.to_owned(), ..model.space().clone() };
    Ok(Json(EmbeddingsResponse::new(&space, vectors)))
}

async fn serve() -> (Arc<Service>, Arc<dyn Embedder>) {
    let service = Arc::new(Service::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/embeddings", post(embed)).with_state(Arc::clone(&service));
    tokio::spawn(axum::serve(listener, router).into_future());
    (service, Arc::new(OpenAiEmbedder::new(RemoteOptions::new(&url, MODEL, DIMENSION)).unwrap()))
}

struct Ids;

impl IdSource for Ids {
    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// Names of the documents that answer by meaning alone, best first.
async fn meant(client: &Client, query: &str) -> Vec<String> {
    let body = SearchBody { query: query.to_owned(), mode: ModeBody::Semantic, limit: 5, ..SearchBody::default() };
    client.search(&body).await.hits.into_iter().map(|hit| hit.document_name).collect()
}

async fn states(client: &Client) -> Vec<(String, u64)> {
    let rows: Vec<GenerationBody> = client.read("/api/v1/index/generations").await;
    rows.into_iter().map(|row| (row.state, row.vectors)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_answer_at_each_moment_of_a_change_of_model() {
    let (service, next) = serve().await;
    let app = TestApp::start_between(Setup::default(), Some(next)).await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    let database = &app.operations.database;
    client.upload(collection, "gate.txt", "The lock gate closes at dusk.").await;
    client.upload(collection, "old.txt", "A barge carries turnips.").await;
    // More passages than one batch of the filling job.
    let long: String = (0..700)
        .map(|n| {
            format!(
                "# Berth {n}\n\nShip number {n} lies at berth {n} with hemp and tar. {}\n\n",
                "It waits. ".repeat(60)
            )
        })
        .collect();
    client.upload(collection, "long.md", long).await;
    app.idle().await;
    assert_eq!(service.inputs.load(Ordering::SeqCst), 0, "nothing is asked of it before a generation is open");

    // Somebody searches all the while, and is never let down.
    let stop = Arc::new(AtomicBool::new(false));
    let searching = {
        let (client, stop) = (client.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut searches = 0;
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(meant(&client, "lock gate closes dusk").await[0], "gate.txt");
                searches += 1;
            }
            searches
        })
    };
    let no = generations::open(database, MODEL, DIMENSION).await.unwrap();
    assert_eq!(generations::open(database, MODEL, DIMENSION).await.unwrap(), no, "it is the same one");
    let another = generations::open(database, "third", 8).await.unwrap_err();
    assert!(another.is_constraint("index_generation_one_filling"));
    let early = generations::switch(database, no).await.unwrap_err();
    assert!(early.is_constraint("generation_incomplete"), "{early}");

    // Documents that come meanwhile go to both, and a new version takes the place of an old one in both.
    client.upload(collection, "new.txt", "A cormorant dries its wings.").await;
    client.upload(collection, "old.txt", "A barge carries melons now.").await;
    app.idle().await;
    let both = "select count(*) from carrel.passage p where p.document_id in
                    (select id from carrel.document where external_id = 'new.txt')
                and 2 = (select count(*) from carrel.embedding e where e.passage_no = p.no)";
    assert_eq!(app.database.number(both).await, 1);
    assert_eq!(meant(&client, "cormorant dries wings").await[0], "new.txt");

    // The service refuses once in the middle; the job begins again and asks only for what is lacking.
    service.fails_in.store(6, Ordering::SeqCst);
    app.expect_failure("model_refused");
    start_filling(database, &Ids, &[app.workspace], no, &carrel_domain::Actor::Operator).await.unwrap();
    app.idle().await;
    let part = generations::missing(database, no).await.unwrap();
    let wanted = states(&client).await[0].1;
    assert!(part > 0 && part < wanted, "it stopped in the middle: {part} of {wanted}");
    let before_rest = service.inputs.load(Ordering::SeqCst);
    enqueue(&app, &FillGeneration { generation: no }).await;
    app.idle().await;
    assert_eq!(generations::missing(database, no).await.unwrap(), 0);
    assert_eq!(service.inputs.load(Ordering::SeqCst) - before_rest, part, "what is there is not asked for again");
    let shown = states(&client).await;
    assert_eq!(shown[0].1, shown[1].1);
    assert_eq!((shown[0].0.as_str(), shown[1].0.as_str()), ("live", "filling"));

    let before = service.inputs.load(Ordering::SeqCst);
    generations::switch(database, no).await.unwrap();
    assert_eq!(meant(&client, "melons barge").await[0], "old.txt");
    assert!(service.inputs.load(Ordering::SeqCst) > before, "queries go to the new model without a restart");
    assert_eq!(meant(&client, "cormorant dries wings").await[0], "new.txt");
    let silent = "select count(*) from carrel.embedding e join carrel.passage p on p.no = e.passage_no
                  where e.generation = 2 and e.searchable <> p.searchable";
    assert_eq!(app.database.number(silent).await, 0, "what no longer answers does not answer here either");
    let live = generations::drop(database, no).await.unwrap_err();
    assert!(live.is_constraint("generation_live"));
    assert!(generations::drop(database, 1).await.unwrap());
    assert!(!generations::drop(database, 1).await.unwrap());
    client.upload(collection, "last.txt", "A heron stands in the reeds.").await;
    app.idle().await;
    assert_eq!(meant(&client, "heron reeds").await[0], "last.txt");
    stop.store(true, Ordering::SeqCst);
    assert!(searching.await.unwrap() > 0);
    assert_eq!(states(&client).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_nobody_knows_here_keeps_the_switch_from_happening() {
    let app = TestApp::start().await;
    let client = app.client(Scopes::all()).await;
    let collection = client.collection("harbour").await;
    client.upload(collection, "gate.txt", "The lock gate closes at dusk.").await;
    app.idle().await;
    let database = &app.operations.database;
    let no = generations::open(database, MODEL, DIMENSION).await.unwrap();
    client.upload(collection, "new.txt", "A cormorant dries its wings.").await;
    app.idle().await;
    assert_eq!(meant(&client, "cormorant").await[0], "new.txt", "the live one goes on");
    assert_eq!(generations::missing(database, no).await.unwrap(), 2);
    assert!(generations::switch(database, no).await.unwrap_err().is_constraint("generation_incomplete"));
    assert!(generations::drop(database, no).await.unwrap());
}
