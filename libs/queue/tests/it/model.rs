//! The state machine of a job, twice: as a model whose every interleaving of two workers, sweeper and cancellation is
//! visited, and as the oracle of what PostgreSQL answers to random interleavings of the real statements.

use crate::support::{Act, Bench, Carry};
use carrel_domain::job::{JobKind, JobState, QueueName};
use carrel_domain::{JobId, WorkerId};
use carrel_storage::jobs::{self, AttemptEnd, Cancelled, ClaimedJob, Ended, Swept};
use carrel_storage::{Database, access};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use stateright::{Checker, Model, Property};
use std::time::Duration;
use uuid::Uuid;

const WORKERS: usize = 2;
const MAX_ATTEMPTS: u16 = 4;
const POISON_CRASHES: u16 = 3;

/// An execution, by number.
type Token = u8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Available,
    Running { claim: Token, lease_over: bool },
    Completed,
    Discarded,
    Cancelled,
}

impl Place {
    fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Discarded | Self::Cancelled)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    place: Place,
    attempt: u16,
    crashes: u16,
    cancel_requested: bool,
    /// What each worker believes to hold; it learns of a loss only when it acts.
    holds: [Option<Token>; WORKERS],
    issued: Token,
    /// Commits that carried what the job does.
    effects: u8,
    refused: bool,
    /// The first final state that it reached.
    ended: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Move {
    Claim(usize),
    Complete(usize),
    Fail(usize),
    GiveUp(usize),
    Release(usize),
    EndCancelled(usize),
    /// The worker is gone, with what it knew.
    Vanish(usize),
    /// Time passes without a renewal.
    LeaseEnds,
    Sweep,
    Cancel,
}

impl State {
    fn new() -> Self {
        Self {
            place: Place::Available,
            attempt: 0,
            crashes: 0,
            cancel_requested: false,
            holds: [None; WORKERS],
            issued: 0,
            effects: 0,
            refused: false,
            ended: None,
        }
    }

    fn moves(&self) -> Vec<Move> {
        let mut moves = vec![Move::Cancel, Move::Sweep];
        if matches!(self.place, Place::Running { lease_over: false, .. }) {
            moves.push(Move::LeaseEnds);
        }
        for worker in 0..WORKERS {
            if self.holds[worker].is_none() {
                moves.push(Move::Claim(worker));
            } else {
                moves.extend([
                    Move::Complete(worker),
                    Move::Fail(worker),
                    Move::GiveUp(worker),
                    Move::Release(worker),
                    Move::EndCancelled(worker),
                    Move::Vanish(worker),
                ]);
            }
        }
        moves
    }

    /// True when the worker's claim is the one that counts.
    fn is_held_by(&self, worker: usize) -> bool {
        matches!((self.place, self.holds[worker]), (Place::Running { claim, .. }, Some(token)) if claim == token)
    }

    fn enter(&mut self, place: Place) {
        self.place = place;
        if place.is_final() && self.ended.is_none() {
            self.ended = Some(place);
        }
    }

    fn apply(&mut self, step: Move) {
        match step {
            Move::Claim(worker) => {
                if self.place == Place::Available && self.attempt < MAX_ATTEMPTS {
                    self.issued += 1;
                    self.attempt += 1;
                    self.holds[worker] = Some(self.issued);
                    self.place = Place::Running { claim: self.issued, lease_over: false };
                }
            }
            Move::Complete(worker) => self.end(worker, |job| {
                job.effects += 1;
                Place::Completed
            }),
            Move::Fail(worker) => self.end(worker, |job| match () {
                () if job.cancel_requested => Place::Cancelled,
                () if job.attempt >= MAX_ATTEMPTS => Place::Discarded,
                () => Place::Available,
            }),
            Move::GiveUp(worker) => {
                self.end(worker, |job| if job.cancel_requested { Place::Cancelled } else { Place::Discarded });
            }
            Move::EndCancelled(worker) => self.end(worker, |_| Place::Cancelled),
            Move::Release(worker) => {
                if self.is_held_by(worker) && self.cancel_requested {
                    // It stays, to be ended as cancelled.
                    return;
                }
                self.end(worker, |job| {
                    job.attempt -= 1;
                    Place::Available
                });
            }
            Move::Vanish(worker) => self.holds[worker] = None,
            Move::LeaseEnds => {
                if let Place::Running { claim, .. } = self.place {
                    self.place = Place::Running { claim, lease_over: true };
                }
            }
            Move::Sweep => {
                if matches!(self.place, Place::Running { lease_over: true, .. }) {
                    self.crashes += 1;
                    self.enter(match () {
                        () if self.cancel_requested => Place::Cancelled,
                        () if self.crashes >= POISON_CRASHES || self.attempt >= MAX_ATTEMPTS => Place::Discarded,
                        () => Place::Available,
                    });
                }
            }
            Move::Cancel => match self.place {
                Place::Available => {
                    self.cancel_requested = true;
                    self.enter(Place::Cancelled);
                }
                Place::Running { .. } => self.cancel_requested = true,
                _ => {}
            },
        }
    }

