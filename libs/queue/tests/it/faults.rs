//! Workers that vanish, claims that are lost, Redis that forgets.

use crate::support::{Act, Bench, Carry, Probe, on_both, redis_url, until};
use carrel_domain::job::{JobKind, JobSpec, JobState, QueueName};
use carrel_domain::{ClaimToken, WorkerId};
use carrel_queue::{RedisOptions, Transport};
use carrel_storage::jobs::{self, AttemptEnd, ClaimedJob, Ended};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use uuid::Uuid;

on_both! {
    expired_lease_runs_again_and_the_old_claim_is_refused;
    poison_is_discarded_after_three_crashes;
    jobs_of_one_process_that_expire_apart_were_together;
    lost_claim_stops_the_handler;
}

/// A worker without a keeper: whatever it claims will expire.
fn ghost(lease: Duration) -> jobs::Worker {
    jobs::Worker { id: WorkerId(Uuid::now_v7()), kinds: vec![(Act::KIND.to_owned(), Act::PAYLOAD_VERSION)], lease }
}

async fn claim_as(bench: &Bench, worker: &jobs::Worker, limit: usize) -> Vec<ClaimedJob> {
    jobs::claim_next(&bench.database, worker, QueueName::Ingest, limit).await.unwrap()
}

async fn expired_lease_runs_again_and_the_old_claim_is_refused(carry: Carry) {
    let bench = Bench::new(carry).await;
    let probe = Probe::new();
    let id = bench.enqueue_one(Act::Complete.spec()).await;
    let old = claim_as(&bench, &ghost(Duration::from_millis(300)), 1).await.remove(0);
    assert_eq!(old.id, id);
    bench.run(bench.builder(&probe));
    let job = bench.until_state(id, JobState::Completed).await;
    assert_eq!((job.attempt, probe.runs(id)), (2, 1));

    let mut tx = bench.database.begin(bench.workspace).await.unwrap();
    assert!(!jobs::complete(&mut tx, id, old.claim, &serde_json::json!("late")).await.unwrap());
    tx.rollback().await.unwrap();
    let end = AttemptEnd::Discard { code: "late".to_owned(), message: String::new() };
    assert_eq!(jobs::end_attempt(&bench.database, id, old.claim, &end).await.unwrap(), Ended::Stale);
    assert_eq!(jobs::give_back(&bench.database, &[(id, old.claim)]).await.unwrap(), 0);
    assert_eq!(bench.job(id).await.result, Some(serde_json::json!({ "run": 1 })));
    bench.finish().await;
}

async fn poison_is_discarded_after_three_crashes(carry: Carry) {
    let bench = Bench::new(carry).await;
    let mut spec = Act::Complete.spec();
    spec.max_attempts = 9;
    let id = bench.enqueue_one(spec).await;
    for crash in 1..=3 {
        assert_eq!(claim_as(&bench, &ghost(Duration::from_millis(1)), 1).await.len(), 1, "crash {crash}");
        until("the lease is swept", async || {
            (jobs::sweep(&bench.database).await.unwrap() != jobs::Swept::default()).then_some(())
        })
        .await;
    }
    let job = bench.job(id).await;
    assert_eq!((job.state, job.last_error.unwrap().code.as_str()), (JobState::Discarded, "poison"));
    bench.finish().await;
}

async fn jobs_of_one_process_that_expire_apart_were_together(carry: Carry) {
    let bench = Bench::new(carry).await;
    let mut specs = vec![Act::Complete.spec(), Act::Complete.spec()];
    for spec in &mut specs {
        spec.max_attempts = 9;
    }
    let ids = bench.enqueue(&specs).await;
    sqlx::query("update carrel.job set crashes = 2").execute(&bench.owner).await.unwrap();
    let first = ghost(Duration::from_millis(1));
    jobs::register(&bench.database, &first, "here", "1", &[QueueName::Ingest], false).await.unwrap();
    let later = jobs::Worker { lease: Duration::from_secs(1), ..first.clone() };
    assert_eq!(claim_as(&bench, &later, 1).await.len(), 1);
    assert_eq!(claim_as(&bench, &first, 1).await.len(), 1);
    for _ in 0..2 {
        until("one lease is swept", async || {
            let swept = jobs::sweep(&bench.database).await.unwrap();
            assert_eq!(swept.discarded, 0, "neither was alone");
            (swept.revived == 1).then_some(())
        })
        .await;
    }
    for id in ids {
        // The first one's pause may be over by now; nobody runs it.
        let state = bench.job(id).await.state;
        assert!(matches!(state, JobState::Retryable | JobState::Available), "{state:?}");
    }
    bench.finish().await;
}

async fn lost_claim_stops_the_handler(carry: Carry) {
    let bench = Bench::new(carry).await;
    let probe = Probe::new();
    bench.run(bench.builder(&probe).lease(Duration::from_secs(1)));
    let id = bench.enqueue_one(Act::Stubborn.spec()).await;
    probe.until_started(id).await;
    // As if the worker had been frozen for longer than its lease and a neighbour had taken the job.
    let taken = ClaimToken(Uuid::now_v7());
    sqlx::query(
        "update carrel.job set claim = $2, attempt = 2, lease_until = now() + interval '1 minute' where id = $1",
    )
    .bind(id.0)
    .bind(taken.0)
    .execute(&bench.owner)
    .await
    .unwrap();
    probe.gate.notify_one();
    until("the handler was refused", async || probe.stale.lock().unwrap().contains(&id).then_some(())).await;
    assert_eq!(bench.number("select count(*) from carrel.audit_entry where action = 'probe.act'").await, 0);
    jobs::give_back(&bench.database, &[(id, taken)]).await.unwrap();
    probe.gate.notify_one();
    bench.until_state(id, JobState::Completed).await;
    bench.finish().await;
}

