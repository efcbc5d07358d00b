//! Stopping a worker.

use crate::support::{Act, Bench, Carry, Probe, on_both, until};
use carrel_domain::job::{JobSpec, JobState, QueueName};
use carrel_storage::jobs::{self, AttemptOutcome};
use std::time::{Duration, Instant};

on_both! {
    lets_running_jobs_end;
    asks_running_jobs_to_stop;
    releases_what_does_not_stop;
}

async fn lets_running_jobs_end(carry: Carry) {
    let bench = Bench::new(carry).await;
    let probe = Probe::new();
    let running = Bench::start(bench.builder(&probe).queues([(QueueName::Ingest, 1)]).drain(Duration::from_secs(20)));
    let specs: Vec<JobSpec> = (0..3).map(|_| Act::Gate.spec()).collect();
    let ids = bench.enqueue(&specs).await;
    probe.until_started(ids[0]).await;
    running.stop.cancel();
    let health = running.health.clone();
    until("the worker drains", async || health.report().draining.then_some(())).await;
    assert!(!health.report().is_ready());
    probe.gate.notify_one();
    let started = Instant::now();
    running.stop().await;
    assert!(started.elapsed() < Duration::from_secs(5), "it does not wait for the whole grace");
    assert_eq!(bench.job(ids[0]).await.state, JobState::Completed);
    for id in &ids[1..] {
        let job = bench.job(*id).await;
        assert_eq!((job.state, job.attempt), (JobState::Available, 0));
    }
    assert_eq!(bench.number("select count(*) from carrel.worker").await, 0);
    bench.finish().await;
}

async fn asks_running_jobs_to_stop(carry: Carry) {
    let bench = Bench::new(carry).await;
    let probe = Probe::new();
    let running = Bench::start(bench.builder(&probe).drain(Duration::from_millis(400)));
    let id = bench.enqueue_one(Act::Gate.spec()).await;
    probe.until_started(id).await;
    running.stop().await;
    released(&bench, id).await;
    bench.finish().await;
}

async fn releases_what_does_not_stop(carry: Carry) {
    let bench = Bench::new(carry).await;
    let probe = Probe::new();
    let running = Bench::start(bench.builder(&probe).drain(Duration::from_millis(400)));
    let id = bench.enqueue_one(Act::Hang.spec()).await;
    probe.until_started(id).await;
    let started = Instant::now();
    running.stop().await;
    assert!(started.elapsed() < Duration::from_secs(3));
    released(&bench, id).await;
    bench.finish().await;
}

async fn released(bench: &Bench, id: carrel_domain::JobId) {
    let job = bench.job(id).await;
    assert_eq!((job.state, job.attempt), (JobState::Available, 0), "the attempt is not charged");
    let mut tx = bench.database.begin(bench.workspace).await.unwrap();
    let explained = jobs::explain(&mut tx, id, Duration::from_secs(30)).await.unwrap().unwrap();
    // A claim that was under way at the stop may have taken it once more, and gave it back unstarted.
    assert!(!explained.attempts.is_empty());
    assert!(explained.attempts.iter().all(|a| a.outcome == AttemptOutcome::Released), "{:?}", explained.attempts);
}
