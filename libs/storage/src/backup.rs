//! What a backup asks of the database and of the store of originals.

use crate::begin::begin;
use crate::originals::address;
use crate::{Admin, OriginalStore, StorageError};
use carrel_domain::digest::Digest;
use carrel_domain::{IdSource, WorkspaceId};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Postgres};

/// Two backups of one database are never made at once.
const BACKUP_LOCK: i64 = 7_310_011;

/// What a backup must know of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// `server_version_num`.
    pub version: i32,
    /// Names the cluster, whatever machine it runs on; empty where the login may not ask.
    pub system: String,
    /// Whether the login may copy the cluster and its log.
    pub replicates: bool,
    /// Segment of the write-ahead log that is being written: timeline and number.
    pub segment: String,
    /// Position in the log.
    pub lsn: String,
    /// The server's time.
    pub now: DateTime<Utc>,
    /// The newest migration; 0 without a schema.
    pub migration: i64,
}

/// A table of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableState {
    /// Schema and name.
    pub name: String,
    /// Rows.
    pub rows: i64,
    /// The sum of 64-bit hashes of all rows, whatever their order.
    pub digest: Option<String>,
}

/// Whether tables are counted, or read as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableDepth {
    /// Counted.
    Rows,
    /// Every row is read and hashed.
    Digests,
}

/// Keeps others from making a backup of the same database while it lives.
#[derive(Debug)]
pub struct BackupLock {
    connection: PoolConnection<Postgres>,
}

/// A moment of the database that another connection can look at, too, while this lives.
#[derive(Debug)]
pub struct Snapshot {
    transaction: sqlx::Transaction<'static, Postgres>,
    /// Its name for `pg_dump --snapshot`.
    pub name: String,
}

impl BackupLock {
    /// Lets others go on.
    pub async fn release(mut self) -> Result<(), StorageError> {
        sqlx::query("select pg_advisory_unlock($1)").bind(BACKUP_LOCK).execute(&mut *self.connection).await?;
        Ok(())
    }
}

impl Snapshot {
    /// The tables of Carrel as they are in this moment, by name.
    pub async fn tables(&mut self, depth: TableDepth) -> Result<Vec<TableState>, StorageError> {
        let names: Vec<String> = sqlx::query_scalar(
            "select format('%I.%I', n.nspname, c.relname)
             from pg_class c
             join pg_namespace n on n.oid = c.relnamespace
             where c.relkind = 'r' and (n.nspname = 'carrel' or (n.nspname = 'public' and c.relname = '_sqlx_migrations'))
             order by 1",
        )
        .fetch_all(&mut *self.transaction)
        .await?;
        let mut tables = Vec::with_capacity(names.len());
        for name in names {
            let digest = match depth {
                TableDepth::Rows => "null::text",
                TableDepth::Digests => "coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text",
            };
            let statement = format!("select count(*), {digest} from {name} t");
            let (rows, digest): (i64, Option<String>) =
                sqlx::query_as(AssertSqlSafe(statement)).fetch_one(&mut *self.transaction).await?;
            tables.push(TableState { name, rows, digest });
        }
        Ok(tables)
    }

    /// Lets the moment go.
    pub async fn end(self) -> Result<(), StorageError> {
        self.transaction.rollback().await?;
        Ok(())
    }
}

impl Admin {
    /// What a backup must know; asks also a database without a schema.
    pub async fn server_facts(&self) -> Result<ServerFacts, StorageError> {
        let row: (i32, bool, String, String, DateTime<Utc>, bool, bool) = sqlx::query_as(
            "select current_setting('server_version_num')::int,
                    (select rolsuper or rolreplication from pg_roles where rolname = current_user),
                    pg_walfile_name(pg_current_wal_lsn() + 1),
                    pg_current_wal_lsn()::text,
                    clock_timestamp(),
                    to_regclass('public._sqlx_migrations') is not null,
                    has_function_privilege('pg_control_system()', 'execute')",
        )
        .fetch_one(self.pool())
        .await?;
        let (version, replicates, segment, lsn, now, migrated, may_ask) = row;
        let system = if may_ask {
            sqlx::query_scalar("select system_identifier::text from pg_control_system()").fetch_one(self.pool()).await?
        } else {
            String::new()
        };
        let migration = if migrated {
            sqlx::query_scalar("select coalesce(max(version), 0) from public._sqlx_migrations")
                .fetch_one(self.pool())
                .await?
        } else {
            0
        };
        Ok(ServerFacts { version, system, replicates, segment, lsn, now, migration })
    }

    /// Whether the server is still replaying its log after a restore.
    pub async fn is_recovering(&self) -> Result<bool, StorageError> {
        Ok(sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(self.pool()).await?)
    }

    /// Ends the segment of the log that is being written; answers the position after its last record, and its name.
    pub async fn end_segment(&self) -> Result<(String, String), StorageError> {
        // A segment without a record does not end.
        sqlx::query("select pg_logical_emit_message(true, 'carrel', 'backup')").execute(self.pool()).await?;
        let ended = "select lsn::text, pg_walfile_name(lsn) from pg_switch_wal() as lsn";
        Ok(sqlx::query_as(ended).fetch_one(self.pool()).await?)
    }

