//! What cannot work is named in one line, with what to do; what may come back is waited for.

use crate::processes::{Running, WORKER, free_address, program};
use carrel_testkit::{TestDatabase, until_within};
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn a_setting_that_cannot_be_meant_is_named_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let url = ("CARREL__DATABASE__URL", "postgres://carrel@127.0.0.1:1/carrel");
    for (settings, words) in [
        (vec![], "database.url is not set; name the database in CARREL__DATABASE__URL"),
        (vec![("CARREL__DATABASE__URL", "mysql://x")], "`database.url` must start with postgres://"),
        (vec![url, ("CARREL__JOBS__LEASE_SECOND", "3")], "did you mean `CARREL__JOBS__LEASE_SECONDS`?"),
        (
            vec![url, ("CARREL__DATABASE__POOL_SIZE", "many")],
            "`database.pool_size` in the variable CARREL__DATABASE__POOL_SIZE",
        ),
        (vec![url, ("CARREL__DATABASE__POOL_SIZE", "0")], "`database.pool_size`"),
        (vec![url, ("CARREL__AUTH__SIGNING_KEY_FILE", "/nonexistent")], "cannot read /nonexistent"),
        (vec![url, ("CARREL__REDIS__URL", "http://localhost")], "`redis.url` must start with redis://"),
        (vec![url, ("CARREL__STORE__PATH", "/dev/null/objects")], "store.path: /dev/null/objects cannot be used"),
        (vec![url, ("CARREL__SERVER__METRICS_LISTEN", taken.as_str())], "server.metrics_listen: "),
    ] {
        let ended = program(WORKER, folder.path()).envs(settings.iter().copied()).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        let reasons: Vec<&str> = said.lines().filter(|line| line.starts_with("carrel-worker: ")).collect();
        assert!(matches!(reasons[..], [line] if line.contains(words)), "{settings:?} {said}");
        assert_eq!(said.lines().last(), Some(reasons[0]), "nothing follows the reason: {said}");
        assert_eq!(ended.status.code(), Some(78), "{settings:?}");
    }
}

/// What readiness says of one check, once it has failed.
async fn failing(address: std::net::SocketAddr, check: &str) -> String {
    until_within(Duration::from_secs(30), "readiness says what fails", async || {
        let answer = reqwest::get(format!("http://{address}/health/ready")).await.ok()?;
        if answer.status() != 503 {
            return None;
        }
        let body: Value = answer.json().await.ok()?;
        let found = body["checks"].as_array()?.iter().find(|row| row["name"] == check)?;
        found["detail"].as_str().map(str::to_owned)
    })
    .await
}

/// Settings, the check that fails, and how its words begin.
type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

#[tokio::test]
async fn what_is_away_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let test = TestDatabase::create().await;
    let nobody = free_address();
    let database = format!("postgres://carrel@{nobody}/carrel");
    let endpoint = format!("http://{nobody}");
    let rows: [Row<'_>; 3] = [
        (&[("CARREL__DATABASE__URL", &database)], "database", "PostgreSQL cannot be reached"),
        (
            &[
                ("CARREL__DATABASE__URL", &test.service_url),
                ("CARREL__STORE__KIND", "s3"),
                ("CARREL__STORE__BUCKET", "b"),
                ("CARREL__STORE__ENDPOINT", &endpoint),
                ("CARREL__STORE__ALLOW_HTTP", "true"),
                ("CARREL__STORE__ACCESS_KEY_ID", "a"),
                ("CARREL__STORE__SECRET_ACCESS_KEY", "b"),
            ],
            "store",
            "the object store cannot be reached",
        ),
        (
            // A worker for the queue of the model, whose service is away.
            &[
                ("CARREL__DATABASE__URL", &test.service_url),
                ("CARREL__INFERENCE__EMBEDDER__PROVIDER", "ollama"),
                ("CARREL__INFERENCE__EMBEDDER__MODEL", "m"),
                ("CARREL__INFERENCE__EMBEDDER__URL", &endpoint),
            ],
            "model",
            "the model cannot be reached",
        ),
    ];
    for (settings, check, words) in rows {
        let address = free_address();
        let mut command = program(WORKER, folder.path());
        command.args(["--queues", "ai=1"]).envs(settings.iter().copied()).stderr(Stdio::null());
        let mut running = Running(command.env("CARREL__SERVER__METRICS_LISTEN", address.to_string()).spawn().unwrap());
        let found = failing(address, check).await;
        assert!(found.starts_with(words), "{check}: {found}");
        assert!(!found.contains("127.0.0.1"), "an answer without a login names no address: {found}");
        assert!(running.0.try_wait().unwrap().is_none(), "{check}: the program waits instead of ending");
    }
}

#[tokio::test]
async fn without_redis_postgresql_carries_the_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let test = TestDatabase::create().await;
    let (address, nobody) = (free_address(), free_address());
    let mut command = program(WORKER, folder.path());
    command
        .env("CARREL__DATABASE__URL", &test.service_url)
        .env("CARREL__REDIS__URL", format!("redis://user:password@{nobody}/"))
        .env("CARREL__SERVER__METRICS_LISTEN", address.to_string())
        .stderr(Stdio::null());
    let _running = Running(command.spawn().unwrap());
    until_within(Duration::from_secs(30), "the worker is ready", async || {
        let answer = reqwest::get(format!("http://{address}/health/ready")).await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
}