    /// An execution ends, if it is the one that counts; otherwise it is refused.
    fn end(&mut self, worker: usize, place: impl FnOnce(&mut Self) -> Place) {
        if self.is_held_by(worker) {
            let place = place(self);
            self.enter(place);
        } else {
            self.refused = true;
        }
        self.holds[worker] = None;
    }
}

struct Lifecycle;

impl Model for Lifecycle {
    type State = State;
    type Action = Move;

    fn init_states(&self) -> Vec<State> {
        vec![State::new()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Move>) {
        actions.extend(state.moves());
    }

    fn next_state(&self, state: &State, action: Move) -> Option<State> {
        let mut next = state.clone();
        next.apply(action);
        Some(next)
    }

    fn within_boundary(&self, state: &State) -> bool {
        // Releases charge no attempt, so executions are without end.
        state.issued <= 7
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no effect twice", |_, state: &State| state.effects <= 1),
            Property::always("an effect exactly when completed", |_, state: &State| {
                (state.effects == 1) == (state.place == Place::Completed)
            }),
            Property::always("what has ended stays so", |_, state: &State| {
                state.ended.is_none_or(|ended| ended == state.place)
            }),
            Property::always("one claim counts at most", |_, state: &State| {
                (0..WORKERS).filter(|worker| state.is_held_by(*worker)).count() <= 1
            }),
            Property::always("attempts and crashes are bounded", |_, state: &State| {
                state.attempt <= MAX_ATTEMPTS && state.crashes <= POISON_CRASHES
            }),
            Property::always("a job that can go on can be claimed", |_, state: &State| {
                state.place != Place::Available || state.attempt < MAX_ATTEMPTS
            }),
            Property::sometimes("completes after a crash", |_, state: &State| {
                state.place == Place::Completed && state.crashes == 2
            }),
            Property::sometimes("completes although its cancellation was asked for", |_, state: &State| {
                state.place == Place::Completed && state.cancel_requested
            }),
            Property::sometimes("a late worker is refused", |_, state: &State| state.refused),
            Property::sometimes("is discarded", |_, state: &State| state.place == Place::Discarded),
            Property::sometimes("is cancelled", |_, state: &State| state.place == Place::Cancelled),
        ]
    }
}

#[test]
fn every_interleaving_keeps_the_promises() {
    let checker = Lifecycle.checker().spawn_bfs().join();
    println!("{} states of the model", checker.unique_state_count());
    checker.assert_properties();
}

fn any_move() -> impl Strategy<Value = Move> {
    let worker = 0..WORKERS;
    prop_oneof![
        4 => worker.clone().prop_map(Move::Claim),
        1 => worker.clone().prop_map(Move::Complete),
        2 => worker.clone().prop_map(Move::Fail),
        1 => worker.clone().prop_map(Move::GiveUp),
        2 => worker.clone().prop_map(Move::Release),
        1 => worker.clone().prop_map(Move::EndCancelled),
        1 => worker.prop_map(Move::Vanish),
        3 => Just(Move::LeaseEnds),
        3 => Just(Move::Sweep),
        1 => Just(Move::Cancel),
    ]
}

/// The same moves as statements.
struct Real<'a> {
    bench: &'a Bench,
    id: JobId,
    workers: [jobs::Worker; WORKERS],
    holds: [Option<ClaimedJob>; WORKERS],
}

