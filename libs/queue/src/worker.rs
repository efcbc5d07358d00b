//! A worker: builds it, runs it, drains it.

use crate::backend::{Delivery, JobSource};
use crate::carrier::Carrier;
use crate::claims::{Claims, Stop};
use crate::completer::{self, Completer, Endings};
use crate::error::{QueueError, chain};
use crate::execute::execute;
use crate::fetch::{self, Lane};
use crate::handler::{Handler, Handlers};
use crate::health::{Vitals, WorkerHealth};
use crate::link::RedisOptions;
use crate::outbox::{EffectSender, Senders};
use crate::{calendar, keeper, outbox, sweeper};
use apalis::layers::WorkerBuilderExt;
use apalis_core::monitor::Monitor;
use apalis_core::worker::builder::WorkerBuilder as ApalisBuilder;
use apalis_core::worker::ext::parallelize::ParallelizeExt;
use carrel_domain::WorkerId;
use carrel_domain::job::{EffectKind, JobKind, QueueName, Schedule};
use carrel_storage::Database;
use carrel_storage::jobs::{self, ClaimedJob};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How ids reach the workers.
#[derive(Clone, Debug, Default)]
pub enum Transport {
    /// PostgreSQL alone: announcements and claims.
    #[default]
    Postgres,
    /// Redis carries ids; when it is away, as [`Transport::Postgres`].
    Redis(RedisOptions),
}

/// Makes the span in which a job runs; the place to link it to [`ClaimedJob::traceparent`].
pub type SpanHook = Arc<dyn Fn(&ClaimedJob) -> tracing::Span + Send + Sync>;

fn plain_span(job: &ClaimedJob) -> tracing::Span {
    tracing::info_span!(
        "job",
        job = %job.id,
        kind = %job.kind,
        queue = %job.queue,
        attempt = job.attempt,
        workspace = %job.workspace,
        traceparent = job.traceparent.as_deref(),
    )
}

/// What every part of a worker shares.
pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) identity: jobs::Worker,
    pub(crate) handlers: Handlers,
    pub(crate) claims: Arc<Claims>,
    pub(crate) lanes: Vec<Arc<Lane>>,
    pub(crate) carrier: Option<Carrier>,
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) span: SpanHook,
    pub(crate) backoff: Duration,
    pub(crate) poll: Duration,
    pub(crate) unservable_after: Duration,
    pub(crate) keep_finished: Duration,
    pub(crate) completer: Completer,
    pub(crate) senders: Senders,
    pub(crate) effects_at_once: usize,
    pub(crate) drain: Duration,
    /// There may be effects to send.
    pub(crate) effects: Notify,
    pub(crate) schedules: Vec<Schedule>,
}

impl Shared {
    pub(crate) fn lane(&self, queue: QueueName) -> Option<&Arc<Lane>> {
        self.lanes.iter().find(|lane| lane.queue == queue)
    }

    /// Remembers whether Redis answers, and says so when that changes.
    pub(crate) fn redis_is(&self, up: bool, error: Option<&redis::RedisError>) {
        metrics::gauge!("carrel_redis_up").set(if up { 1.0 } else { 0.0 });
        if self.vitals.redis.swap(up, Ordering::Relaxed) == up
            && (up || self.vitals.redis_seen.swap(true, Ordering::Relaxed))
        {
            return;
        }
        self.vitals.redis_seen.store(true, Ordering::Relaxed);
        if let Some(error) = error {
            tracing::warn!(
                %error,
                "Redis is away; jobs are claimed from PostgreSQL, somewhat later: check that it runs, and redis.url"
            );
        } else {
            tracing::info!("Redis carries the jobs' ids");
        }
        self.announce_all();
    }

    pub(crate) fn announce_all(&self) {
        for lane in &self.lanes {
            lane.announce();
        }
        self.effects.notify_one();
    }
}

/// Sets up a [`Worker`].
pub struct WorkerBuilder {
    database: Database,
    id: WorkerId,
    handlers: Handlers,
    duplicate: Option<QueueError>,
    senders: Senders,
    effects_at_once: usize,
    schedules: Vec<Schedule>,
    queues: BTreeMap<QueueName, usize>,
    transport: Transport,
    lease: Duration,
    drain: Duration,
    backoff: Duration,
    poll: Duration,
    unservable_after: Duration,
    keep_finished: Duration,
    span: SpanHook,
    host: String,
    version: String,
}

impl WorkerBuilder {
    /// Defaults: PostgreSQL alone, lease 30 s, drain 20 s, backoff from 1 s, a look every 5 s without announcements,
    /// jobs of unknown kinds discarded after 10 minutes, ended jobs kept 30 days. `id` is new for every start.
    pub fn new(database: Database, id: WorkerId) -> Self {
        Self {
            database,
            id,
            handlers: Handlers::default(),
            duplicate: None,
            senders: Senders::default(),
            effects_at_once: 4,
            schedules: Vec::new(),
            queues: BTreeMap::new(),
            transport: Transport::Postgres,
            lease: Duration::from_secs(30),
            drain: Duration::from_secs(20),
            backoff: Duration::from_secs(1),
            poll: Duration::from_secs(5),
            unservable_after: Duration::from_mins(10),
            keep_finished: Duration::from_hours(30 * 24),
            span: Arc::new(plain_span),
            host: String::new(),
            version: String::new(),
        }
    }

