//! Callers who do not wait for the answer.

use carrel_domain::WorkspaceId;
use carrel_storage::{Database, DatabaseOptions};
use carrel_testkit::TestDatabase;
use std::time::Duration;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_goes_away_leaves_no_transaction_open() {
    let test = TestDatabase::create().await;
    let mut options = DatabaseOptions::new(test.service_url.clone());
    options.pool_size = 1;
    options.application_name = "patience".to_owned();
    let database = Database::connect_lazy(&options).unwrap();
    let workspace = WorkspaceId(Uuid::now_v7());
    database.ping().await.unwrap();
    for micros in (0..600).step_by(3) {
        // Sooner or later than the answer: whoever comes next must find a connection outside of any transaction.
        let waiting = tokio::time::timeout(Duration::from_micros(micros), database.begin(workspace));
        drop(waiting.await);
        database.ping().await.unwrap();
        let open: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity
             where datname = current_database() and application_name = 'patience' and state like 'idle in transaction%'",
        )
        .fetch_one(&test.owner)
        .await
        .unwrap();
        assert_eq!(open, 0, "after {micros} microseconds");
    }
}
