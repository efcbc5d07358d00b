//! Row-level security from the wrong side.

use crate::support::{Act, Bench, Carry};
use carrel_domain::{Actor, JobId, WorkspaceId};
use carrel_storage::jobs::{self, JobFilter};
use sqlx::Connection;
use std::time::Duration;
use uuid::Uuid;

#[tokio::test]
async fn another_workspaces_jobs_cannot_be_seen_needed_or_changed() {
    let bench = Bench::new(Carry::Postgres).await;
    let stranger = WorkspaceId(Uuid::now_v7());
    bench.add_workspace(stranger).await;
    let id = bench.enqueue_one(Act::Complete.spec()).await;

    let mut tx = bench.database.begin(stranger).await.unwrap();
    assert!(jobs::get(&mut tx, id).await.unwrap().is_none());
    assert!(jobs::list(&mut tx, &JobFilter::default(), None, 10).await.unwrap().is_empty());
    assert!(jobs::explain(&mut tx, id, Duration::from_secs(1)).await.unwrap().is_none());
    assert!(jobs::cancel(&mut tx, id).await.unwrap().is_none());
    assert!(jobs::retry(&mut tx, id, JobId(Uuid::now_v7()), &Actor::Operator).await.unwrap().is_none());
    let mut nosy = Act::Complete.spec();
    nosy.needs = vec![id];
    assert!(jobs::enqueue(&mut tx, &[nosy], &Actor::Operator).await.is_err(), "a need across the wall is refused");
    drop(tx);

    // The same key in another workspace is another job.
    let mut keyed = Act::Complete.spec();
    keyed.unique_key = Some("same".to_owned());
    let here = bench.enqueue_one(keyed.clone()).await;
    keyed.id = JobId(Uuid::now_v7());
    assert_ne!(bench.enqueue_in(stranger, &[keyed]).await[0], here);
    bench.finish().await;
}

#[tokio::test]
async fn the_job_machinery_sees_jobs_and_nothing_else() {
    let bench = Bench::new(Carry::Postgres).await;
    bench.enqueue_one(Act::Complete.spec()).await;
    let mut connection = bench.owner.acquire().await.unwrap();
    let mut tx = connection.begin().await.unwrap();
    sqlx::query("set local role carrel_queue").execute(&mut *tx).await.unwrap();
    let seen: i64 = sqlx::query_scalar("select count(*) from carrel.job").fetch_one(&mut *tx).await.unwrap();
    assert_eq!(seen, 1);
    for forbidden in [
        "select count(*) from carrel.workspace",
        "select count(*) from carrel.audit_entry",
        "update carrel.job set payload = '{}'",
        "update carrel.job set workspace_id = gen_random_uuid()",
        "insert into carrel.job_dep (job_id, needs_id, workspace_id) select id, id, workspace_id from carrel.job",
        "update carrel.job_attempt set outcome = 'failed'",
    ] {
        let mut savepoint = tx.begin().await.unwrap();
        let refused = sqlx::query(forbidden).execute(&mut *savepoint).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("42501"), "{forbidden}: {refused}");
    }
    drop(tx);
    drop(connection);
    bench.finish().await;
}