    /// Runs jobs of kind `K` with `handler`.
    pub fn register<K: JobKind>(mut self, handler: impl Handler<K>) -> Self {
        if !self.handlers.add::<K>(handler) {
            self.duplicate = Some(QueueError::DuplicateKind(K::KIND));
        }
        self
    }

    /// Sends effects of kind `E` with `sender`.
    pub fn sender<E: EffectKind>(mut self, sender: impl EffectSender<E>) -> Self {
        if !self.senders.add::<E>(sender) {
            self.duplicate = Some(QueueError::DuplicateEffect(E::KIND));
        }
        self
    }

    /// How many effects are sent at once.
    pub fn effects_at_once(mut self, effects: usize) -> Self {
        self.effects_at_once = effects.max(1);
        self
    }

    /// Keeps this schedule in every workspace. Any worker fires its ticks; which of them runs the jobs is decided by the
    /// queues.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedules.push(schedule);
        self
    }

    /// Serves these queues, each with so many jobs at once; 0 leaves a queue out.
    pub fn queues(mut self, queues: impl IntoIterator<Item = (QueueName, usize)>) -> Self {
        self.queues = queues.into_iter().filter(|(_, concurrency)| *concurrency > 0).collect();
        self
    }

    /// How ids reach this worker.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// How long a claim outlives a worker that vanished. Renewed every third of it.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long running jobs may go on after the stop; they are asked to end after half of it.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// Bound of the random wait before the second attempt; doubles with every further one, up to 10 minutes.
    pub fn backoff(mut self, base: Duration) -> Self {
        self.backoff = base;
        self
    }

    /// How often to look for jobs without an announcement.
    pub fn poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    /// How long a due job may wait that no live worker of its queue can run.
    pub fn unservable_after(mut self, patience: Duration) -> Self {
        self.unservable_after = patience;
        self
    }

    /// How long ended jobs are kept.
    pub fn keep_finished(mut self, keep: Duration) -> Self {
        self.keep_finished = keep;
        self
    }

    /// Makes the span of each job.
    pub fn span(mut self, hook: impl Fn(&ClaimedJob) -> tracing::Span + Send + Sync + 'static) -> Self {
        self.span = Arc::new(hook);
        self
    }

    /// What people see of this worker: its host and the release that it runs.
    pub fn described(mut self, host: impl Into<String>, version: impl Into<String>) -> Self {
        self.host = host.into();
        self.version = version.into();
        self
    }

    /// Checks the set-up. Needs a running tokio runtime when the transport is Redis.
    pub fn build(self) -> Result<Worker, QueueError> {
        if let Some(duplicate) = self.duplicate {
            return Err(duplicate);
        }
        for schedule in &self.schedules {
            calendar::check(schedule)?;
        }
        if self.queues.is_empty() {
            return Err(QueueError::NoQueue);
        }
        if self.lease < Duration::from_millis(300) {
            return Err(QueueError::LeaseTooShort(self.lease));
        }
        let queues: Vec<QueueName> = self.queues.keys().copied().collect();
        let carrier = match self.transport {
            Transport::Postgres => None,
            Transport::Redis(options) => Some(Carrier::new(&options, &queues)?),
        };
        let identity = jobs::Worker { id: self.id, kinds: self.handlers.versions(), lease: self.lease };
        let vitals = Arc::new(Vitals::new(self.lease, carrier.is_some()));
        let lanes =
            self.queues.into_iter().map(|(queue, concurrency)| Arc::new(Lane::new(queue, concurrency))).collect();
        let (completer, endings) = completer::channel();
        let shared = Arc::new(Shared {
            database: self.database,
            identity,
            handlers: self.handlers,
            claims: Arc::new(Claims::default()),
            lanes,
            carrier,
            vitals,
            span: self.span,
            backoff: self.backoff,
            poll: self.poll,
            unservable_after: self.unservable_after,
            keep_finished: self.keep_finished,
            completer,
            senders: self.senders,
            effects_at_once: self.effects_at_once,
            effects: Notify::new(),
            drain: self.drain,
            schedules: self.schedules,
        });
        Ok(Worker { shared, endings: Some(endings), queues, host: self.host, version: self.version })
    }
}

/// Runs the jobs of some queues.
pub struct Worker {
    shared: Arc<Shared>,
    endings: Option<Endings>,
    queues: Vec<QueueName>,
    host: String,
    version: String,
}

impl Worker {
    /// A handle for readiness probes.
    pub fn health(&self) -> WorkerHealth {
        WorkerHealth(Arc::clone(&self.shared.vitals))
    }

