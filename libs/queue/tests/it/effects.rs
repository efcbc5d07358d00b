//! What leaves the system: after the commit, with one key, until the receiver takes it or it is given up.

use crate::support::{Bench, Carry, Probe, until};
use carrel_domain::job::{EffectKind, EffectSpec, JobKind, JobSpec, JobState, QueueName};
use carrel_domain::{EffectId, JobId, WorkerId};
use carrel_queue::{ClaimedEffect, Completed, EffectError, EffectSender, Handler, JobContext, JobError, WorkerBuilder};
use carrel_storage::jobs;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

/// A letter and how its receiver behaves.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Letter {
    /// Attempts that fail before one succeeds.
    failures: u16,
    /// The receiver will never take it.
    unwanted: bool,
}

impl EffectKind for Letter {
    const KIND: &'static str = "letter.post";
    const MAX_ATTEMPTS: u16 = 3;
    const TIMEOUT: Duration = Duration::from_secs(5);
    const BACKOFF: Duration = Duration::from_millis(20);
}

/// Writes a letter under a key; fails the first attempt after deciding on one when asked to.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Write {
    key: String,
    letter: Letter,
    stumbles: bool,
}

impl JobKind for Write {
    const KIND: &'static str = "letter.write";
    const QUEUE: QueueName = QueueName::Notify;
    const MAX_ATTEMPTS: u16 = 3;
    const TIMEOUT: Duration = Duration::from_secs(5);
}

struct Writer;

#[async_trait::async_trait]
impl Handler<Write> for Writer {
    async fn run(&self, cx: &JobContext, write: Write) -> Result<Completed, JobError> {
        let mut tx = cx.begin().await?;
        let spec = EffectSpec::new(EffectId(Uuid::now_v7()), &write.key, &write.letter)
            .map_err(|error| JobError::fail("payload", error.to_string()))?;
        cx.effect(&mut tx, spec).await?;
        if write.stumbles && cx.job().attempt == 1 {
            return Err(JobError::retry("stumbled", "after deciding"));
        }
        cx.complete(tx, json!({})).await
    }
}

/// Remembers the key and the attempt of every letter that arrived.
#[derive(Clone, Default)]
struct Post(Arc<Mutex<Vec<(String, u16)>>>);

