//! From enqueue to every end.

use crate::support::{Act, Bench, Carry, Probe, on_both, until};
use carrel_domain::job::{JobKind, JobSpec, JobState, QueueName};
use carrel_domain::{Actor, JobId};
use carrel_storage::jobs::{self, AttemptOutcome, Cancelled, JobFilter, Retried, Wait};
use std::time::Duration;
use uuid::Uuid;

on_both! {
    completes_with_its_effect;
    fails_until_it_completes;
    becomes_a_dead_letter_after_the_last_attempt;
    gives_up_at_once_and_is_replayed;
    panics_and_is_discarded;
    snoozes_without_charge;
    times_out;
    cancels_while_running;
    unblocks_and_cascades;
    unknown_kind_and_unreadable_payload_are_discarded;
    newer_payload_waits_for_a_newer_worker;
}

async fn completes_with_its_effect(carry: Carry) {
    let bench = Bench::new(carry).await;
    let probe = Probe::new();
    bench.run(bench.builder(&probe));
    let id = bench.enqueue_one(Act::Complete.spec()).await;
    let job = bench.until_state(id, JobState::Completed).await;
    assert_eq!((job.attempt, probe.runs(id)), (1, 1));
    assert_eq!(job.result, Some(serde_json::json!({ "run": 1 })));
    assert_eq!(bench.number("select count(*) from carrel.audit_entry where action = 'probe.act'").await, 1);
    let mut tx = bench.database.begin(bench.workspace).await.unwrap();
    let explained = jobs::explain(&mut tx, id, Duration::from_secs(30)).await.unwrap().unwrap();
    assert_eq!(explained.attempts.iter().map(|a| a.outcome).collect::<Vec<_>>(), [AttemptOutcome::Completed]);
    drop(tx);
    bench.finish().await;
}

async fn fails_until_it_completes(carry: Carry) {
    let bench = Bench::new(carry).await;
    let probe = Probe::new();
    bench.run(bench.builder(&probe));
    let id = bench.enqueue_one(Act::FailFirst(2).spec()).await;
    let job = bench.until_state(id, JobState::Completed).await;
    assert_eq!((job.attempt, probe.runs(id)), (3, 3));
    assert_eq!(bench.number("select count(*) from carrel.audit_entry where action = 'probe.act'").await, 1);
    bench.finish().await;
}

async fn becomes_a_dead_letter_after_the_last_attempt(carry: Carry) {
    let bench = Bench::new(carry).await;
    let probe = Probe::new();
    bench.run(bench.builder(&probe));
    let id = bench.enqueue_one(Act::FailFirst(9).spec()).await;
    let job = bench.until_state(id, JobState::Discarded).await;
    assert_eq!((job.attempt, probe.runs(id)), (3, 3));
    assert_eq!(job.last_error.unwrap().code, "not_yet");
    let mut tx = bench.database.begin(bench.workspace).await.unwrap();
    let explained = jobs::explain(&mut tx, id, Duration::from_secs(30)).await.unwrap().unwrap();
    let outcomes: Vec<_> = explained.attempts.iter().map(|a| (a.number, a.outcome)).collect();
    assert_eq!(outcomes, [(1, AttemptOutcome::Failed), (2, AttemptOutcome::Failed), (3, AttemptOutcome::Discarded)]);
    drop(tx);
    bench.finish().await;
}

async fn gives_up_at_once_and_is_replayed(carry: Carry) {
    let bench = Bench::new(carry).await;
    let probe = Probe::new();
    bench.run(bench.builder(&probe));
    let id = bench.enqueue_one(Act::GiveUp.spec()).await;
    let job = bench.until_state(id, JobState::Discarded).await;
    assert_eq!((job.attempt, job.last_error.unwrap().code.as_str()), (1, "hopeless"));
    let mut tx = bench.database.begin(bench.workspace).await.unwrap();
    let replay = JobId(Uuid::now_v7());
    let retried = jobs::retry(&mut tx, id, replay, &Actor::Operator).await.unwrap();
    assert_eq!(retried, Some(Retried::Replayed(replay)));
    tx.commit().await.unwrap();
    let again = bench.until_state(replay, JobState::Discarded).await;
    assert_eq!(again.replay_of, Some(id));
    bench.finish().await;
}

async fn panics_and_is_discarded(carry: Carry) {
    let bench = Bench::new(carry).await;
    let probe = Probe::new();
    bench.run(bench.builder(&probe));
    let id = bench.enqueue_one(Act::Panic.spec()).await;
    let job = bench.until_state(id, JobState::Discarded).await;
    let error = job.last_error.unwrap();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("panicked", "the handler fell over"));
    let next = bench.enqueue_one(Act::Complete.spec()).await;
    bench.until_state(next, JobState::Completed).await;
    bench.finish().await;
}

