//! The schema of the first release, with what it held, brought up to date.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;

/// The last migration of the first release.
const FIRST: &str = "0007";

/// Rows that the first release left behind and later migrations must find a place for.
const HELD: &str = "
    insert into carrel.workspace (id, name, created_at) values ('00000000-0000-7000-8000-000000000001', 'held', now());
    insert into carrel.job (id, workspace_id, kind, queue, state, payload, payload_version, run_at, max_attempts, timeout_ms,
                            unique_key, created_by, created_at, finished_at, attempt)
    select gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'segments.merge', 'maintenance',
           case when n = 0 then 'available' else 'completed' end, '{}', 1, now(), 3, 1000,
           'the same', '{\"kind\": \"operator\"}', now(),
           case when n > 0 then now() - n * interval '1 day' end, 1
    from generate_series(0, 40) n;";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_first_release_held_survives_the_migrations() {
    let server = std::env::var("CARREL_TEST_DATABASE_URL").expect("see CONTRIBUTING.md");
    let name = format!("carrel_test_upgrade_{}", Uuid::now_v7().simple());
    let mut admin = PgConnection::connect(&server).await.unwrap();
    admin.execute(AssertSqlSafe(format!("create database {name}"))).await.unwrap();
    let (head, _) = server.split_once('?').unwrap_or((&server, ""));
    let (base, _) = head.rsplit_once('/').unwrap();
    let mut database = PgConnection::connect(&format!("{base}/{name}")).await.unwrap();

    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut filled = false;
    for file in files {
        if !filled && file.file_name().unwrap().to_str().unwrap()[..4] > *FIRST {
            database.execute(HELD).await.unwrap();
            filled = true;
        }
        let sql = std::fs::read_to_string(&file).unwrap();
        // Each in a transaction of its own, as the migrator runs it.
        let done = database.execute(AssertSqlSafe(format!("begin;\n{sql}\ncommit;"))).await;
        done.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    assert!(filled);
    let counts: (i64, i64) =
        sqlx::query_as("select (select count(*) from carrel.job), (select count(*) from carrel.job_all)")
            .fetch_one(&mut database)
            .await
            .unwrap();
    assert_eq!(counts, (1, 41), "one waits, and all are still told");
    database.close().await.unwrap();
    admin.execute(AssertSqlSafe(format!("drop database {name} with (force)"))).await.unwrap();
}
