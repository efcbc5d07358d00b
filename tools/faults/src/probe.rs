//! The kinds of jobs with which the workers are tried.

use crate::events::{Journal, Start};
use carrel_domain::job::{EffectKind, EffectSpec, JobKind, JobSpec, QueueName};
use carrel_domain::{EffectId, JobId};
use carrel_queue::{ClaimedEffect, Completed, EffectError, EffectSender, Handler, JobContext, JobError, WorkerBuilder};
use carrel_storage::{access, jobs};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The action under which an effect stands in the audit log: one row per effect, nothing keeps a second one out.
pub const EFFECT: &str = "probe.effect";

macro_rules! kind {
    ($name:ident, $kind:literal, version $version:literal, attempts $attempts:literal) => {
        impl JobKind for $name {
            const KIND: &'static str = $kind;
            const QUEUE: QueueName = QueueName::Ingest;
            const PAYLOAD_VERSION: i16 = $version;
            const MAX_ATTEMPTS: u16 = $attempts;
            const TIMEOUT: Duration = Duration::from_secs(120);
        }
    };
}

/// Completes at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Noop {}
kind!(Noop, "probe.noop", version 1, attempts 10);

/// Sleeps, then writes an effect in the transaction that completes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Effect {
    /// How long it sleeps.
    pub ms: u64,
    /// It does not stop when asked.
    pub stubborn: bool,
    /// Attempts that fail before one succeeds.
    pub fails: u16,
}
kind!(Effect, "probe.effect", version 1, attempts 25);

/// Holds its thread without yielding, then writes an effect.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spin {
    /// How long.
    pub ms: u64,
}
kind!(Spin, "probe.spin", version 1, attempts 10);

/// Writes an effect and asks for children and for one job that needs them all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Graph {
    /// How many children.
    pub children: u16,
    /// How long each job of the graph sleeps.
    pub ms: u64,
}
kind!(Graph, "probe.graph", version 1, attempts 25);

/// Never succeeds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fall {
    /// Panics.
    Panic,
    /// Ends the process.
    Abort,
    /// Calls itself until the stack is used up.
    Overflow,
    /// Takes memory until none is left.
    Memory,
}
kind!(Fall, "probe.fall", version 1, attempts 5);

/// As the release before wrote it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GrownOld {}
kind!(GrownOld, "probe.grown", version 1, attempts 25);

/// The same kind with a newer payload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Grown {
    /// What the release before does not know.
    #[serde(default)]
    pub more: Option<String>,
}
kind!(Grown, "probe.grown", version 2, attempts 25);

/// A kind that only the new release knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Newcomer {}
kind!(Newcomer, "probe.newcomer", version 1, attempts 25);

/// A kind that no worker knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stranger {}
kind!(Stranger, "probe.stranger", version 1, attempts 25);

impl Effect {
    /// One that sleeps so long.
    pub fn after(ms: u64) -> Self {
        Self { ms, stubborn: false, fails: 0 }
    }
}

/// Decides a letter in the transaction that completes it; the letter carries the job's id as its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mailing {}
kind!(Mailing, "probe.mailing", version 1, attempts 25);

/// Comes by the calendar and writes an effect.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tick {}
kind!(Tick, "probe.tick", version 1, attempts 25);

/// What leaves the system: its key is appended to a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Letter {
    /// Attempts that the receiver refuses before it takes one.
    pub fails: u16,
}

impl EffectKind for Letter {
    const KIND: &'static str = "probe.letter";
    const MAX_ATTEMPTS: u16 = 20;
    const TIMEOUT: Duration = Duration::from_secs(3);
    const BACKOFF: Duration = Duration::from_millis(50);
}

/// The job with a new id.
pub fn spec<K: JobKind>(payload: &K) -> anyhow::Result<JobSpec> {
    Ok(JobSpec::new(JobId(Uuid::now_v7()), payload)?)
}

/// The id of a graph's child; `children` names the one that needs all others.
pub fn child_of(parent: JobId, index: u16) -> JobId {
    JobId(Uuid::from_u128(parent.0.as_u128() ^ (u128::from(index) + 1)))
}

/// Which release a worker plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Release {
    /// Knows the first payload of `probe.grown` and no newcomer.
    Old,
    /// Knows all.
    New,
}

/// Registers the handlers of a release.
pub fn register(builder: WorkerBuilder, journal: Journal, release: Release) -> WorkerBuilder {
    let prober = Prober(Arc::new(journal));
    let builder = builder
        .register::<Noop>(prober.clone())
        .register::<Effect>(prober.clone())
        .register::<Spin>(prober.clone())
        .register::<Graph>(prober.clone())
        .register::<Mailing>(prober.clone())
        .register::<Tick>(prober.clone())
        .sender::<Letter>(prober.clone())
        .register::<Fall>(prober.clone());
    match release {
        Release::Old => builder.register::<GrownOld>(prober),
        Release::New => builder.register::<Grown>(prober.clone()).register::<Newcomer>(prober),
    }
}

/// Runs every kind.
#[derive(Clone)]
struct Prober(Arc<Journal>);

impl Prober {
    fn begin(&self, cx: &JobContext) -> Result<(), JobError> {
        let job = cx.job();
        let start = Start { job: job.id, attempt: job.attempt, at: job.started_at };
        self.0.note(&start).map_err(|error| JobError::retry("journal", error.to_string()))
    }
}

