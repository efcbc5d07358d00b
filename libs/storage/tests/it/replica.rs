//! Reads on a real streaming replica: near, behind, and gone.

use carrel_domain::WorkspaceId;
use carrel_storage::{Admin, Database, DatabaseOptions, Transaction};
use sqlx::{PgPool, query};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// A throw-away server, stopped when dropped.
struct Server {
    folder: PathBuf,
    url: String,
}

impl Server {
    fn run(folder: &Path, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/lib/test-postgres");
        let done = Command::new(script)
            .arg(arguments[0])
            .arg(folder)
            .args(&arguments[1..])
            .env("CARREL_TEST_POSTGRES_SETTINGS", "wal_level=replica max_wal_senders=4")
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn start(folder: PathBuf) -> Self {
        let url = Self::run(&folder, &["start"]);
        Self { folder, url }
    }

    fn following(&self, folder: PathBuf) -> Self {
        let port = self.url.rsplit(':').next().unwrap().split('/').next().unwrap();
        let url = Self::run(&folder, &["follow", port]);
        Self { folder, url }
    }

    fn stop(&self) {
        Self::run(&self.folder, &["stop"]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Begins reads until one is on the wanted side.
async fn until_on(database: &Database, workspace: WorkspaceId, replica: bool) -> Transaction {
    let started = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    loop {
        let transaction = database.begin_read(workspace).await.unwrap();
        if transaction.is_on_replica() == replica {
            return transaction;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "reads never went to the other side");
        drop(transaction);
        ticks.tick().await;
    }
}

async fn collections(mut transaction: Transaction) -> usize {
    carrel_storage::collections::list(&mut transaction, None, None, 50).await.unwrap().rows.len()
}

#[tokio::test]
async fn reads_leave_a_replica_that_falls_behind_or_dies() {
    let folder = tempfile::tempdir().unwrap();
    // The servers run as another account, which must be able to pass through.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let primary = Server::start(folder.path().join("primary"));
    let admin = Admin::connect(&primary.url).await.unwrap();
    admin.migrate().await.unwrap();
    admin.ensure_login("carrel_service", None).await.unwrap();
    let now = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let workspace = admin.ensure_workspace("default", WorkspaceId(Uuid::from_u128(1)), now).await.unwrap();
    let replica = primary.following(folder.path().join("replica"));

    let mut options = DatabaseOptions::new(primary.url.replace("carrel_owner", "carrel_service"));
    options.read_url = Some(replica.url.replace("carrel_owner", "carrel_service"));
    options.read_max_lag = Duration::from_secs(2);
    let database = Database::connect_lazy(&options).unwrap();
    assert!(!database.begin_read(workspace).await.unwrap().is_on_replica(), "nothing is known of the replica yet");
    assert_eq!(collections(until_on(&database, workspace, true).await).await, 0);

    // It stands still: what is written now is not there, and reads go where it is before it is too old.
    let standby = PgPool::connect(&replica.url).await.unwrap();
    query("select pg_wal_replay_pause()").execute(&standby).await.unwrap();
    let owner = PgPool::connect(&primary.url).await.unwrap();
    query("insert into carrel.collection (id, workspace_id, name, created_at) values ($1, $2, 'new', now())")
        .bind(Uuid::from_u128(2))
        .bind(workspace.0)
        .execute(&owner)
        .await
        .unwrap();
    let written = Instant::now();
    let transaction = until_on(&database, workspace, false).await;
    assert!(written.elapsed() < Duration::from_secs(5), "the bound is 2 s, positions are compared every second");
    assert_eq!(collections(transaction).await, 1);

    // It goes on, and answers again, with what was written.
    query("select pg_wal_replay_resume()").execute(&standby).await.unwrap();
    assert_eq!(collections(until_on(&database, workspace, true).await).await, 1);

    // It dies: not one read fails.
    standby.close().await;
    replica.stop();
    let transaction = database.begin_read(workspace).await.unwrap();
    assert!(!transaction.is_on_replica());
    assert_eq!(collections(transaction).await, 1);
    drop(until_on(&database, workspace, false).await);
    database.close().await;
}
