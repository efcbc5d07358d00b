//! Pools, roles and transactions.

use crate::StorageError;
use crate::begin::begin;
use crate::replica::Replica;
use carrel_domain::WorkspaceId;
use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection, PgPool, Postgres};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// More than 64 kB of rows, which PostgreSQL puts into a temporary file.
const SPILL: &str = "select count(*) from generate_series(1, 5000)";

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// `postgres://…`; the login must be carrel_app or a member of it.
    pub url: String,
    /// Connections for operations.
    pub pool_size: u32,
    /// Connections for the job machinery; 0 where no worker runs.
    pub queue_pool_size: u32,
    /// Limit of one statement.
    pub statement_timeout: Duration,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
    /// A streaming replica for [`Database::begin_read`], with the same login; `None` when the primary answers everything.
    pub read_url: Option<String>,
    /// How old an answer of the replica may be; it is known to about a second.
    pub read_max_lag: Duration,
}

impl DatabaseOptions {
    /// Defaults for `url`: 10 connections, 4 for the jobs, 30 s per statement.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            pool_size: 10,
            queue_pool_size: 4,
            statement_timeout: Duration::from_secs(30),
            application_name: "carrel".to_owned(),
            read_url: None,
            read_max_lag: Duration::from_secs(5),
        }
    }
}

/// Two pools over one PostgreSQL: operations run as `carrel_app`, the job machinery as `carrel_queue`. A third one, if
/// wanted, over a replica of it.
#[derive(Clone, Debug)]
pub struct Database {
    app: PgPool,
    queue: PgPool,
    replica: Option<Arc<Replica>>,
}

impl Database {
    /// Prepares the pools; the first connection is made on first use.
    pub fn connect_lazy(options: &DatabaseOptions) -> Result<Self, StorageError> {
        let app = pool(options, &options.url, "carrel_app", options.pool_size)?;
        let queue = pool(options, &options.url, "carrel_queue", options.queue_pool_size.max(1))?;
        let replica = match &options.read_url {
            Some(url) => {
                Some(Arc::new(Replica::new(pool(options, url, "carrel_app", options.pool_size)?, options.read_max_lag)))
            }
            None => None,
        };
        Ok(Self { app, queue, replica })
    }

    /// Starts a transaction in which only `workspace` is visible.
    pub async fn begin(&self, workspace: WorkspaceId) -> Result<Transaction, StorageError> {
        self.begin_so(workspace, "").await
    }

    /// Starts the transaction of a job, whose commit does not wait for the disk. When PostgreSQL itself goes down, the last
    /// fraction of a second of such commits is undone, in their order and each as a whole: the job is not completed
    /// then and runs again. An outside effect waits for the disk all the same (`record_effects`).
    pub async fn begin_job(&self, workspace: WorkspaceId) -> Result<Transaction, StorageError> {
        self.begin_so(workspace, "; set local synchronous_commit = off").await
    }

    /// Starts a transaction that only reads and may answer from a state that is up to `read_max_lag` old: on the replica
    /// where there is one that is near enough and answers, else on the primary. Statements that fail on the replica
    /// ([`Transaction::is_on_replica`]) are to be tried again on the primary: replaying the log may end them at any time.
    pub async fn begin_read(&self, workspace: WorkspaceId) -> Result<Transaction, StorageError> {
        let Some(replica) = &self.replica else { return self.begin(workspace).await };
        if replica.is_near(&self.app) {
            match begin_on("replica", &replica.pool, workspace, " read only", "").await {
                Ok(mut transaction) => {
                    transaction.on_replica = true;
                    metrics::counter!("carrel_database_reads_total", "side" => "replica").increment(1);
                    return Ok(transaction);
                }
                Err(error) => {
                    replica.distrust();
                    tracing::warn!(error = &error as &dyn std::error::Error, "the replica fails; the primary answers");
                }
            }
        }
        metrics::counter!("carrel_database_reads_total", "side" => "primary").increment(1);
        self.begin(workspace).await
    }

    async fn begin_so(&self, workspace: WorkspaceId, settings: &str) -> Result<Transaction, StorageError> {
        begin_on("app", &self.app, workspace, "", settings).await
    }

    /// The pool of the job machinery.
    pub(crate) fn queue_pool(&self) -> &PgPool {
        &self.queue
    }

    /// The pool of operations, for the few statements that stand before the workspace wall.
    pub(crate) fn app_pool(&self) -> &PgPool {
        &self.app
    }

    /// Refuses a connection role that could see other workspaces: a superuser, a role with BYPASSRLS, or the owner.
    pub async fn check_role(&self) -> Result<(), StorageError> {
        // The login as well as the role that it takes: a superuser could take another one.
        let (role, superuser, bypass, owner): (String, bool, bool, bool) = sqlx::query_as(
            "select r.rolname::text, r.rolsuper, r.rolbypassrls,
                    exists (select from pg_tables t where t.schemaname = 'carrel' and t.tableowner = r.rolname)
             from pg_roles r
             where r.rolname in (current_user, session_user)
             order by r.rolsuper desc, r.rolbypassrls desc, 4 desc
             limit 1",
        )
        .fetch_one(&self.app)
        .await?;
        let problem = match (superuser, bypass, owner) {
            (true, _, _) => "is a superuser",
            (_, true, _) => "has BYPASSRLS",
            (_, _, true) => "owns the tables",
            _ => return Ok(()),
        };
        Err(StorageError::UnsafeRole { role, problem: problem.to_owned() })
    }

    /// One round trip.
    pub async fn ping(&self) -> Result<(), StorageError> {
        sqlx::query("select 1").execute(&self.app).await?;
        Ok(())
    }

