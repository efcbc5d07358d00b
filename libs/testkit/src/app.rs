//! The running application.

use crate::client::Client;
use crate::database::{TestDatabase, on_own_runtime};
use crate::{DEADLINE, until_within};
use async_trait::async_trait;
use carrel_domain::job::QueueName;
use carrel_domain::{ClientId, IdSource, Scopes, WorkerId, WorkspaceId};
use carrel_extract::{OcrConfig, Sandbox, SandboxConfig};
use carrel_inference::Embedder;
use carrel_inference::hashing::HashingEmbedder;
use carrel_operations::{Clock, Limits, Operations, Screening, TokenIssuer, new_secret};
use carrel_pipeline::{Pipeline, Upkeep};
use carrel_queue::{WorkerBuilder, WorkerHealth};
use carrel_rest::{App, HttpLimits, Readiness, ReadinessReport};
use carrel_screening::Options;
use carrel_storage::research::RunSignals;
use carrel_storage::search::Ranking;
use carrel_storage::{Admin, Database, NewClient, OriginalStore};
use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Components of the hashed vectors: few, so that tests are quick; enough, so that words rarely collide.
const DIMENSION: usize = 128;

/// What differs between tests.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Bytes of one upload.
    pub upload_bytes: u64,
    /// Jobs of each queue that run at once; 0 runs none, so that they stay where they are.
    pub jobs: usize,
    /// Whether what reads a short document indexes it as well, as in `carrel up`; else the model's queue does, as with
    /// separate services.
    pub at_once: bool,
    /// Bounds of HTTP.
    pub http: HttpLimits,
    /// Screening; by default with a key and without a collection of breaches.
    pub screening: Option<Screening>,
    /// Documents inside of one upload, at all depths.
    pub descendants: u32,
    /// How pictures are read.
    pub ocr: OcrConfig,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            upload_bytes: 64 << 20,
            jobs: 2,
            at_once: true,
            http: HttpLimits::default(),
            screening: None,
            descendants: 20_000,
            ocr: OcrConfig::default(),
        }
    }
}

/// Carrel, running. Dropping it stops it, drops its database and fails the test when jobs are left or failed.
pub struct TestApp {
    /// `http://127.0.0.1:…`
    pub url: String,
    /// The operations behind the API.
    pub operations: Operations,
    /// The database.
    pub database: TestDatabase,
    /// Where [`TestApp::client`] works.
    pub workspace: WorkspaceId,
    /// Where [`TestApp::stranger`] works.
    pub other_workspace: WorkspaceId,
    admin: Admin,
    http: reqwest::Client,
    api: App,
    folder: tempfile::TempDir,
    stop: CancellationToken,
    expected: Mutex<BTreeSet<String>>,
    unfinished_expected: AtomicBool,
}

#[derive(Debug)]
struct System;

impl IdSource for System {
    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

impl Clock for System {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

impl TestApp {
    /// Starts it with defaults.
    pub async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    /// Starts it.
    pub async fn start_with(setup: Setup) -> Self {
        Self::start_between(setup, None).await
    }

    /// Starts it with a second model, which is to take the place of its own.
    pub async fn start_between(setup: Setup, next_embedder: Option<Arc<dyn Embedder>>) -> Self {
        let database = TestDatabase::create().await;
        let (workspace, other_workspace) = (database.workspace().await, database.workspace().await);
        let admin = Admin::connect(&database.owner_url).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let tokens = TokenIssuer::new(&TokenIssuer::generate_key(), &url, chrono::Duration::hours(1)).unwrap();
        let key = tokens.screening_key();
        let operations = Operations {
            database: database.database.clone(),
            originals: OriginalStore::directory(&folder.path().join("objects")).unwrap(),
            embedder: Arc::new(HashingEmbedder::new(DIMENSION)),
            next_embedder,
            ids: Arc::new(System),
            clock: Arc::new(System),
            tokens: Arc::new(tokens),
            limits: Limits { upload_bytes: setup.upload_bytes, ..Limits::default() },
            ranking: Ranking::default(),
            screening: setup.screening.clone().unwrap_or_else(|| Screening::new(Options::default(), Some(key), None)),
        };
        let stop = CancellationToken::new();
        let worker = (setup.jobs > 0).then(|| start_worker(&operations, folder.path(), &setup, &stop));
        let run_signals = broadcast::Sender::new(256);
        tokio::spawn(forward_signals(database.database.clone(), run_signals.clone()));
        let api = App {
            operations: operations.clone(),
            readiness: Arc::new(Checks { operations: operations.clone(), worker }),
            run_signals,
            traceparent: || None,
            adopt_parent: |_, _| {},
            limits: setup.http,
            shutdown: stop.clone(),
        };
        serve(listener, api.clone());
        // Compressed answers are for a test to ask for.
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            url,
            operations,
            database,
            workspace,
            other_workspace,
            admin,
            http,
            api,
            folder,
            stop,
            expected: Mutex::default(),
            unfinished_expected: AtomicBool::new(false),
        }
    }

    /// A new client with these scopes, signed in.
    pub async fn client(&self, scopes: Scopes) -> Client {
        self.client_in(self.workspace, scopes).await
    }

    /// A new client of another workspace, signed in, with every scope.
    pub async fn stranger(&self) -> Client {
        self.client_in(self.other_workspace, Scopes::all()).await
    }

    /// A new client without a token: its id and its secret.
    pub async fn credentials(&self, workspace: WorkspaceId, scopes: &Scopes) -> (ClientId, String) {
        let (secret, secret_digest) = new_secret();
        let id = ClientId(Uuid::now_v7());
        let client = NewClient { id, workspace, name: "test", secret_digest, scopes, now: Utc::now() };
        self.admin.create_client(&client).await.unwrap();
        (id, secret)
    }

