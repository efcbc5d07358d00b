//! The servers of a run, and a fresh database for every row.

use crate::servers::{Postgres, Redis};
use anyhow::{Context, Result};
use carrel_storage::Admin;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tempfile::TempDir;

/// The login of the workers, as that of the services.
pub const SERVICE: &str = "carrel_service";
/// The owner, who passes through row-level security.
pub const OWNER: &str = "carrel_owner";
const TEMPLATE: &str = "carrel_faults_template";

/// Where things are.
#[derive(Clone, Debug, Default)]
pub struct LabOptions {
    /// The program probe-worker; beside our own program when not given.
    pub worker: Option<PathBuf>,
    /// Settings of PostgreSQL added to those that it has here.
    pub postgres: String,
    /// Kept after the run.
    pub folder: Option<PathBuf>,
}

/// PostgreSQL, Redis and a folder; everything ends with it.
#[derive(Debug)]
pub struct Lab {
    /// PostgreSQL.
    pub postgres: Postgres,
    /// Redis.
    pub redis: Redis,
    /// The program probe-worker.
    pub worker: PathBuf,
    folder: PathBuf,
    rows: usize,
    _temporary: Option<TempDir>,
}

impl Lab {
    /// Starts the servers and prepares a database to copy.
    pub async fn start(options: LabOptions) -> Result<Self> {
        let worker = match options.worker {
            Some(path) => path,
            None => std::env::current_exe()?.parent().context("our program lies in no folder")?.join("probe-worker"),
        };
        let temporary = options.folder.is_none().then(|| tempfile::Builder::new().prefix("carrel-faults.").tempdir());
        let temporary = temporary.transpose()?;
        let folder = match (&options.folder, &temporary) {
            (Some(folder), _) => folder.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => std::env::temp_dir(),
        };
        std::fs::create_dir_all(&folder)?;
        open_to_server(&folder)?;
        let postgres = Postgres::start(&folder.join("postgres"), &options.postgres).await?;
        let redis = Redis::start(&folder.join("redis")).await?;
        let lab = Self { postgres, redis, worker, folder, rows: 0, _temporary: temporary };
        lab.prepare().await?;
        Ok(lab)
    }

    async fn prepare(&self) -> Result<()> {
        Admin::ensure_database(&self.postgres.url(OWNER, "postgres"), TEMPLATE).await?;
        let admin = Admin::connect(&self.postgres.url(OWNER, TEMPLATE)).await?;
        admin.migrate().await?;
        admin.ensure_login(SERVICE, None).await?;
        admin.close().await;
        Ok(())
    }

    /// A fresh database; answers its name.
    pub async fn database(&mut self) -> Result<String> {
        self.rows += 1;
        let name = format!("row_{}", self.rows);
        let mut connection = self.superuser().await?;
        let statement = format!("create database {name} template {TEMPLATE}");
        connection.execute(AssertSqlSafe(statement)).await?;
        connection.close().await?;
        Ok(name)
    }

    /// Drops what [`Lab::database`] made.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        let mut connection = self.superuser().await?;
        connection.execute(AssertSqlSafe(format!("drop database {name} with (force)"))).await?;
        Ok(connection.close().await?)
    }

    /// A connection of the owner to no row's database.
    pub async fn superuser(&self) -> Result<PgConnection> {
        let options = PgConnectOptions::from_str(&self.postgres.url(OWNER, "postgres"))?;
        Ok(PgConnection::connect_with(&options).await?)
    }

    /// An empty folder for a row.
    pub fn row_folder(&self) -> Result<PathBuf> {
        let folder = self.folder.join(format!("row-{}", self.rows));
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// The folder of the whole run.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The database server may run as another account and must be able to pass through.
fn open_to_server(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711))?)
}