impl Real<'_> {
    fn database(&self) -> &Database {
        &self.bench.database
    }

    async fn end_attempt(&mut self, worker: usize, end: AttemptEnd) -> bool {
        let job = self.holds[worker].take().unwrap();
        jobs::end_attempt(self.database(), job.id, job.claim, &end).await.unwrap() != Ended::Stale
    }

    /// Answers whether an execution was ended, for moves that end one.
    async fn apply(&mut self, step: Move) -> Option<bool> {
        let (code, message) = ("model".to_owned(), "as the model says".to_owned());
        match step {
            Move::Claim(worker) => {
                let mut claimed =
                    jobs::claim_next(self.database(), &self.workers[worker], QueueName::Ingest, 1).await.unwrap();
                self.holds[worker] = claimed.pop();
                None
            }
            Move::Complete(worker) => {
                let job = self.holds[worker].take().unwrap();
                let mut tx = self.database().begin(self.bench.workspace).await.unwrap();
                let context = carrel_domain::OperationContext {
                    actor: carrel_domain::Actor::Job { id: job.id },
                    workspace: job.workspace,
                    scopes: carrel_domain::Scopes::all(),
                    request_id: carrel_domain::RequestId(job.claim.0),
                    now: job.started_at,
                    traceparent: None,
                };
                access::audit(&mut tx, &context, "probe.act", Some(job.id.0), serde_json::json!({})).await.unwrap();
                let held = jobs::complete(&mut tx, job.id, job.claim, &serde_json::json!(null)).await.unwrap();
                if held {
                    tx.commit().await.unwrap();
                } else {
                    tx.rollback().await.unwrap();
                }
                Some(held)
            }
            Move::Fail(worker) => {
                let end =
                    AttemptEnd::Retry { code, message, after: Some(Duration::ZERO), base: Duration::from_secs(1) };
                Some(self.end_attempt(worker, end).await)
            }
            Move::GiveUp(worker) => Some(self.end_attempt(worker, AttemptEnd::Discard { code, message }).await),
            Move::EndCancelled(worker) => Some(self.end_attempt(worker, AttemptEnd::Cancel).await),
            Move::Release(worker) => {
                let job = self.holds[worker].clone().unwrap();
                let released = jobs::give_back(self.database(), &[(job.id, job.claim)]).await.unwrap() == 1;
                if released {
                    self.holds[worker] = None;
                }
                Some(released)
            }
            Move::Vanish(worker) => {
                self.holds[worker] = None;
                None
            }
            Move::LeaseEnds => {
                sqlx::query(
                    "update carrel.job set lease_until = now() - interval '1 hour' where id = $1 and state = 'running'",
                )
                .bind(self.id.0)
                .execute(&self.bench.owner)
                .await
                .unwrap();
                None
            }
            Move::Sweep => {
                let swept = jobs::sweep(self.database()).await.unwrap();
                (swept != Swept::default()).then_some(true)
            }
            Move::Cancel => {
                let mut tx = self.database().begin(self.bench.workspace).await.unwrap();
                let cancelled = jobs::cancel(&mut tx, self.id).await.unwrap();
                tx.commit().await.unwrap();
                assert!(!matches!(cancelled, None | Some(Cancelled::AtOnce { dependents: 1.. })));
                None
            }
        }
    }
}

async fn follow(bench: &Bench, steps: &[Move]) {
    let mut spec = Act::Complete.spec();
    spec.max_attempts = MAX_ATTEMPTS;
    let id = bench.enqueue_one(spec).await;
    let worker = || jobs::Worker {
        id: WorkerId(Uuid::now_v7()),
        kinds: vec![(Act::KIND.to_owned(), Act::PAYLOAD_VERSION)],
        lease: Duration::from_mins(10),
    };
    let mut real = Real { bench, id, workers: [worker(), worker()], holds: [None, None] };
    let mut model = State::new();
    for step in steps {
        if !model.moves().contains(step) {
            continue;
        }
        let counted = matches!(step, Move::Complete(w) | Move::Fail(w) | Move::GiveUp(w) | Move::EndCancelled(w)
            if model.is_held_by(*w));
        model.apply(*step);
        let ended = real.apply(*step).await;
        if !matches!(step, Move::Release(_) | Move::Sweep) {
            assert_eq!(ended.unwrap_or(counted), counted, "{step:?} in {steps:?}");
        }
        if let Move::Release(worker) = step {
            // The model forgets a claim that was refused; the real worker learns it from the answer.
            if model.holds[*worker].is_none() {
                real.holds[*worker] = None;
            }
        }
        let job = bench.job(id).await;
        let expected = match model.place {
            Place::Available => JobState::Available,
            Place::Running { .. } => JobState::Running,
            Place::Completed => JobState::Completed,
            Place::Discarded => JobState::Discarded,
            Place::Cancelled => JobState::Cancelled,
        };
        assert!(
            job.state == expected || (expected == JobState::Available && job.state == JobState::Retryable),
            "after {step:?} in {steps:?}: {:?}, and the model says {model:?}",
            job.state
        );
        assert_eq!(job.attempt, model.attempt, "after {step:?} in {steps:?}");
    }
    let effects: i64 = sqlx::query_scalar("select count(*) from carrel.audit_entry where subject = $1")
        .bind(id.0)
        .fetch_one(&bench.owner)
        .await
        .unwrap();
    assert_eq!(effects, i64::from(model.effects), "{steps:?}");
    // Out of the way of the next one.
    sqlx::query("delete from carrel.job").execute(&bench.owner).await.unwrap();
    jobs::tidy_lists(&bench.database).await.unwrap();
}

#[test]
fn postgres_does_what_the_model_says() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bench = runtime.block_on(Bench::new(Carry::Postgres));
    // One seed, so that a failure comes again.
    let config = Config {
        cases: 120,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(7),
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&proptest::collection::vec(any_move(), 4..24), |steps| {
            runtime.block_on(follow(&bench, &steps));
            Ok(())
        })
        .unwrap();
    runtime.block_on(bench.finish());
}