    /// Works until `shutdown`, then drains: takes no more, gives back what has not started, lets running jobs end, asks
    /// them to stop after half the drain time, and gives back the rest when it is over.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), QueueError> {
        let endings = self.endings.take();
        let shared = &self.shared;
        let stop_services = CancellationToken::new();
        let keeper = keeper::start(Arc::clone(shared), stop_services.clone()).map_err(QueueError::Keeper)?;
        let services = TaskTracker::new();
        self.start_services(&services, &shutdown, &stop_services);
        let (completing, token) = (Arc::clone(shared), stop_services.clone());
        services.spawn(async move {
            let Some(endings) = endings else { return };
            tokio::select! {
                () = completer::run(&completing, endings) => {}
                // No handler is left that could hand in anything.
                () = token.cancelled() => {}
            }
        });

        let drained = CancellationToken::new();
        let over = drained.clone();
        let stop = shutdown.clone();
        let monitor = self.monitor().with_terminator(async move { over.cancelled().await });
        let working = monitor.run_with_signal(async move {
            stop.cancelled().await;
            Ok(())
        });
        let draining = async {
            shutdown.cancelled().await;
            self.drain().await;
            drained.cancel();
        };
        tokio::pin!(working);
        let ended = tokio::select! {
            ended = &mut working => ended,
            () = draining => working.await,
        };

        stop_services.cancel();
        services.close();
        services.wait().await;
        if let Err(error) = jobs::deregister(&shared.database, &shared.identity).await {
            tracing::debug!(error = %chain(&error), "the worker's row was left behind");
        }
        // It ends within one statement of the stop; a panic there has been logged by its thread.
        let _ = tokio::task::spawn_blocking(move || keeper.join()).await;
        ended.map_err(|error| QueueError::Loop(error.to_string()))
    }

    fn start_services(&self, services: &TaskTracker, shutdown: &CancellationToken, stop: &CancellationToken) {
        let shared = &self.shared;
        for lane in &shared.lanes {
            let (shared, lane, shutdown) = (Arc::clone(shared), Arc::clone(lane), shutdown.clone());
            services.spawn(async move {
                let fetching = fetch::fetch(&shared, &lane, &shutdown);
                match &shared.carrier {
                    Some(carrier) => {
                        tokio::join!(fetching, fetch::pump(&shared, carrier, &lane, &shutdown));
                    }
                    None => fetching.await,
                }
            });
        }
        let (sending, token) = (Arc::clone(shared), shutdown.clone());
        services.spawn(async move { outbox::dispatch(&sending, &token).await });
        let (calendar, token) = (Arc::clone(shared), shutdown.clone());
        services.spawn(async move { calendar::keep(&calendar, &token).await });
        let (listener, token) = (Arc::clone(shared), stop.clone());
        services.spawn(async move { sweeper::listen(&listener, &token).await });
        let (sweeper, token) = (Arc::clone(shared), stop.clone());
        let (host, version, queues) = (self.host.clone(), self.version.clone(), self.queues.clone());
        services.spawn(async move {
            announce_worker(&sweeper, &host, &version, &queues, &token).await;
            sweeper::sweep(&sweeper, &token).await;
        });
    }

    fn monitor(&self) -> Monitor {
        let mut monitor = Monitor::new().should_restart(|_, error| {
            tracing::error!(%error, "the worker loop stopped; starting it again");
            true
        });
        for lane in &self.shared.lanes {
            let (shared, lane) = (Arc::clone(&self.shared), Arc::clone(lane));
            monitor = monitor.register(move |_| {
                let shared = Arc::clone(&shared);
                let source = JobSource::new(Arc::clone(&lane.inbox), lane.fetched.clone());
                ApalisBuilder::new(lane.queue.as_str())
                    .backend(source)
                    .concurrency(lane.concurrency)
                    .parallelize(tokio::spawn)
                    .catch_panic()
                    .build(move |delivery: Delivery| execute(Arc::clone(&shared), delivery))
            });
        }
        monitor
    }

    async fn drain(&self) {
        let shared = &self.shared;
        shared.vitals.draining.store(true, Ordering::Relaxed);
        tracing::info!(running = shared.claims.all().len(), grace_s = shared.drain.as_secs_f64(), "the worker stops");
        if let Err(error) =
            jobs::register(&shared.database, &shared.identity, &self.host, &self.version, &self.queues, true).await
        {
            tracing::debug!(error = %chain(&error), "the worker was not marked as draining");
        }
        tokio::time::sleep(shared.drain / 2).await;
        shared.claims.stop_all(Stop::Draining);
        tokio::time::sleep(shared.drain / 2).await;
        let left = shared.claims.all();
        let claims: Vec<_> = left.iter().map(|held| (held.id, held.claim)).collect();
        if let Err(error) = jobs::give_back(&shared.database, &claims).await {
            tracing::warn!(jobs = claims.len(), error = %chain(&error), "running jobs were not given back; their leases will run out");
        }
        for held in left {
            held.abandoned.cancel();
        }
    }
}

/// Tries until PostgreSQL knows the worker.
async fn announce_worker(shared: &Shared, host: &str, version: &str, queues: &[QueueName], stop: &CancellationToken) {
    while let Err(error) = jobs::register(&shared.database, &shared.identity, host, version, queues, false).await {
        tracing::warn!(error = %chain(&error), "the worker could not announce itself; trying on");
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}
