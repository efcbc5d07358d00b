//! A primary that Sentinel names, and another one after it: real servers, started and stopped here.

use crate::server::Server;
use crate::support::{Act, Bench, Carry, Probe, until};
use carrel_domain::job::{JobSpec, JobState};
use carrel_queue::{RedisOptions, Transport};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_primary_carries_on() {
    let first = Server::start(&[], "");
    let second = Server::start(&[], &format!("replicaof 127.0.0.1 {}\n", first.port));
    until("the replica follows", async || {
        second.text("INFO replication").await.contains("master_link_status:up").then_some(())
    })
    .await;
    let watch = format!(
        "sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 60000\nsentinel failover-timeout main 5000\n",
        first.port
    );
    let sentinel = Server::start(&["--sentinel"], &watch);
    until("the sentinel knows the replica", async || {
        sentinel.text("SENTINEL REPLICAS main").await.contains(&second.port.to_string()).then_some(())
    })
    .await;

    let bench = Bench::new(Carry::Redis).await;
    let probe = Probe::new();
    let carried = Transport::Redis(RedisOptions::new(format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port)));
    let running = Bench::start(bench.builder(&probe).transport(carried));
    let health = running.health.clone();
    until("Redis carries", async || (health.report().redis == Some(true)).then_some(())).await;
    let jobs = |count: usize| (0..count).map(|_| Act::Complete.spec()).collect::<Vec<JobSpec>>();
    for id in bench.enqueue(&jobs(20)).await {
        bench.until_state(id, JobState::Completed).await;
    }
    assert!(first.text("EXISTS carrel:epoch:ingest").await.contains('1'), "the first primary has carried");

    until("the sentinel begins the failover", async || sentinel.ask("SENTINEL FAILOVER main").await.ok()).await;
    for id in bench.enqueue(&jobs(50)).await {
        bench.until_state(id, JobState::Completed).await;
    }
    until("the second server is the primary", async || second.text("ROLE").await.contains("master").then_some(()))
        .await;
    drop(first);
    for id in bench.enqueue(&jobs(20)).await {
        bench.until_state(id, JobState::Completed).await;
    }
    until("the second server carries", async || (health.report().redis == Some(true)).then_some(())).await;
    assert_eq!(probe.total_runs(), 90);
    running.stop().await;
    bench.finish().await;
}
