//! A database per test, cloned from a template that is migrated once.

use crate::until;
use carrel_domain::WorkspaceId;
use carrel_storage::{Admin, Database, DatabaseOptions};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;
use uuid::Uuid;

/// What services log in as.
const LOGIN: &str = "carrel_test_service";
/// Two tests never make or clone the template at the same moment.
const TEMPLATE_LOCK: i64 = 7_310_002;

/// A migrated database of its own; dropped with the value.
#[derive(Debug)]
pub struct TestDatabase {
    /// As the services see it.
    pub database: Database,
    /// As its owner, who passes through row-level security.
    pub owner: PgPool,
    /// The owner's address, for [`Admin`].
    pub owner_url: String,
    /// The services' address.
    pub service_url: String,
    name: String,
}

impl TestDatabase {
    /// Clones the template on the server that `CARREL_TEST_DATABASE_URL` names (as a superuser).
    pub async fn create() -> Self {
        let base = server();
        let name = format!("carrel_test_{}", Uuid::now_v7().simple());
        clone_template(&base, &name).await;
        let owner_url = address(&base, None, &name);
        let service_url = address(&base, Some(LOGIN), &name);
        let options = PgConnectOptions::from_str(&owner_url).unwrap();
        let owner = PgPoolOptions::new().max_connections(4).connect_with(options).await.unwrap();
        let mut options = DatabaseOptions::new(service_url.clone());
        options.pool_size = 8;
        let database = Database::connect_lazy(&options).unwrap();
        Self { database, owner, owner_url, service_url, name }
    }

    /// A new workspace.
    pub async fn workspace(&self) -> WorkspaceId {
        let id = Uuid::now_v7();
        sqlx::query("insert into carrel.workspace (id, name, created_at) values ($1, $2, now())")
            .bind(id)
            .bind(id.to_string())
            .execute(&self.owner)
            .await
            .unwrap();
        WorkspaceId(id)
    }

    /// One number, read past the workspace wall.
    pub async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.owner).await.unwrap()
    }

    /// Keeps everybody from writing to a table until the answer is dropped.
    pub async fn hold(&self, table: &str) -> Held {
        let mut transaction = self.owner.begin().await.unwrap();
        let lock = format!("lock table {table} in share mode");
        sqlx::query(AssertSqlSafe(lock)).execute(&mut *transaction).await.unwrap();
        Held { table: table.to_owned(), transaction }
    }

    /// Every column of every table of ours in which a word stands, in letters of either case, and in how many rows.
    pub async fn rows_with(&self, word: &str) -> Vec<(String, i64)> {
        let columns: Vec<(String, String, bool)> = sqlx::query_as(
            "select format('%I.%I', n.nspname, c.relname), quote_ident(a.attname), a.atttypid = 'bytea'::regtype
             from pg_class c
             join pg_namespace n on n.oid = c.relnamespace
             join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
             where n.nspname in ('carrel', 'carrel_jobs', 'public') and c.relkind = 'r'
               and (a.atttypid in ('text'::regtype, 'varchar'::regtype, 'text[]'::regtype, 'json'::regtype,
                                   'jsonb'::regtype, 'bytea'::regtype))",
        )
        .fetch_all(&self.owner)
        .await
        .unwrap();
        assert!(columns.len() > 60, "{}", columns.len());
        let mut found = Vec::new();
        for (table, column, bytes) in columns {
            let test = if bytes {
                format!("position(convert_to($1, 'UTF8') in {column}) > 0")
            } else {
                format!("strpos(lower({column}::text), lower($1)) > 0")
            };
            let sql = format!("select count(*) from {table} where {test}");
            let rows: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).bind(word).fetch_one(&self.owner).await.unwrap();
            if rows > 0 {
                found.push((format!("{table}.{column}"), rows));
            }
        }
        found
    }

    pub(crate) fn owner_options(&self) -> PgConnectOptions {
        PgConnectOptions::from_str(&self.owner_url).unwrap()
    }
}

/// A table that nobody writes to.
#[derive(Debug)]
pub struct Held {
    table: String,
    transaction: sqlx::Transaction<'static, sqlx::Postgres>,
}

impl Held {
    /// Waits until somebody wants to write to it.
    pub async fn wanted(&mut self) {
        let wanted = format!(
            "select exists (select from pg_locks where not granted and relation = '{}'::regclass
                            and database = (select oid from pg_database where datname = current_database()))",
            self.table
        );
        let what = format!("somebody writes to {}", self.table);
        until(&what, async || {
            let wanted = sqlx::query_scalar(AssertSqlSafe(wanted.clone()));
            wanted.fetch_one(&mut *self.transaction).await.unwrap_or(false).then_some(())
        })
        .await;
    }

    /// Lets them.
    pub async fn release(self) {
        self.transaction.rollback().await.unwrap();
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = self.name.clone();
        // A runtime of its own, because the test's is busy with dropping. What fails here costs a little disk space.
        let dropping = std::thread::spawn(move || {
            on_own_runtime(async {
                let base = PgConnectOptions::from_str(&server()).unwrap();
                if let Ok(mut connection) = PgConnection::connect_with(&base).await {
                    let statement = format!("drop database if exists {name} with (force)");
                    let _ = connection.execute(AssertSqlSafe(statement)).await;
                }
            });
        });
        let _ = dropping.join();
    }
}

pub(crate) fn on_own_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn server() -> String {
    let name = "CARREL_TEST_DATABASE_URL";
    std::env::var(name).unwrap_or_else(|_| panic!("{name} must be set: see CONTRIBUTING.md, or run scripts/test"))
}

/// The address `base` with another database and, if given, another user.
fn address(base: &str, user: Option<&str>, database: &str) -> String {
    let (head, query) = base.split_once('?').map_or((base, None), |(head, query)| (head, Some(query)));
    let (server, _) = head.rsplit_once('/').unwrap();
    let mut server = server.to_owned();
    if let Some(user) = user {
        let (scheme, rest) = server.split_once("://").unwrap();
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        server = format!("{scheme}://{user}:{LOGIN}@{host}");
    }
    query.map_or_else(|| format!("{server}/{database}"), |query| format!("{server}/{database}?{query}"))
}

async fn clone_template(base: &str, name: &str) {
    let mut connection = PgConnection::connect(base).await.unwrap();
    sqlx::query("select pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut connection).await.unwrap();
    let template = format!("carrel_template_{:016x}", schema_mark());
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(&template)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    if !exists {
        let making = format!("{template}_making");
        run(&mut connection, format!("drop database if exists {making} with (force)")).await;
        run(&mut connection, format!("create database {making}")).await;
        let admin = Admin::connect(&address(base, None, &making)).await.unwrap();
        admin.migrate().await.unwrap();
        admin.ensure_login(LOGIN, Some(LOGIN)).await.unwrap();
        admin.close().await;
        run(&mut connection, format!("alter database {making} rename to {template}")).await;
    }
    run(&mut connection, format!("create database {name} template {template} strategy file_copy")).await;
    connection.close().await.unwrap();
}

async fn run(connection: &mut PgConnection, statement: String) {
    connection.execute(AssertSqlSafe(statement)).await.unwrap();
}

/// Changes with the migrations.
fn schema_mark() -> u64 {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        std::fs::read(file).unwrap().hash(&mut hasher);
    }
    hasher.finish()
}
