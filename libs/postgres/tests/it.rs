//! The private server, started for real.

use carrel_postgres::{Installation, PostgresError, Running, Server, ServerConfig};
use sqlx::{Connection, PgConnection};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder that the server's account may enter.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).expect("permissions");
    folder
}

fn config(data_dir: &Path) -> ServerConfig {
    let installation = Installation::discover(None).expect("a PostgreSQL with pgvector");
    ServerConfig::new(installation, data_dir).setting("fsync", "off").setting("shared_buffers", "16MB")
}

async fn connect(server: &Server) -> PgConnection {
    PgConnection::connect(&server.url("carrel_owner", "postgres")).await.expect("connect")
}

async fn number(connection: &mut PgConnection, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(connection).await.expect(query)
}

#[tokio::test]
async fn serves_vectors_keeps_what_was_committed_and_refuses_a_second_server() {
    let folder = folder();
    // A space and a non-ASCII letter: the address must survive both.
    let data_dir = folder.path().join("data å b");
    let server = Server::start(config(&data_dir)).await.expect("first start");

    let mut connection = connect(&server).await;
    sqlx::query("create extension vector").execute(&mut connection).await.expect("pgvector");
    sqlx::query("create table kept (n int8)").execute(&mut connection).await.expect("table");
    sqlx::query("insert into kept values (41), (1)").execute(&mut connection).await.expect("rows");
    assert_eq!(
        number(&mut connection, "select count(*) from pg_settings where name = 'data_checksums' and setting = 'on'")
            .await,
        1
    );
    assert_eq!(
        number(&mut connection, "select count(*) from pg_settings where name = 'listen_addresses' and setting = ''")
            .await,
        1
    );

    let error = Server::start(config(&data_dir)).await.expect_err("second server");
    assert!(matches!(error, PostgresError::AlreadyRunning { .. }), "{error}");
    assert!(error.to_string().contains("already runs on"), "{error}");

    let running = Running::find(&data_dir.canonicalize().expect("path")).expect("found through its folder");
    assert_eq!(running.url("carrel_owner", "postgres"), server.url("carrel_owner", "postgres"));
    assert_eq!(std::fs::metadata(server.socket_dir()).expect("socket folder").permissions().mode() & 0o777, 0o700);

    // An open connection must not hold a stop up.
    server.stop().await.expect("stop");
    assert!(Running::find(&data_dir).is_none());
    drop(connection);

    let server = Server::start(config(&data_dir)).await.expect("second start");
    let mut connection = connect(&server).await;
    assert_eq!(number(&mut connection, "select sum(n)::int8 from kept").await, 42);
    drop(connection);

    // Dropping does not wait; the next start does.
    drop(server);
    let server = Server::start(config(&data_dir)).await.expect("start after a drop");
    let mut connection = connect(&server).await;
    assert_eq!(number(&mut connection, "select sum(n)::int8 from kept").await, 42);
    server.stop().await.expect("stop");
}

#[tokio::test]
async fn a_long_path_moves_the_socket_and_tcp_is_there_when_asked_for() {
    let folder = folder();
    let data_dir = folder.path().join("x".repeat(100));
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address").port();
    let mut config = config(&data_dir);
    config.tcp_port = Some(port);
    let server = Server::start(config).await.expect("start");
    let socket_dir = server.socket_dir().to_owned();
    assert!(!socket_dir.starts_with(folder.path()));
    let mut over_socket = connect(&server).await;
    assert_eq!(number(&mut over_socket, "select 1::int8").await, 1);
    let mut over_tcp = PgConnection::connect(&format!("postgres://carrel_owner@127.0.0.1:{port}/postgres"))
        .await
        .expect("connect over TCP");
    assert_eq!(number(&mut over_tcp, "select 1::int8").await, 1);
    server.stop().await.expect("stop");
    assert!(!socket_dir.exists());
}

#[tokio::test]
async fn a_failed_start_says_why_and_an_unknown_folder_is_left_alone() {
    let folder = folder();
    let broken = config(folder.path()).setting("no_such_setting", "1");
    let error = Server::start(broken).await.expect_err("bad setting");
    assert!(matches!(error, PostgresError::EndedEarly { .. }), "{error}");
    assert!(error.to_string().contains("no_such_setting"), "{error}");

    let other = self::folder();
    std::fs::create_dir(other.path().join("cluster")).expect("folder");
    std::fs::write(other.path().join("cluster/letter.txt"), "dear").expect("file");
    let error = Server::start(config(other.path())).await.expect_err("not a cluster");
    assert!(matches!(error, PostgresError::NotACluster { .. }), "{error}");
    assert!(other.path().join("cluster/letter.txt").exists());

    std::fs::remove_file(other.path().join("cluster/letter.txt")).expect("remove");
    std::fs::write(other.path().join("cluster/PG_VERSION"), "9.6\n").expect("file");
    let error = Server::start(config(other.path())).await.expect_err("old cluster");
    assert!(matches!(error, PostgresError::VersionMismatch { .. }), "{error}");
}

#[tokio::test]
async fn a_closed_parent_folder_is_explained() {
    if !rustix::process::geteuid().is_root() {
        // Only root hands its cluster to another account.
        return;
    }
    let closed = folder();
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700)).expect("permissions");
    let data_dir = closed.path().join("inner");
    let error = Server::start(config(&data_dir)).await.expect_err("unreachable");
    let PostgresError::NotTraversable { folder, .. } = &error else { panic!("{error}") };
    assert_eq!(folder, &closed.path().canonicalize().expect("path"));
}

/// Started by the next test in a process of its own, which is then killed.
#[tokio::test]
async fn child_holds_a_server() {
    let Some(data_dir) = std::env::var_os("CARREL_TEST_HOLD_SERVER") else {
        return;
    };
    let server = Server::start(config(Path::new(&data_dir))).await.expect("start");
    let mut connection = connect(&server).await;
    sqlx::query("create table if not exists kept (n int8)").execute(&mut connection).await.expect("table");
    sqlx::query("insert into kept values (1)").execute(&mut connection).await.expect("row");
    println!("held");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_killed_parent_takes_the_server_along_and_nothing_is_lost() {
    let folder = folder();
    let mut parent = std::process::Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", "child_holds_a_server", "--nocapture"])
        .env("CARREL_TEST_HOLD_SERVER", folder.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("spawn");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(parent.stdout.take().expect("pipe")));
    let held = lines.any(|line| line.is_ok_and(|line| line.contains("held")));
    assert!(held, "the other process did not start its server");
    let orphan = Running::find(folder.path()).expect("running");
    parent.kill().expect("kill");
    parent.wait().expect("wait");

    // The kernel told the server to end; nobody else has yet.
    let ended = async {
        while Running::find(folder.path()).is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.expect("the orphan ends by itself");

    let begun = Instant::now();
    let server = Server::start(config(folder.path())).await.expect("start after the kill");
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert!(Running::find(folder.path()).is_some_and(|running| running.pid != orphan.pid));
    let mut connection = connect(&server).await;
    assert_eq!(number(&mut connection, "select sum(n)::int8 from kept").await, 1);
    server.stop().await.expect("stop");
}