impl Post {
    fn arrived(&self) -> Vec<(String, u16)> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl EffectSender<Letter> for Post {
    async fn send(&self, effect: &ClaimedEffect, letter: Letter) -> Result<Value, EffectError> {
        self.0.lock().unwrap().push((effect.key.clone(), effect.attempt));
        if letter.unwanted {
            return Err(EffectError::refused("unknown_address", "nobody lives there"));
        }
        if effect.attempt <= letter.failures {
            return Err(EffectError::retry("busy", "come again"));
        }
        Ok(json!({ "took": effect.key }))
    }
}

fn builder(bench: &Bench, post: &Post) -> WorkerBuilder {
    bench
        .builder(&Probe::new())
        .queues([(QueueName::Notify, 2)])
        .register::<Write>(Writer)
        .sender::<Letter>(post.clone())
}

fn letter(failures: u16, unwanted: bool) -> Letter {
    Letter { failures, unwanted }
}

async fn write(bench: &Bench, key: &str, letter: Letter, stumbles: bool) -> JobId {
    let write = Write { key: key.to_owned(), letter, stumbles };
    bench.enqueue_one(JobSpec::new(JobId(Uuid::now_v7()), &write).unwrap()).await
}

async fn settled(bench: &Bench, effects: i64) {
    until("the effects are settled", async || {
        (bench.number("select count(*) from carrel.outbox_effect where state <> 'pending'").await == effects)
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaves_once_after_the_completion() {
    let bench = Bench::new(Carry::Postgres).await;
    let post = Post::default();
    for _ in 0..2 {
        bench.run(builder(&bench, &post));
    }
    // The first attempt decided on the letter and rolled back with it.
    let first = write(&bench, "one", letter(0, false), true).await;
    bench.until_state(first, JobState::Completed).await;
    settled(&bench, 1).await;
    // The same key again is the same effect.
    let second = write(&bench, "one", letter(0, false), false).await;
    bench.until_state(second, JobState::Completed).await;
    let third = write(&bench, "two", letter(0, false), false).await;
    bench.until_state(third, JobState::Completed).await;
    settled(&bench, 2).await;
    assert_eq!(post.arrived(), [("one".to_owned(), 1), ("two".to_owned(), 1)]);
    assert_eq!(bench.number("select count(*) from carrel.outbox_effect where receipt ->> 'took' = key").await, 2);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_tried_again_with_its_key_until_it_is_dead_and_can_be_replayed() {
    let bench = Bench::new(Carry::Postgres).await;
    let post = Post::default();
    bench.run(builder(&bench, &post));
    write(&bench, "late", letter(2, false), false).await;
    write(&bench, "never", letter(9, false), false).await;
    write(&bench, "unwanted", letter(0, true), false).await;
    settled(&bench, 3).await;
    let of = |key: &str| post.arrived().into_iter().filter(|(k, _)| k == key).map(|(_, n)| n).collect::<Vec<_>>();
    assert_eq!((of("late"), of("never"), of("unwanted")), (vec![1, 2, 3], vec![1, 2, 3], vec![1]));
    let dead: Vec<(String, String)> =
        sqlx::query_as("select key, error_code from carrel.outbox_effect where state = 'dead' order by key")
            .fetch_all(&bench.owner)
            .await
            .unwrap();
    let dead: Vec<_> = dead.iter().map(|(key, code)| (key.as_str(), code.as_str())).collect();
    assert_eq!(dead, [("never", "busy"), ("unwanted", "unknown_address")]);

    let mut tx = bench.database.begin(bench.workspace).await.unwrap();
    assert_eq!(jobs::replay_effects(&mut tx, None, Some(Letter::KIND)).await.unwrap(), 2);
    tx.commit().await.unwrap();
    settled(&bench, 3).await;
    assert_eq!((of("never").len(), of("unwanted").len()), (6, 2));
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_sent_again_when_its_worker_vanished() {
    let bench = Bench::new(Carry::Postgres).await;
    let mut tx = bench.database.begin(bench.workspace).await.unwrap();
    let spec = |key: &str| EffectSpec::new(EffectId(Uuid::now_v7()), key, &letter(0, false)).unwrap();
    let (again, last) = (spec("again"), EffectSpec { max_attempts: 1, ..spec("last") });
    let twice = jobs::record_effects(&mut tx, &[again.clone(), last, spec("again")], None).await.unwrap();
    assert_eq!(twice[0], twice[2]);
    tx.commit().await.unwrap();
    // A worker that takes them and is never heard of again.
    let ghost = WorkerId(Uuid::now_v7());
    let taken = jobs::claim_effects(&bench.database, ghost, &[Letter::KIND], 10).await.unwrap();
    assert_eq!(taken.len(), 2);
    assert!(jobs::claim_effects(&bench.database, ghost, &[Letter::KIND], 10).await.unwrap().is_empty());
    sqlx::query("update carrel.outbox_effect set lease_until = now() - interval '1 second'")
        .execute(&bench.owner)
        .await
        .unwrap();
    let post = Post::default();
    bench.run(builder(&bench, &post));
    settled(&bench, 2).await;
    assert_eq!(post.arrived(), [("again".to_owned(), 2)], "the other one had no attempt left");
    let late = jobs::EffectEnd::Sent { receipt: json!({}) };
    for effect in taken {
        assert_eq!(jobs::settle_effect(&bench.database, effect.id, effect.claim, &late).await.unwrap(), None);
    }
    assert_eq!(bench.number("select count(*) from carrel.outbox_effect where error_code = 'crashed'").await, 1);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settled_effects_are_forgotten_in_time() {
    let bench = Bench::new(Carry::Postgres).await;
    let post = Post::default();
    bench.run(builder(&bench, &post));
    write(&bench, "one", letter(0, false), false).await;
    settled(&bench, 1).await;
    assert_eq!(jobs::delete_settled(&bench.database, Duration::from_hours(1)).await.unwrap(), 0);
    assert_eq!(jobs::delete_settled(&bench.database, Duration::ZERO).await.unwrap(), 1);
    bench.finish().await;
}
