//! What the operator does as the owner of the schema: migrations, workspaces, clients, the services' login.

use crate::StorageError;
use carrel_domain::{ClientId, Scopes, WorkspaceId};
use chrono::{DateTime, Utc};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, PgPool};
use std::str::FromStr;
use std::time::Duration;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// A connection as the owner of the schema. Passes through row-level security, so no service holds one.
#[derive(Clone, Debug)]
pub struct Admin {
    pool: PgPool,
}

/// An OAuth client as the operator sees it.
#[derive(Clone, Debug)]
pub struct ClientRow {
    /// Its id.
    pub id: ClientId,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Name of the workspace.
    pub workspace_name: String,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scopes: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// How far the schema is from what this program needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaState {
    /// Migrations that this program has and the database has not.
    pub pending: usize,
    /// Migrations that the database has and this program does not know: it is newer.
    pub unknown: usize,
    /// A migration that was begun and never finished.
    pub unfinished: Option<i64>,
    /// The migration that a program must know at least to run on this schema, where this one does not: see [`required`].
    pub required: Option<i64>,
}

impl SchemaState {
    /// What is wrong and what to do about it; `None` when this program can work on the schema.
    pub fn remedy(&self) -> Option<String> {
        if let Some(version) = self.unfinished {
            return Some(crate::remedy::half_done(version));
        }
        if self.required.is_some() {
            let words = "the schema is newer than this program can work on: install the version that migrated it";
            return Some(words.to_owned());
        }
        (self.pending > 0).then(|| format!("{} migrations are missing; run `carrel admin migrate`", self.pending))
    }
}

/// A migration that takes away what older programs use says so in its name: `0042_contract_0030_drop_x.sql` is for
/// programs that know migration 30. Any other leaves them at work, so that an upgrade can roll.
fn required(description: &str) -> Option<i64> {
    description.strip_prefix("contract ")?.split(' ').next()?.parse().ok()
}