#[test]
fn handlers_that_block_every_thread_keep_their_leases() {
    // The worker's runtime has one thread, and its handlers keep it busy for three leases. The test looks from another one.
    let (inside, outside) = (
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
        tokio::runtime::Runtime::new().unwrap(),
    );
    let bench = outside.block_on(Bench::new(Carry::Postgres));
    let probe = Probe::new();
    let ids = outside.block_on(bench.enqueue(&[Act::Block(1500).spec(), Act::Block(1500).spec()]));
    let builder = {
        // Pools belong to the runtime that uses them.
        let _inside = inside.enter();
        bench.builder_over(bench.connect(), &probe).lease(Duration::from_secs(1))
    };
    let (stop, worker) = (tokio_util::sync::CancellationToken::new(), builder.build().unwrap());
    let task = inside.spawn(worker.run(stop.clone()));
    outside.block_on(until("both have completed, and nothing was swept", async || {
        assert_eq!(jobs::sweep(&bench.database).await.unwrap(), jobs::Swept::default());
        let left = bench.number("select count(*) from carrel.job").await;
        (left == 0).then_some(())
    }));
    assert_eq!(ids.iter().map(|id| probe.runs(*id)).collect::<Vec<_>>(), [1, 1]);
    stop.cancel();
    inside.block_on(task).unwrap().unwrap();
    outside.block_on(bench.finish());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_never_hold_one_job() {
    let bench = Bench::new(Carry::Postgres).await;
    let specs: Vec<JobSpec> = (0..200).map(|_| Act::Complete.spec()).collect();
    bench.enqueue(&specs).await;
    let claimers = (0..4).map(|_| {
        let database = bench.database.clone();
        tokio::spawn(async move {
            let worker = ghost(Duration::from_mins(1));
            let mut claimed = Vec::new();
            let deadline = Instant::now() + Duration::from_secs(20);
            while jobs::next_due(&database, &worker, QueueName::Ingest).await.unwrap().is_some() {
                assert!(Instant::now() < deadline);
                claimed.extend(jobs::claim_next(&database, &worker, QueueName::Ingest, 7).await.unwrap());
            }
            claimed
        })
    });
    let claimed: Vec<ClaimedJob> =
        futures::future::join_all(claimers).await.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(claimed.len(), 200);
    assert_eq!(claimed.iter().map(|job| job.id).collect::<HashSet<_>>().len(), 200);
    assert_eq!(claimed.iter().map(|job| job.claim).collect::<HashSet<_>>().len(), 200);
    let claims: Vec<_> = claimed.iter().map(|job| (job.id, job.claim)).collect();
    assert_eq!(jobs::give_back(&bench.database, &claims).await.unwrap(), 200);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_forgets_loses_nothing() {
    let bench = Bench::new(Carry::Redis).await;
    let probe = Probe::new();
    let specs: Vec<JobSpec> = (0..600).map(|_| Act::Complete.spec()).collect();
    bench.enqueue(&specs).await;
    bench.run(bench.builder(&probe));
    let redis = redis::Client::open(redis_url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut flushes = 0;
    until("all completed although Redis forgets everything again and again", async || {
        if flushes < 5 && probe.total_runs() > flushes * 100 {
            flushes += 1;
            // Everything that this test has in Redis; other tests share the server.
            let keys: Vec<String> =
                redis::cmd("KEYS").arg(format!("{}*", bench.prefix)).query_async(&mut redis.clone()).await.unwrap();
            if !keys.is_empty() {
                redis::cmd("DEL").arg(keys).exec_async(&mut redis.clone()).await.unwrap();
            }
        }
        let left = bench.number("select count(*) from carrel.job_all where state <> 'completed'").await;
        (left == 0).then_some(())
    })
    .await;
    assert_eq!((flushes, probe.total_runs()), (5, 600));
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_and_repeats_in_redis_are_dropped() {
    let bench = Bench::new(Carry::Redis).await;
    let probe = Probe::new();
    let id = bench.enqueue_one(Act::Complete.spec()).await;
    let mut redis = redis::Client::open(redis_url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let list = format!("{}jobs:ingest", bench.prefix);
    for message in [b"\xff\xfe".as_slice(), b"no id", Uuid::now_v7().to_string().as_bytes(), id.to_string().as_bytes()]
    {
        for _ in 0..3 {
            redis::cmd("RPUSH").arg(&list).arg(message).exec_async(&mut redis).await.unwrap();
        }
    }
    bench.run(bench.builder(&probe));
    bench.until_state(id, JobState::Completed).await;
    until("the list is empty", async || {
        let left: usize = redis::cmd("LLEN").arg(&list).query_async(&mut redis.clone()).await.unwrap();
        (left == 0).then_some(())
    })
    .await;
    assert_eq!(probe.runs(id), 1);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_jobs_are_claimed_from_postgres() {
    let bench = Bench::new(Carry::Redis).await;
    let probe = Probe::new();
    // Nothing listens on this port: it is bound and never accepts.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = Transport::Redis(RedisOptions::new(format!("redis://127.0.0.1:{port}")));
    let running = Bench::start(bench.builder(&probe).transport(away));
    let id = bench.enqueue_one(Act::Complete.spec()).await;
    bench.until_state(id, JobState::Completed).await;
    assert_eq!(running.health.report().redis, Some(false));
    running.stop().await;
    bench.finish().await;
}