    /// Makes a physical replication slot unless it is there; the server keeps its log from this moment on.
    pub async fn ensure_slot(&self, name: &str) -> Result<(), StorageError> {
        sqlx::query(
            "select pg_create_physical_replication_slot($1, true)
             where not exists (select from pg_replication_slots where slot_name = $1)",
        )
        .bind(name)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Removes a replication slot whose log is gone already: the bound of what it may keep was passed.
    pub async fn drop_lost_slot(&self, name: &str) -> Result<(), StorageError> {
        sqlx::query(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots
             where slot_name = $1 and wal_status = 'lost' and not active",
        )
        .bind(name)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Takes the lock of backups; `None` while another one holds it.
    pub async fn lock_backups(&self) -> Result<Option<BackupLock>, StorageError> {
        let mut connection = self.pool().acquire().await?;
        let taken: bool =
            sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(BACKUP_LOCK).fetch_one(&mut *connection).await?;
        // Where nobody releases it, it ends with the connections of this value.
        Ok(taken.then(|| BackupLock { connection }))
    }

    /// Holds a moment of the database.
    pub async fn snapshot(&self) -> Result<Snapshot, StorageError> {
        let mut transaction = begin(self.pool(), "begin isolation level repeatable read read only").await?;
        sqlx::query("set local timezone to 'UTC'").execute(&mut *transaction).await?;
        sqlx::query("set local datestyle to 'ISO, YMD'").execute(&mut *transaction).await?;
        sqlx::query("set local extra_float_digits to 1").execute(&mut *transaction).await?;
        let name = sqlx::query_scalar("select pg_export_snapshot()").fetch_one(&mut *transaction).await?;
        Ok(Snapshot { transaction, name })
    }

    /// Whether nothing of Carrel is in the database.
    pub async fn is_empty(&self) -> Result<bool, StorageError> {
        let statement = "select to_regnamespace('carrel') is null and to_regnamespace('carrel_jobs') is null
             and to_regclass('public._sqlx_migrations') is null";
        Ok(sqlx::query_scalar(statement).fetch_one(self.pool()).await?)
    }

    /// Makes the roles that a dump grants to, as the first migration does.
    pub async fn ensure_roles(&self) -> Result<(), StorageError> {
        for role in ["carrel_app", "carrel_queue"] {
            let statement = format!(
                "do $$ begin
                     if not exists (select from pg_roles where rolname = '{role}') then
                         create role {role} nologin;
                     end if;
                 end $$"
            );
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(self.pool()).await?;
        }
        Ok(())
    }

    /// The newest migration that this program knows.
    pub fn newest_migration() -> i64 {
        crate::admin::known_migrations().max().unwrap_or_default()
    }
}

/// An original as it lies in the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredOriginal {
    /// Its path there.
    pub path: String,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Its content address.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
}

/// The place of an original, read from its path.
pub fn parse_original(path: &str, size: u64) -> Option<StoredOriginal> {
    let mut parts = path.split('/');
    let (Some("originals"), Some(workspace), Some(_), Some(name), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let (workspace, sha256) = (WorkspaceId(workspace.parse().ok()?), Digest::parse(name).ok()?);
    (address(workspace, sha256).as_ref() == path).then(|| StoredOriginal {
        path: path.to_owned(),
        workspace,
        sha256,
        size,
    })
}

impl OriginalStore {
    /// The folders that hold originals, in order: one per workspace and first byte of the digest, so that each has few.
    pub async fn original_folders(&self) -> Result<Vec<String>, StorageError> {
        let mut folders = Vec::new();
        let workspaces = self.objects().list_with_delimiter(Some(&Path::from("originals"))).await?;
        for workspace in workspaces.common_prefixes {
            let below = self.objects().list_with_delimiter(Some(&workspace)).await?;
            folders.extend(below.common_prefixes.into_iter().map(|folder| folder.to_string()));
        }
        folders.sort();
        Ok(folders)
    }

    /// The originals of a folder, in order. Foreign names are left out.
    pub async fn originals_in(&self, folder: &str) -> Result<Vec<StoredOriginal>, StorageError> {
        let mut objects = self.objects().list(Some(&Path::from(folder)));
        let mut found = Vec::new();
        while let Some(object) = objects.try_next().await? {
            found.extend(parse_original(object.location.as_ref(), object.size));
        }
        found.sort();
        Ok(found)
    }

    /// Whether bytes of this size lie at an original's place; a check of the store reads them.
    pub async fn has_size(&self, original: &StoredOriginal) -> Result<bool, StorageError> {
        match self.objects().head(&Path::from(original.path.as_str())).await {
            Ok(found) => Ok(found.size == original.size),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it holds no originals.
    pub async fn is_empty(&self) -> Result<bool, StorageError> {
        let mut objects = self.objects().list(Some(&Path::from("originals")));
        Ok(objects.try_next().await?.is_none())
    }

    /// Puts an original to its place after checking its digest; `false` when what came is something else.
    pub async fn put_back<E>(
        &self,
        original: &StoredOriginal,
        ids: &dyn IdSource,
        bytes: impl futures::Stream<Item = Result<bytes::Bytes, E>>,
    ) -> Result<bool, crate::originals::StageError<E>> {
        let staged = self.stage(ids.new_id(), u64::MAX, bytes).await?;
        let right = staged.digests.sha256 == original.sha256;
        if right {
            self.keep(original.workspace, &staged).await?;
        }
        self.discard(&staged).await?;
        Ok(right)
    }
}