async fn snoozes_without_charge(carry: Carry) {
    let bench = Bench::new(carry).await;
    let probe = Probe::new();
    bench.run(bench.builder(&probe));
    let id = bench.enqueue_one(Act::SnoozeOnce.spec()).await;
    let job = bench.until_state(id, JobState::Completed).await;
    assert_eq!((job.attempt, probe.runs(id)), (1, 2));
    bench.finish().await;
}

async fn times_out(carry: Carry) {
    let bench = Bench::new(carry).await;
    let probe = Probe::new();
    bench.run(bench.builder(&probe));
    let mut spec = Act::Hang.spec();
    spec.timeout = Duration::from_millis(50);
    spec.max_attempts = 1;
    let id = bench.enqueue_one(spec).await;
    let job = bench.until_state(id, JobState::Discarded).await;
    assert_eq!(job.last_error.unwrap().code, "timed_out");
    bench.finish().await;
}

async fn cancels_while_running(carry: Carry) {
    let bench = Bench::new(carry).await;
    let probe = Probe::new();
    bench.run(bench.builder(&probe));
    let id = bench.enqueue_one(Act::Gate.spec()).await;
    probe.until_started(id).await;
    let mut tx = bench.database.begin(bench.workspace).await.unwrap();
    assert_eq!(jobs::cancel(&mut tx, id).await.unwrap(), Some(Cancelled::Requested));
    tx.commit().await.unwrap();
    bench.until_state(id, JobState::Cancelled).await;
    let mut tx = bench.database.begin(bench.workspace).await.unwrap();
    assert_eq!(jobs::cancel(&mut tx, id).await.unwrap(), Some(Cancelled::Refused(JobState::Cancelled)));
    drop(tx);
    bench.finish().await;
}

async fn unblocks_and_cascades(carry: Carry) {
    let bench = Bench::new(carry).await;
    let probe = Probe::new();
    let (first, second) = (Act::Complete.spec(), Act::FailFirst(1).spec());
    let mut both = Act::Complete.spec();
    both.needs = vec![first.id, second.id, first.id];
    let broken = Act::GiveUp.spec();
    let mut hopeless = Act::Complete.spec();
    hopeless.needs = vec![broken.id, first.id];
    let mut after_hopeless = Act::Complete.spec();
    after_hopeless.needs = vec![hopeless.id];
    let specs = [both.clone(), first.clone(), second, hopeless.clone(), broken.clone(), after_hopeless.clone()];
    bench.enqueue(&specs).await;
    {
        let mut tx = bench.database.begin(bench.workspace).await.unwrap();
        let explained = jobs::explain(&mut tx, both.id, Duration::from_secs(30)).await.unwrap().unwrap();
        assert_eq!(explained.job.state, JobState::Blocked);
        assert!(matches!(&explained.waits[..], [Wait::Needs(needs)] if needs.len() == 2), "{:?}", explained.waits);
    }
    bench.run(bench.builder(&probe));
    bench.until_state(both.id, JobState::Completed).await;
    bench.until_state(hopeless.id, JobState::Cancelled).await;
    let job = bench.until_state(after_hopeless.id, JobState::Cancelled).await;
    assert_eq!(job.last_error.unwrap().code, "needed_job_ended");

    // Needs that had ended before.
    let (mut met, mut unmet) = (Act::Complete.spec(), Act::Complete.spec());
    met.needs = vec![first.id];
    unmet.needs = vec![first.id, broken.id];
    bench.enqueue(&[met.clone(), unmet.clone()]).await;
    bench.until_state(met.id, JobState::Completed).await;
    bench.until_state(unmet.id, JobState::Cancelled).await;
    bench.finish().await;
}

async fn unknown_kind_and_unreadable_payload_are_discarded(carry: Carry) {
    let bench = Bench::new(carry).await;
    let probe = Probe::new();
    bench.run(bench.builder(&probe).unservable_after(Duration::ZERO));
    let mut unknown = Act::Complete.spec();
    unknown.kind = "probe.unknown";
    let mut unreadable = Act::Complete.spec();
    unreadable.payload = serde_json::json!({ "Dance": 1 });
    let ids = bench.enqueue(&[unknown, unreadable]).await;
    let job = bench.until_state(ids[0], JobState::Discarded).await;
    assert_eq!(job.last_error.unwrap().code, "unknown_kind");
    let job = bench.until_state(ids[1], JobState::Discarded).await;
    assert_eq!(job.last_error.unwrap().code, "payload_unreadable");
    let next = bench.enqueue_one(Act::Complete.spec()).await;
    bench.until_state(next, JobState::Completed).await;
    bench.finish().await;
}