async fn finish(cx: &JobContext, children: &[JobSpec]) -> Result<Completed, JobError> {
    let mut tx = cx.begin().await?;
    let context = cx.operation();
    access::audit(&mut tx, &context, EFFECT, Some(cx.job().id.0), serde_json::json!({})).await?;
    jobs::enqueue(&mut tx, children, &context.actor).await?;
    cx.complete(tx, serde_json::json!({ "attempt": cx.job().attempt })).await
}

async fn nap(cx: &JobContext, ms: u64) -> Result<(), JobError> {
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(ms)) => Ok(()),
        () = cx.cancellation().cancelled() => Err(JobError::Cancelled),
    }
}

#[async_trait::async_trait]
impl Handler<Noop> for Prober {
    async fn run(&self, cx: &JobContext, _: Noop) -> Result<Completed, JobError> {
        self.begin(cx)?;
        cx.finish(serde_json::Value::Null).await
    }
}

#[async_trait::async_trait]
impl Handler<Effect> for Prober {
    async fn run(&self, cx: &JobContext, effect: Effect) -> Result<Completed, JobError> {
        self.begin(cx)?;
        if effect.stubborn {
            tokio::time::sleep(Duration::from_millis(effect.ms)).await;
        } else {
            nap(cx, effect.ms).await?;
        }
        if cx.job().attempt <= effect.fails {
            return Err(JobError::retry("not_yet", "fails as it was told to"));
        }
        finish(cx, &[]).await
    }
}

#[async_trait::async_trait]
impl Handler<Spin> for Prober {
    async fn run(&self, cx: &JobContext, spin: Spin) -> Result<Completed, JobError> {
        self.begin(cx)?;
        let until = Instant::now() + Duration::from_millis(spin.ms);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        finish(cx, &[]).await
    }
}

#[async_trait::async_trait]
impl Handler<Graph> for Prober {
    async fn run(&self, cx: &JobContext, graph: Graph) -> Result<Completed, JobError> {
        self.begin(cx)?;
        nap(cx, graph.ms).await?;
        let bad = |error: carrel_domain::job::PayloadError| JobError::fail("payload", error.to_string());
        let mut specs = Vec::new();
        for index in 0..=graph.children {
            let id = child_of(cx.job().id, index);
            let mut spec = JobSpec::new(id, &Effect::after(graph.ms)).map_err(bad)?;
            spec.parent = Some(cx.job().id);
            if index == graph.children {
                spec.needs = specs.iter().map(|other: &JobSpec| other.id).collect();
            }
            specs.push(spec);
        }
        finish(cx, &specs).await
    }
}

#[async_trait::async_trait]
impl Handler<Fall> for Prober {
    async fn run(&self, cx: &JobContext, fall: Fall) -> Result<Completed, JobError> {
        self.begin(cx)?;
        match fall {
            Fall::Panic => panic!("the probe panics as it was told to"),
            Fall::Abort => std::process::abort(),
            Fall::Overflow => {
                let depth = deeper(1);
                Err(JobError::fail("unreachable", depth.to_string()))
            }
            Fall::Memory => {
                let mut hoard: Vec<Vec<u8>> = Vec::new();
                loop {
                    // Address space is what the process may have so much of; it need not be touched.
                    hoard.push(Vec::with_capacity(64 << 20));
                    tokio::task::yield_now().await;
                    if hoard.len() > 4096 {
                        return Err(JobError::fail("unreachable", "the limit on memory does not hold"));
                    }
                }
            }
        }
    }
}

#[expect(unconditional_recursion, reason = "this is how a stack overflows")]
fn deeper(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 64]);
    deeper(depth + 1) + room[depth as usize % 64]
}

#[async_trait::async_trait]
impl Handler<GrownOld> for Prober {
    async fn run(&self, cx: &JobContext, _: GrownOld) -> Result<Completed, JobError> {
        self.begin(cx)?;
        finish(cx, &[]).await
    }
}

#[async_trait::async_trait]
impl Handler<Grown> for Prober {
    async fn run(&self, cx: &JobContext, _: Grown) -> Result<Completed, JobError> {
        self.begin(cx)?;
        finish(cx, &[]).await
    }
}

#[async_trait::async_trait]
impl Handler<Newcomer> for Prober {
    async fn run(&self, cx: &JobContext, _: Newcomer) -> Result<Completed, JobError> {
        self.begin(cx)?;
        finish(cx, &[]).await
    }
}

#[async_trait::async_trait]
impl Handler<Mailing> for Prober {
    async fn run(&self, cx: &JobContext, _: Mailing) -> Result<Completed, JobError> {
        self.begin(cx)?;
        let mut tx = cx.begin().await?;
        let key = cx.job().id.to_string();
        let letter = Letter { fails: u16::from(cx.job().id.0.as_u128().is_multiple_of(7)) };
        let spec = EffectSpec::new(EffectId(Uuid::now_v7()), key, &letter);
        cx.effect(&mut tx, spec.map_err(|error| JobError::fail("payload", error.to_string()))?).await?;
        cx.complete(tx, serde_json::Value::Null).await
    }
}

#[async_trait::async_trait]
impl Handler<Tick> for Prober {
    async fn run(&self, cx: &JobContext, _: Tick) -> Result<Completed, JobError> {
        self.begin(cx)?;
        finish(cx, &[]).await
    }
}

#[async_trait::async_trait]
impl EffectSender<Letter> for Prober {
    async fn send(&self, effect: &ClaimedEffect, letter: Letter) -> Result<serde_json::Value, EffectError> {
        if effect.attempt <= letter.fails {
            return Err(EffectError::retry("closed", "the receiver is closed"));
        }
        self.0.send(&effect.key).map_err(|error| EffectError::retry("journal", error.to_string()))?;
        Ok(serde_json::Value::Null)
    }
}