impl Admin {
    /// Connects as the owner.
    pub async fn connect(url: &str) -> Result<Self, StorageError> {
        let options = PgConnectOptions::from_str(url)?
            .application_name("carrel-admin")
            .options([("search_path", "carrel,public")])
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            // A backup holds one for its lock and one for its snapshot.
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options)
            .await?;
        Ok(Self { pool })
    }

    /// Makes the database `name` when it does not exist; `url` names another one of the same server.
    pub async fn ensure_database(url: &str, name: &str) -> Result<(), StorageError> {
        let admin = Self::connect(url).await?;
        let known: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(name)
            .fetch_one(&admin.pool)
            .await?;
        if !known {
            let quoted: String = sqlx::query_scalar("select quote_ident($1)").bind(name).fetch_one(&admin.pool).await?;
            sqlx::raw_sql(AssertSqlSafe(format!("create database {quoted}"))).execute(&admin.pool).await?;
        }
        admin.close().await;
        Ok(())
    }

    /// Brings the schema to what this program needs. Concurrent callers wait for each other.
    pub async fn migrate(&self) -> Result<(), StorageError> {
        // The ledger of migrations lies in the public schema, where it was before the schema existed.
        let mut connection = self.pool.acquire().await?;
        sqlx::query("set search_path to public").execute(&mut *connection).await?;
        let result = MIGRATIONS.run(&mut *connection).await;
        if result.is_ok() {
            // Readiness compares the ledger with what a program knows; it is made before the first migration runs.
            sqlx::query("grant select on public._sqlx_migrations to carrel_app").execute(&mut *connection).await?;
        }
        sqlx::query("set search_path to carrel, public").execute(&mut *connection).await?;
        Ok(result?)
    }

    /// Makes the login that the services use, or gives it a new password. It may act as carrel_app and as carrel_queue
    /// and as nothing else.
    ///
    /// `name` is checked to be a plain identifier.
    pub async fn ensure_login(&self, name: &str, password: Option<&str>) -> Result<(), StorageError> {
        let plain = !name.is_empty()
            && name.len() <= 63
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !plain || matches!(name, "carrel_app" | "carrel_queue") {
            return Err(StorageError::UnsafeRole {
                role: name.to_owned(),
                problem: "is not a plain name of its own (lower-case letters, digits, _)".to_owned(),
            });
        }
        let known = sqlx::query_scalar::<_, bool>("select exists (select from pg_roles where rolname = $1)")
            .bind(name)
            .fetch_one(&self.pool)
            .await?;
        let mut statement = String::new();
        if !known {
            statement.push_str("create role ");
            statement.push_str(name);
            statement.push_str(" login noinherit;");
        }
        statement.push_str("grant carrel_app, carrel_queue to ");
        statement.push_str(name);
        statement.push(';');
        if let Some(password) = password {
            let literal: String =
                sqlx::query_scalar("select quote_literal($1)").bind(password).fetch_one(&self.pool).await?;
            for part in ["alter role ", name, " password ", &literal, ";"] {
                statement.push_str(part);
            }
        }
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&self.pool).await?;
        Ok(())
    }

    /// The workspace of that name, made when it does not exist.
    pub async fn ensure_workspace(
        &self,
        name: &str,
        id: WorkspaceId,
        now: DateTime<Utc>,
    ) -> Result<WorkspaceId, StorageError> {
        let id = sqlx::query_scalar!(
            "with made as (
                 insert into carrel.workspace (id, name, created_at) values ($1, $2, $3)
                 on conflict (name) do nothing
                 returning id
             )
             select id as \"id!\" from made
             union all
             select id from carrel.workspace where name = $2
             limit 1",
            id.0,
            name,
            now
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(WorkspaceId(id))
    }

    /// Every workspace with its name, by name.
    pub async fn list_workspaces(&self) -> Result<Vec<(WorkspaceId, String)>, StorageError> {
        let rows = sqlx::query!("select id, name from carrel.workspace order by name").fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|row| (WorkspaceId(row.id), row.name)).collect())
    }

    /// Stores a client; only the SHA-256 digest of its secret is kept.
    pub async fn create_client(&self, client: &NewClient<'_>) -> Result<(), StorageError> {
        sqlx::query!(
            "insert into carrel.oauth_client (id, workspace_id, name, secret_digest, scopes, created_at)
             values ($1, $2, $3, $4, $5, $6)",
            client.id.0,
            client.workspace.0,
            client.name,
            &client.secret_digest[..],
            client.scopes.to_string(),
            client.now
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Every client, by workspace and age.
    pub async fn list_clients(&self) -> Result<Vec<ClientRow>, StorageError> {
        let rows = sqlx::query!(
            "select c.id, c.workspace_id, w.name as workspace_name, c.name, c.scopes, c.created_at, c.revoked_at
             from carrel.oauth_client c
             join carrel.workspace w on w.id = c.workspace_id
             order by w.name, c.created_at"
        )
        .fetch_all(&self.pool)
        .await?;
        let clients = rows.into_iter().map(|row| ClientRow {
            id: ClientId(row.id),
            workspace: WorkspaceId(row.workspace_id),
            workspace_name: row.workspace_name,
            name: row.name,
            scopes: row.scopes,
            created_at: row.created_at,
            revoked_at: row.revoked_at,
        });
        Ok(clients.collect())
    }

    /// Ends a client's access; `false` when there is no such client or it was revoked before.
    pub async fn revoke_client(&self, id: ClientId, now: DateTime<Utc>) -> Result<bool, StorageError> {
        let done = sqlx::query!(
            "update carrel.oauth_client set revoked_at = $2 where id = $1 and revoked_at is null",
            id.0,
            now
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Version numbers of the server and of pgvector.
    pub async fn versions(&self) -> Result<(i32, Option<String>), StorageError> {
        let server: i32 =
            sqlx::query_scalar("select current_setting('server_version_num')::int").fetch_one(&self.pool).await?;
        let vector: Option<String> =
            sqlx::query_scalar("select default_version from pg_available_extensions where name = 'vector'")
                .fetch_optional(&self.pool)
                .await?;
        Ok((server, vector))
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A client to store.
#[derive(Debug)]
pub struct NewClient<'a> {
    /// Its id.
    pub id: ClientId,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// What people call it.
    pub name: &'a str,
    /// SHA-256 of its secret.
    pub secret_digest: [u8; 32],
    /// What it may do.
    pub scopes: &'a Scopes,
    /// Now.
    pub now: DateTime<Utc>,
}

/// The numbers of this program's migrations.
pub(crate) fn known_migrations() -> impl Iterator<Item = i64> {
    MIGRATIONS.iter().map(|migration| migration.version)
}

/// Compares the migrations of this program with those that the database has seen.
pub(crate) async fn schema_state(pool: &PgPool) -> Result<SchemaState, StorageError> {
    let ledger: Vec<(i64, String, bool)> =
        sqlx::query_as("select version, description, success from public._sqlx_migrations order by version")
            .fetch_all(pool)
            .await?;
    let known: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
    let newest = known.iter().max().copied().unwrap_or_default();
    let applied = |version: &i64| ledger.iter().any(|(found, _, success)| found == version && *success);
    let unknown = ledger.iter().filter(|(version, ..)| !known.contains(version));
    Ok(SchemaState {
        pending: known.iter().filter(|version| !applied(version)).count(),
        unknown: unknown.clone().count(),
        unfinished: ledger.iter().find(|(.., success)| !success).map(|(version, ..)| *version),
        required: unknown.filter_map(|(_, description, _)| required(description)).filter(|least| *least > newest).max(),
    })
}

#[cfg(test)]
mod tests {
    use super::required;

    #[test]
    fn only_a_contract_asks_for_newer_programs() {
        assert_eq!(required("contract 0030 drop the old column"), Some(30));
        for other in ["contracts of employment", "contract", "expand 0030", "baselines", "contract drop"] {
            assert_eq!(required(other), None, "{other}");
        }
    }
}