async fn newer_payload_waits_for_a_newer_worker(carry: Carry) {
    let bench = Bench::new(carry).await;
    let probe = Probe::new();
    bench.run(bench.builder(&probe));
    let mut newer = Act::Complete.spec();
    newer.payload_version = Act::PAYLOAD_VERSION + 1;
    let ids = bench.enqueue(&[newer, Act::Complete.spec()]).await;
    bench.until_state(ids[1], JobState::Completed).await;
    assert_eq!(bench.job(ids[0]).await.state, JobState::Available);
    let mut tx = bench.database.begin(bench.workspace).await.unwrap();
    let explained = jobs::explain(&mut tx, ids[0], Duration::from_secs(30)).await.unwrap().unwrap();
    assert!(explained.waits.iter().any(|wait| matches!(wait, Wait::NoWorkerForKind)), "{:?}", explained.waits);
    drop(tx);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_sets_up_again_what_fell() {
    let bench = Bench::new(Carry::Postgres).await;
    let probe = Probe::new();
    bench.run(bench.builder(&probe));
    let (fine, broken, broken_too) = (Act::Complete.spec(), Act::GiveUpOnce.spec(), Act::GiveUpOnce.spec());
    let mut publish = Act::Complete.spec();
    publish.needs = vec![fine.id, broken.id, broken_too.id];
    let mut after = Act::Complete.spec();
    after.needs = vec![publish.id];
    bench.enqueue(&[fine.clone(), broken.clone(), broken_too.clone(), publish.clone(), after.clone()]).await;
    for id in [broken.id, broken_too.id] {
        bench.until_state(id, JobState::Discarded).await;
    }
    bench.until_state(after.id, JobState::Cancelled).await;

    let replay = JobId(Uuid::now_v7());
    for _ in 0..2 {
        let mut tx = bench.database.begin(bench.workspace).await.unwrap();
        let other = JobId(Uuid::now_v7());
        let asked = if bench.number("select count(*) from carrel.job_all").await == 5 { replay } else { other };
        let retried = jobs::retry(&mut tx, broken.id, asked, &Actor::Operator).await.unwrap();
        assert_eq!(retried, Some(Retried::Replayed(replay)), "asked twice, it is one replay");
        tx.commit().await.unwrap();
    }
    until("the end of the chain has completed", async || {
        let done = bench
            .number("select count(*) from carrel.job_all where replay_of is not null and state = 'completed'")
            .await;
        (done == 4).then_some(())
    })
    .await;
    assert_eq!(bench.number("select count(*) from carrel.job_all").await, 9);
    assert_eq!(probe.runs(fine.id), 1, "what had completed is not run again");
    bench.finish().await;
}

#[tokio::test]
async fn a_rolled_back_transaction_leaves_no_job() {
    let bench = Bench::new(Carry::Postgres).await;
    let mut tx = bench.database.begin(bench.workspace).await.unwrap();
    jobs::enqueue(&mut tx, &[Act::Complete.spec()], &Actor::Operator).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(bench.number("select count(*) from carrel.job_all").await, 0);
    bench.finish().await;
}

#[tokio::test]
async fn a_unique_key_answers_the_job_that_has_not_ended() {
    let bench = Bench::new(Carry::Postgres).await;
    let keyed = || {
        let mut spec = Act::Complete.spec();
        spec.unique_key = Some("one".to_owned());
        spec
    };
    let first = bench.enqueue(&[keyed(), keyed(), Act::Complete.spec()]).await;
    assert_eq!(first[0], first[1]);
    assert_ne!(first[0], first[2]);
    let mut dependent = Act::Complete.spec();
    let again = keyed();
    dependent.needs = vec![again.id];
    let second = bench.enqueue(&[dependent.clone(), again]).await;
    assert_eq!(second[1], first[0]);
    // A need on the new spec's id is a need on the job that stands for it.
    let mut tx = bench.database.begin(bench.workspace).await.unwrap();
    let explained = jobs::explain(&mut tx, dependent.id, Duration::from_secs(30)).await.unwrap().unwrap();
    assert!(matches!(&explained.waits[..], [Wait::Needs(needs)] if needs[0].0 == first[0]));
    assert!(matches!(jobs::cancel(&mut tx, first[0]).await.unwrap(), Some(Cancelled::AtOnce { dependents: 1 })));
    tx.commit().await.unwrap();
    assert_ne!(bench.enqueue(&[keyed()]).await[0], first[0]);
    bench.finish().await;
}

#[tokio::test]
async fn lists_page_by_page_with_filters() {
    let bench = Bench::new(Carry::Postgres).await;
    let specs: Vec<JobSpec> = (0..5).map(|_| Act::Complete.spec()).collect();
    let ids = bench.enqueue(&specs).await;
    let mut later = Act::GiveUp.spec();
    later.run_at = Some(chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap());
    later.parent = Some(ids[0]);
    let later = bench.enqueue_one(later).await;
    let mut tx = bench.database.begin(bench.workspace).await.unwrap();
    let page = jobs::list(&mut tx, &JobFilter::default(), None, 4).await.unwrap();
    assert_eq!(page.iter().map(|job| job.id).collect::<Vec<_>>(), [later, ids[4], ids[3], ids[2]]);
    let page = jobs::list(&mut tx, &JobFilter::default(), Some(ids[2]), 4).await.unwrap();
    assert_eq!(page.iter().map(|job| job.id).collect::<Vec<_>>(), [ids[1], ids[0]]);
    let filters = [
        JobFilter { states: vec![JobState::Scheduled], ..JobFilter::default() },
        JobFilter { parent: Some(ids[0]), ..JobFilter::default() },
        JobFilter { payload: Some(serde_json::json!("GiveUp")), ..JobFilter::default() },
    ];
    for filter in filters {
        let found = jobs::list(&mut tx, &filter, None, 10).await.unwrap();
        assert_eq!(found.iter().map(|job| job.id).collect::<Vec<_>>(), [later], "{filter:?}");
    }
    let none = JobFilter { queue: Some(QueueName::Notify), ..JobFilter::default() };
    assert!(jobs::list(&mut tx, &none, None, 10).await.unwrap().is_empty());
    assert_eq!(
        jobs::retry(&mut tx, later, JobId(Uuid::now_v7()), &Actor::Operator).await.unwrap(),
        Some(Retried::Hastened)
    );
    tx.commit().await.unwrap();
    assert_eq!(bench.job(later).await.state, JobState::Available);
    bench.finish().await;
}

#[tokio::test]
async fn old_jobs_are_deleted_with_their_attempts() {
    let bench = Bench::new(Carry::Postgres).await;
    let probe = Probe::new();
    bench.run(bench.builder(&probe));
    let id = bench.enqueue_one(Act::FailFirst(1).spec()).await;
    bench.until_state(id, JobState::Completed).await;
    assert_eq!(jobs::delete_finished(&bench.database, Duration::from_hours(1)).await.unwrap(), 0);
    until("old jobs are deleted", async || {
        (jobs::delete_finished(&bench.database, Duration::ZERO).await.unwrap() == 1).then_some(())
    })
    .await;
    assert_eq!(bench.number("select count(*) from carrel.job_attempt").await, 0);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_replayed_by_kind_once() {
    let bench = Bench::new(Carry::Postgres).await;
    let probe = Probe::new();
    bench.run(bench.builder(&probe).unservable_after(Duration::ZERO));
    let mut unknown = Act::Complete.spec();
    unknown.kind = "probe.unknown";
    let specs = [Act::GiveUpOnce.spec(), Act::GiveUpOnce.spec(), unknown];
    let ids = bench.enqueue(&specs).await;
    for id in &ids {
        bench.until_state(*id, JobState::Discarded).await;
    }
    // One of them has left the table that workers read.
    sqlx::query("update carrel.job set finished_at = now() - interval '2 hours' where id = $1")
        .bind(ids[0].0)
        .execute(&bench.owner)
        .await
        .unwrap();
    jobs::archive(&bench.database, Duration::from_hours(1)).await.unwrap();
    assert_eq!(bench.number("select count(*) from carrel.job_history where state = 'discarded'").await, 1);
    for expected in [2, 0] {
        let mut tx = bench.database.begin(bench.workspace).await.unwrap();
        let new_id = || JobId(Uuid::now_v7());
        let replayed = jobs::replay_dead(&mut tx, Some(Act::KIND), 10, &Actor::Operator, new_id).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(replayed.len(), expected);
        for (_, replay) in replayed {
            bench.until_state(replay, JobState::Completed).await;
        }
    }
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_without_effects_complete_in_batches() {
    let bench = Bench::new(Carry::Postgres).await;
    let probe = Probe::new();
    let mut specs: Vec<JobSpec> = (0..300).map(|_| Act::Finish.spec()).collect();
    let mut after = Act::Finish.spec();
    after.needs = specs.iter().map(|spec| spec.id).collect();
    specs.push(after.clone());
    bench.enqueue(&specs).await;
    for _ in 0..2 {
        bench.run(bench.builder(&probe).queues([(QueueName::Ingest, 16)]));
    }
    bench.until_state(after.id, JobState::Completed).await;
    assert_eq!(probe.total_runs(), 301);
    assert_eq!(bench.number("select count(*) from carrel.job").await, 0, "completed jobs have left");
    assert_eq!(bench.number("select count(*) from carrel.job_history where result ->> 'run' = '1'").await, 301);
    bench.finish().await;
}