    async fn client_in(&self, workspace: WorkspaceId, scopes: Scopes) -> Client {
        let (id, secret) = self.credentials(workspace, &scopes).await;
        Client::sign_in(self.http.clone(), &self.url, id, &secret).await
    }

    /// Serves the API once more on a port of its own, with `change` made to its parts; answers its address.
    pub async fn serve_with(&self, change: impl FnOnce(&mut App)) -> String {
        let mut api = self.api.clone();
        change(&mut api);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        serve(listener, api);
        url
    }

    /// What the operator does.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// For requests without a token.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The folder that holds the originals.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("objects")
    }

    /// Waits until no job waits or runs.
    pub async fn idle(&self) {
        self.idle_within(DEADLINE).await;
    }

    /// Waits until no job waits or runs, `deadline` at most.
    pub async fn idle_within(&self, deadline: Duration) {
        until_within(deadline, "no job waits or runs", async || {
            let left = carrel_storage::jobs::unfinished(&self.operations.database).await.unwrap();
            (left == 0).then_some(())
        })
        .await;
    }

    /// Says that jobs may be discarded with this error code.
    pub fn expect_failure(&self, code: &str) {
        self.expected.lock().unwrap().insert(code.to_owned());
    }

    /// Says that jobs may be left at the end.
    pub fn expect_unfinished(&self) {
        self.unfinished_expected.store(true, Ordering::Relaxed);
    }

    /// What is wrong with the jobs, if anything.
    fn complaints(&self) -> Vec<String> {
        let options = self.database.owner_options();
        let rows: Vec<(String, String, Option<String>, Option<String>)> = std::thread::spawn(move || {
            on_own_runtime(async {
                let mut connection = PgConnection::connect_with(&options).await.unwrap();
                sqlx::query_as("select kind, state, error_code, error_message from carrel.job where state not in ('completed', 'cancelled')")
                    .fetch_all(&mut connection)
                    .await
                    .unwrap()
            })
        })
        .join()
        .unwrap();
        let expected = self.expected.lock().unwrap();
        let mut complaints = Vec::new();
        for (kind, state, code, message) in rows {
            let fine = if state == "discarded" {
                code.as_ref().is_some_and(|code| expected.contains(code))
            } else {
                self.unfinished_expected.load(Ordering::Relaxed)
            };
            if !fine {
                complaints.push(format!("{kind} is {state}: {code:?} {message:?}"));
            }
        }
        complaints
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let complaints = if std::thread::panicking() { Vec::new() } else { self.complaints() };
        self.stop.cancel();
        assert!(complaints.is_empty(), "jobs are left or failed: {complaints:#?}");
    }
}

fn serve(listener: TcpListener, api: App) {
    let stopped = api.shutdown.clone().cancelled_owned();
    tokio::spawn(axum::serve(listener, carrel_rest::router(api)).with_graceful_shutdown(stopped).into_future());
}

fn start_worker(operations: &Operations, folder: &Path, setup: &Setup, stop: &CancellationToken) -> WorkerHealth {
    let scratch = folder.join("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    let sandbox =
        Sandbox::new(SandboxConfig { ocr: setup.ocr.clone(), ..SandboxConfig::for_program(extraction_child()) });
    // A check at once reads again what was read at once.
    let upkeep = Upkeep { descendants: setup.descendants, fixity_period: Duration::ZERO, ..Upkeep::default() };
    let mut pipeline = Pipeline::new(operations.clone(), sandbox, scratch, upkeep);
    if setup.at_once {
        pipeline = pipeline.at_once();
    }
    let builder = WorkerBuilder::new(operations.database.clone(), WorkerId(Uuid::now_v7()))
        .queues(QueueName::ALL.map(|queue| (queue, setup.jobs)))
        .backoff(Duration::from_millis(20));
    let worker = pipeline.register(builder).build().unwrap();
    let health = worker.health();
    tokio::spawn(worker.run(stop.clone()));
    health
}

/// The program that reads files; the test's own binary cannot be it.
fn extraction_child() -> PathBuf {
    if let Some(path) = std::env::var_os("CARREL_EXTRACT_CHILD") {
        return path.into();
    }
    let own = std::env::current_exe().unwrap();
    // target/debug/deps/it-… or target/debug/…
    let found =
        own.ancestors().skip(1).take(2).map(|folder| folder.join("carrel-extract-child")).find(|path| path.exists());
    found.expect("carrel-extract-child is not built: run `cargo build --bin carrel-extract-child`, or scripts/test")
}

/// Passes the database's announcements on.
async fn forward_signals(database: Database, signals: broadcast::Sender<carrel_domain::RunId>) {
    let Ok(mut listener) = RunSignals::listen(&database).await else { return };
    while let Ok(run) = listener.next().await {
        // Nobody listening is no error.
        let _ = signals.send(run);
    }
}

struct Checks {
    operations: Operations,
    worker: Option<WorkerHealth>,
}

#[async_trait]
impl Readiness for Checks {
    async fn report(&self) -> ReadinessReport {
        let operations = &self.operations;
        let mut checks = BTreeMap::new();
        checks.insert("database".to_owned(), operations.database.check_role().await.map_err(|error| error.to_string()));
        let store = operations.originals.check(Uuid::now_v7()).await;
        checks.insert("store".to_owned(), store.map_err(|_| "it does not answer".to_owned()));
        let ready = self.worker.as_ref().is_none_or(|worker| worker.report().is_ready());
        checks.insert("queue".to_owned(), if ready { Ok(()) } else { Err("the worker is not ready".to_owned()) });
        ReadinessReport { checks }
    }
}
