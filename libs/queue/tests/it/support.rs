//! A database of its own per test, workers in the test's process, and waiting on conditions instead of sleeping.

use carrel_domain::job::{JobKind, JobSpec, JobState, QueueName};
use carrel_domain::{Actor, JobId, WorkerId, WorkspaceId};
use carrel_queue::{Completed, Handler, JobContext, JobError, RedisOptions, Transport, WorkerBuilder, WorkerHealth};
use carrel_storage::jobs::{self, Job};
use carrel_storage::{Admin, Database, DatabaseOptions, access};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a condition may take to come true.
const DEADLINE: Duration = Duration::from_secs(30);
/// Two tests never make or clone the template at the same moment.
const TEMPLATE_LOCK: i64 = 7_310_001;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carry {
    Postgres,
    Redis,
}

pub(crate) struct Bench {
    pub(crate) database: Database,
    /// The owner, who passes through row-level security.
    pub(crate) owner: PgPool,
    pub(crate) workspace: WorkspaceId,
    pub(crate) carry: Carry,
    pub(crate) prefix: String,
    maintenance: PgConnectOptions,
    name: String,
    workers: Mutex<Vec<Running>>,
}

pub(crate) struct Running {
    pub(crate) stop: CancellationToken,
    pub(crate) health: WorkerHealth,
    task: Option<JoinHandle<Result<(), carrel_queue::QueueError>>>,
}

impl Running {
    /// Stops the worker and waits until it has drained.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        self.task.take().unwrap().await.unwrap().unwrap();
    }
}

fn required(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} must be set: see CONTRIBUTING.md, or run scripts/test"))
}

pub(crate) fn redis_url() -> String {
    required("CARREL_TEST_REDIS_URL")
}

impl Bench {
    pub(crate) async fn new(carry: Carry) -> Self {
        let maintenance = PgConnectOptions::from_str(&required("CARREL_TEST_DATABASE_URL")).unwrap();
        let name = format!("carrel_test_{}", Uuid::now_v7().simple());
        clone_template(&maintenance, &name).await;
        let base = maintenance.clone().database(&name);
        let owner = PgPoolOptions::new().max_connections(4).connect_with(base.clone()).await.unwrap();
        let database = connect(&name);
        let bench = Self {
            database,
            owner,
            workspace: WorkspaceId(Uuid::now_v7()),
            carry,
            prefix: format!("test:{name}:"),
            maintenance,
            name,
            workers: Mutex::default(),
        };
        bench.add_workspace(bench.workspace).await;
        bench
    }

    pub(crate) async fn add_workspace(&self, id: WorkspaceId) {
        sqlx::query("insert into carrel.workspace (id, name, created_at) values ($1, $2, now())")
            .bind(id.0)
            .bind(id.to_string())
            .execute(&self.owner)
            .await
            .unwrap();
    }

    pub(crate) fn transport(&self) -> Transport {
        match self.carry {
            Carry::Postgres => Transport::Postgres,
            Carry::Redis => {
                let mut options = RedisOptions::new(redis_url());
                options.prefix.clone_from(&self.prefix);
                Transport::Redis(options)
            }
        }
    }

    /// Other connections to the same database, for another runtime.
    pub(crate) fn connect(&self) -> Database {
        connect(&self.name)
    }

    pub(crate) fn builder(&self, probe: &Arc<Probe>) -> WorkerBuilder {
        self.builder_over(self.database.clone(), probe)
    }

    pub(crate) fn builder_over(&self, database: Database, probe: &Arc<Probe>) -> WorkerBuilder {
        WorkerBuilder::new(database, WorkerId(Uuid::now_v7()))
            .register::<Act>(Prober(Arc::clone(probe)))
            .queues([(QueueName::Ingest, 4)])
            .transport(self.transport())
            .lease(Duration::from_secs(3))
            .drain(Duration::from_secs(2))
            .backoff(Duration::from_millis(20))
    }

    pub(crate) fn start(builder: WorkerBuilder) -> Running {
        let worker = builder.build().unwrap();
        let (stop, health) = (CancellationToken::new(), worker.health());
        let task = tokio::spawn(worker.run(stop.clone()));
        Running { stop, health, task: Some(task) }
    }

    /// Keeps the worker until the end of the test.
    pub(crate) fn run(&self, builder: WorkerBuilder) {
        let running = Self::start(builder);
        self.workers.lock().unwrap().push(running);
    }