    /// Whether the server's disk takes anything more: some kilobytes go to a temporary file, which is gone at once. Reads and even
    /// small writes go on for a while on a disk that is full, so nothing else tells.
    pub async fn check_space(&self) -> Result<(), StorageError> {
        let mut transaction = begin(&self.app, "begin").await?;
        sqlx::query("set local work_mem = '64kB'").execute(&mut *transaction).await?;
        sqlx::query(SPILL).execute(&mut *transaction).await?;
        transaction.rollback().await?;
        Ok(())
    }

    /// The server's clock.
    pub async fn now(&self) -> Result<DateTime<Utc>, StorageError> {
        Ok(sqlx::query_scalar("select clock_timestamp()").fetch_one(&self.app).await?)
    }

    /// Compares the schema with what this program needs.
    pub async fn schema_state(&self) -> Result<crate::SchemaState, StorageError> {
        crate::admin::schema_state(&self.app).await
    }

    /// Sets the gauges of both pools.
    pub fn record_pools(&self) {
        for (name, pool) in [("app", &self.app), ("queue", &self.queue)] {
            let (size, idle) = (pool.size(), u32::try_from(pool.num_idle()).unwrap_or(u32::MAX));
            let in_use = size.saturating_sub(idle);
            metrics::gauge!("carrel_database_connections", "pool" => name, "state" => "in_use").set(in_use);
            metrics::gauge!("carrel_database_connections", "pool" => name, "state" => "idle").set(idle);
            metrics::gauge!("carrel_database_connections_limit", "pool" => name)
                .set(pool.options().get_max_connections());
        }
    }

    /// Closes every connection after its current use.
    pub async fn close(&self) {
        self.app.close().await;
        self.queue.close().await;
        if let Some(replica) = &self.replica {
            replica.pool.close().await;
        }
    }
}

async fn begin_on(
    name: &'static str,
    pool: &PgPool,
    workspace: WorkspaceId,
    mode: &str,
    settings: &str,
) -> Result<Transaction, StorageError> {
    // One round trip for all; a UUID's text cannot end the literal.
    let statement = format!("begin{mode}; set local carrel.workspace = '{workspace}'{settings}");
    let waiting = Waiting::new(name);
    let inner = waiting.ended(begin(pool, statement).await)?;
    Ok(Transaction {
        inner,
        workspace,
        on_replica: false,
        #[cfg(feature = "failpoints")]
        enqueued: false,
    })
}

/// A transaction that is about to begin; counted while it lives, however it ends.
struct Waiting {
    pool: &'static str,
    since: Instant,
}

impl Waiting {
    fn new(pool: &'static str) -> Self {
        metrics::gauge!("carrel_database_waiting", "pool" => pool).increment(1.0);
        Self { pool, since: Instant::now() }
    }

    fn ended<T>(self, answer: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        let reason = match &answer {
            Ok(_) => {
                metrics::histogram!("carrel_database_begin_duration_seconds", "pool" => self.pool)
                    .record(self.since.elapsed().as_secs_f64());
                return answer;
            }
            Err(sqlx::Error::PoolTimedOut) => "no_connection",
            Err(sqlx::Error::Io(_) | sqlx::Error::Tls(_)) => "unavailable",
            Err(_) => "other",
        };
        metrics::counter!("carrel_database_begin_failures_total", "pool" => self.pool, "reason" => reason).increment(1);
        answer
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        metrics::gauge!("carrel_database_waiting", "pool" => self.pool).decrement(1.0);
    }
}

fn pool(options: &DatabaseOptions, url: &str, role: &str, size: u32) -> Result<PgPool, StorageError> {
    let timeout = options.statement_timeout.as_millis().to_string();
    let connect = PgConnectOptions::from_str(url)?
        .application_name(&options.application_name)
        .options([
            // Whoever logs in, statements run as the role that row-level security binds.
            ("role", role),
            ("search_path", "carrel,public"),
            ("statement_timeout", timeout.as_str()),
            ("idle_in_transaction_session_timeout", "60000"),
            ("timezone", "UTC"),
            // Compiling a statement takes longer than running it: on a busy machine claims took half a minute.
            ("jit", "off"),
            // A filtered vector search goes on through the graph until enough rows match (pgvector 0.8).
            ("hnsw.iterative_scan", "strict_order"),
            ("hnsw.ef_search", "120"),
        ])
        .disable_statement_logging();
    Ok(PgPoolOptions::new()
        .max_connections(size)
        .min_connections(0)
        .acquire_timeout(Duration::from_secs(5))
        .idle_timeout(Duration::from_secs(300))
        .connect_lazy_with(connect))
}

/// One workspace's transaction. Dropping it rolls back.
#[derive(Debug)]
pub struct Transaction {
    inner: sqlx::Transaction<'static, Postgres>,
    workspace: WorkspaceId,
    on_replica: bool,
    #[cfg(feature = "failpoints")]
    enqueued: bool,
}

impl Transaction {
    /// The workspace whose rows are visible.
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// Whether a replica answers.
    pub fn is_on_replica(&self) -> bool {
        self.on_replica
    }

    /// Makes everything since [`Database::begin`] permanent.
    pub async fn commit(self) -> Result<(), StorageError> {
        self.inner.commit().await?;
        #[cfg(feature = "failpoints")]
        if self.enqueued {
            crate::failpoints::enqueue_committed();
        }
        Ok(())
    }

    /// Undoes everything since [`Database::begin`].
    pub async fn rollback(self) -> Result<(), StorageError> {
        self.inner.rollback().await?;
        Ok(())
    }

    /// Remembers that jobs were enqueued, for the fail point after the commit.
    #[cfg(feature = "failpoints")]
    pub(crate) fn has_enqueued(&mut self) {
        self.enqueued = true;
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}