    pub(crate) async fn enqueue(&self, specs: &[JobSpec]) -> Vec<JobId> {
        self.enqueue_in(self.workspace, specs).await
    }

    pub(crate) async fn enqueue_in(&self, workspace: WorkspaceId, specs: &[JobSpec]) -> Vec<JobId> {
        let mut tx = self.database.begin(workspace).await.unwrap();
        let ids = jobs::enqueue(&mut tx, specs, &Actor::Operator).await.unwrap();
        tx.commit().await.unwrap();
        ids
    }

    pub(crate) async fn enqueue_one(&self, spec: JobSpec) -> JobId {
        self.enqueue(&[spec]).await[0]
    }

    pub(crate) async fn job(&self, id: JobId) -> Job {
        let mut tx = self.database.begin(self.workspace).await.unwrap();
        jobs::get(&mut tx, id).await.unwrap().expect("the job exists")
    }

    pub(crate) async fn until_state(&self, id: JobId, state: JobState) -> Job {
        until(&format!("job {id} is {state}"), async || {
            let job = self.job(id).await;
            assert!(
                !job.state.is_final() || job.state == state,
                "the job ended as {:?}: {:?}",
                job.state,
                job.last_error
            );
            (job.state == state).then_some(job)
        })
        .await
    }

    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.owner).await.unwrap()
    }

    /// Stops every worker that [`Bench::run`] started and drops the database.
    pub(crate) async fn finish(self) {
        let workers = std::mem::take(&mut *self.workers.lock().unwrap());
        for worker in &workers {
            worker.stop.cancel();
        }
        for worker in workers {
            worker.stop().await;
        }
        let running = self.number("select count(*) from carrel.job_all where state = 'running'").await;
        assert_eq!(running, 0, "no job is left running");
        for check in jobs::audit(&self.database, Duration::from_secs(10)).await.unwrap() {
            assert!(check.ok(), "{check:?}");
        }
        self.database.close().await;
        self.owner.close().await;
        let mut connection = PgConnection::connect_with(&self.maintenance).await.unwrap();
        connection.execute(AssertSqlSafe(format!("drop database {} with (force)", self.name))).await.unwrap();
    }
}

fn connect(name: &str) -> Database {
    let mut options = DatabaseOptions::new(url_of(&required("CARREL_TEST_DATABASE_URL"), name));
    options.pool_size = 16;
    options.queue_pool_size = 8;
    Database::connect_lazy(&options).unwrap()
}

fn url_of(base: &str, database: &str) -> String {
    let (head, query) = base.split_once('?').map_or((base, None), |(head, query)| (head, Some(query)));
    let head = head.rsplit_once('/').unwrap().0;
    query.map_or_else(|| format!("{head}/{database}"), |query| format!("{head}/{database}?{query}"))
}

async fn clone_template(maintenance: &PgConnectOptions, name: &str) {
    let mut connection = PgConnection::connect_with(maintenance).await.unwrap();
    sqlx::query("select pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut connection).await.unwrap();
    let template = format!("carrel_queue_template_{:016x}", schema_mark());
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(&template)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    if !exists {
        let making = format!("{template}_making");
        connection.execute(AssertSqlSafe(format!("drop database if exists {making}"))).await.unwrap();
        connection.execute(AssertSqlSafe(format!("create database {making}"))).await.unwrap();
        let admin = Admin::connect(&url_of(&required("CARREL_TEST_DATABASE_URL"), &making)).await.unwrap();
        admin.migrate().await.unwrap();
        admin.close().await;
        connection.execute(AssertSqlSafe(format!("alter database {making} rename to {template}"))).await.unwrap();
    }
    connection
        .execute(AssertSqlSafe(format!("create database {name} template {template} strategy file_copy")))
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// Changes with the migrations.
fn schema_mark() -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        std::fs::read(file).unwrap().hash(&mut hasher);
    }
    hasher.finish()
}

/// Waits until `condition` answers something.
pub(crate) async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What a probe job does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Act {
    /// Completes with an audit entry as its effect.
    Complete,
    /// Completes and leaves nothing but its result.
    Finish,
    /// Fails so many attempts, then completes.
    FailFirst(u16),
    /// Gives up at once.
    GiveUp,
    /// Gives up at once unless it is a replay.
    GiveUpOnce,
    /// Panics.
    Panic,
    /// Puts itself off once.
    SnoozeOnce,
    /// Waits for [`Probe::gate`], then completes; stops when cancelled.
    Gate,
    /// Waits for [`Probe::gate`] whatever is asked, then completes.
    Stubborn,
    /// Never ends.
    Hang,
    /// Keeps its thread busy for so many milliseconds, then completes.
    Block(u64),
}

impl JobKind for Act {
    const KIND: &'static str = "probe.act";
    const QUEUE: QueueName = QueueName::Ingest;
    const MAX_ATTEMPTS: u16 = 3;
    const TIMEOUT: Duration = Duration::from_secs(20);
}

impl Act {
    pub(crate) fn spec(&self) -> JobSpec {
        JobSpec::new(JobId(Uuid::now_v7()), self).unwrap()
    }
}

/// What the probe jobs have done.
#[derive(Default)]
pub(crate) struct Probe {
    runs: Mutex<HashMap<JobId, u32>>,
    pub(crate) order: Mutex<Vec<JobId>>,
    pub(crate) gate: Notify,
    pub(crate) stale: Mutex<Vec<JobId>>,
    pub(crate) started: Mutex<HashMap<JobId, Instant>>,
}

impl Probe {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn runs(&self, id: JobId) -> u32 {
        self.runs.lock().unwrap().get(&id).copied().unwrap_or(0)
    }

    pub(crate) fn total_runs(&self) -> u32 {
        self.runs.lock().unwrap().values().sum()
    }

    pub(crate) async fn until_started(&self, id: JobId) {
        until("the handler has started", async || (self.runs(id) > 0).then_some(())).await;
    }
}

pub(crate) struct Prober(pub(crate) Arc<Probe>);

impl Prober {
    /// True when the job is not a replay.
    async fn original(&self, cx: &JobContext) -> Result<bool, JobError> {
        let mut tx = cx.begin().await?;
        let job = jobs::get(&mut tx, cx.job().id).await?;
        Ok(job.is_some_and(|job| job.replay_of.is_none()))
    }
}

#[async_trait::async_trait]
impl Handler<Act> for Prober {
    async fn run(&self, cx: &JobContext, act: Act) -> Result<Completed, JobError> {
        let id = cx.job().id;
        let run = {
            let mut runs = self.0.runs.lock().unwrap();
            let run = runs.entry(id).or_default();
            *run += 1;
            *run
        };
        self.0.order.lock().unwrap().push(id);
        self.0.started.lock().unwrap().entry(id).or_insert_with(Instant::now);
        match act {
            Act::FailFirst(times) if cx.job().attempt <= times => return Err(JobError::retry("not_yet", "try again")),
            Act::GiveUp => return Err(JobError::fail("hopeless", "cannot work")),
            Act::GiveUpOnce if matches!(self.original(cx).await, Ok(true)) => {
                return Err(JobError::fail("hopeless", "cannot work yet"));
            }
            Act::Finish => return cx.finish(serde_json::json!({ "run": run })).await,
            Act::Panic => panic!("the handler fell over"),
            Act::SnoozeOnce if run == 1 => return Err(JobError::Snooze(Duration::from_millis(50))),
            Act::Complete | Act::FailFirst(_) | Act::GiveUpOnce | Act::SnoozeOnce => {}
            Act::Gate => tokio::select! {
                () = self.0.gate.notified() => {}
                () = cx.cancellation().cancelled() => return Err(JobError::Cancelled),
            },
            Act::Block(milliseconds) => {
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(milliseconds) {
                    std::hint::spin_loop();
                }
            }
            Act::Stubborn => self.0.gate.notified().await,
            Act::Hang => std::future::pending::<()>().await,
        }
        let mut tx = cx.begin().await?;
        access::audit(&mut tx, &cx.operation(), "probe.act", Some(id.0), serde_json::json!({})).await?;
        let completed = cx.complete(tx, serde_json::json!({ "run": run })).await;
        if matches!(completed, Err(JobError::Stale)) {
            self.0.stale.lock().unwrap().push(id);
        }
        completed
    }
}

/// A test for each transport.
macro_rules! on_both {
    ($($name:ident;)*) => {
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(crate::support::Carry::Postgres).await; })*
        }
        mod on_redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(crate::support::Carry::Redis).await; })*
        }
    };
}
pub(crate) use on_both;
