//! The rounds, interleaved so that what else the machine does hits all alike.

use crate::figures::{Window, median, processor_time, quantile};
use crate::peer;
use anyhow::{Context, Result, ensure};
use carrel_domain::job::{JobKind, QueueName};
use carrel_domain::{Actor, WorkspaceId};
use carrel_faults::crew::{Crew, Hire, Place};
use carrel_faults::lab::{OWNER, SERVICE};
use carrel_faults::probe::{self, Noop};
use carrel_faults::servers::tied;
use carrel_faults::stage::add_workspace;
use carrel_faults::{Lab, LabOptions, Way};
use carrel_storage::{Database, DatabaseOptions, jobs};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use std::io::Write;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What is hurt elsewhere is measured here: durable commits, and the write-ahead log of a server that can be copied.
const SETTINGS: &str =
    "wal_level=replica max_wal_senders=4 autovacuum_naptime=20s max_wal_size=4GB shared_buffers=256MB";
/// How long a window may be.
const WINDOW: Duration = Duration::from_secs(6);

/// A database with jobs in it and the connections to look at it.
struct Bench {
    name: String,
    owner: PgPool,
    database: Database,
    workspace: WorkspaceId,
}

impl Bench {
    async fn open(lab: &mut Lab) -> Result<Self> {
        lab.redis.ask(&redis::cmd("FLUSHALL")).await?;
        let name = lab.database().await?;
        let owner = PgPoolOptions::new().max_connections(2).connect(&lab.postgres.url(OWNER, &name)).await?;
        let database = Database::connect_lazy(&DatabaseOptions::new(lab.postgres.url(SERVICE, &name)))?;
        let workspace = WorkspaceId(Uuid::now_v7());
        add_workspace(&owner, workspace).await?;
        Ok(Self { name, owner, database, workspace })
    }

    async fn close(self, lab: &Lab) -> Result<()> {
        self.database.close().await;
        self.owner.close().await;
        lab.drop_database(&self.name).await
    }

    async fn enqueue(&self, count: usize) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let batch = left.min(500);
            let specs = (0..batch).map(|_| probe::spec(&Noop {})).collect::<Result<Vec<_>>>()?;
            let mut tx = self.database.begin(self.workspace).await?;
            jobs::enqueue(&mut tx, &specs, &Actor::Operator).await?;
            tx.commit().await?;
            left -= batch;
        }
        Ok(())
    }

    /// Rows as enqueuing leaves them, faster: ids are of version 7 (RFC 9562), a hundred a millisecond.
    async fn fill(&self, count: usize) -> Result<()> {
        sqlx::query(
            "insert into carrel.job (id, workspace_id, kind, queue, state, priority, payload, payload_version, run_at,
                                     max_attempts, timeout_ms, created_by, created_at)
             select (lpad(to_hex((extract(epoch from now()) * 1000)::bigint - 3600000 + n / 100), 12, '0')
                        || '7' || lpad(to_hex(n % 100), 3, '0') || '8' || left(md5(n::text), 15))::uuid,
                    $1, $2, $3, 'available', 0, '{}', 1, now() + n * interval '1 microsecond' - interval '1 hour',
                    10, 120000, '{\"kind\": \"operator\"}', now()
             from generate_series(1, $4) n",
        )
        .bind(self.workspace.0)
        .bind(Noop::KIND)
        .bind(QueueName::Ingest.as_str())
        .bind(i64::try_from(count)?)
        .execute(&self.owner)
        .await?;
        sqlx::query("vacuum (analyze) carrel.job").execute(&self.owner).await?;
        // A million jobs gather over hours: their pages are on the disk by then.
        sqlx::query("checkpoint").execute(&self.owner).await?;
        Ok(())
    }

    async fn completed(&self) -> Result<u64> {
        // By the index of those that ended: looking must not cost more the more wait.
        let count: i64 = sqlx::query_scalar(
            "select count(*) from carrel.job_all j where j.finished_at is not null and j.state = 'completed'",
        )
        .fetch_one(&self.owner)
        .await?;
        Ok(count.unsigned_abs())
    }
}

fn hire() -> Hire {
    Hire { concurrency: peer::CONCURRENCY, lease: Duration::from_secs(30), journal: false, ..Hire::default() }
}

fn crew(lab: &Lab, bench: &Bench, way: Way) -> Result<Crew> {
    let redis = (way == Way::Redis).then(|| lab.redis.url());
    Ok(Crew::new(&lab.worker, &lab.row_folder()?, Place { database: lab.postgres.url(SERVICE, &bench.name), redis }))
}

/// The rate between the first tenth and the last twentieth of `depth` jobs, for six seconds at most.
async fn window(depth: usize, pid: u32, mut completed: impl AsyncFnMut() -> Result<u64>) -> Result<Window> {
    let (from, to) = ((depth as u64 / 10).min(500), depth as u64 * 19 / 20);
    let patience = Instant::now() + Duration::from_secs(180);
    let mut first: Option<(u64, Instant, Duration)> = None;
    loop {
        let (count, at) = (completed().await?, Instant::now());
        match first {
            None if count >= from => first = Some((count, at, processor_time(pid)?)),
            Some((before, begun, used)) if count >= to || at - begun > WINDOW => {
                let jobs = (count - before) as f64;
                let cpu = processor_time(pid)?.saturating_sub(used).as_secs_f64() * 1000.0;
                return Ok(Window { rate: jobs / (at - begun).as_secs_f64(), cpu_ms: cpu / jobs });
            }
            _ => {}
        }
        ensure!(at < patience, "{count} of {depth} jobs completed in 180 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn ours(lab: &mut Lab, way: Way, depth: usize) -> Result<Window> {
    let bench = Bench::open(lab).await?;
    if depth > 100_000 {
        bench.fill(depth).await?;
    } else {
        bench.enqueue(depth).await?;
    }
    let mut crew = crew(lab, &bench, way)?;
    crew.hire(&hire())?;
    let pid = crew.process(0).context("the worker has ended")?;
    let measured = window(depth, pid, async || bench.completed().await).await;
    crew.kill(0).await?;
    bench.close(lab).await?;
    measured
}

async fn peers(lab: &mut Lab, depth: usize) -> Result<Window> {
    lab.redis.ask(&redis::cmd("FLUSHALL")).await?;
    // More than some 8,000 due jobs at once wedge its queue, so a deep one is filled while its worker moves them on.
    let at_once = depth < 7_000;
    if at_once {
        peer::fill(&lab.redis.url(), depth).await?;
    }
    let mut command = tied(std::env::current_exe()?);
    let mut process = command.arg("peer").arg("--redis").arg(lab.redis.url()).spawn()?;
    let pid = process.id().context("the peer has ended")?;
    if !at_once {
        peer::fill(&lab.redis.url(), depth).await?;
    }
    let client = redis::Client::open(lab.redis.url())?;
    // A busy machine is no fault.
    let patience = Some(Duration::from_secs(20));
    let config = redis::AsyncConnectionConfig::new().set_connection_timeout(patience).set_response_timeout(patience);
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let done = apalis_redis::Config::default().queue(peer::QUEUE).done_jobs_set();
    let measured =
        window(depth, pid, async || Ok(redis::cmd("SCARD").arg(&done).query_async(&mut connection).await?)).await;
    process.kill().await?;
    measured
}

#[derive(Default)]
struct Column {
    rates: Vec<f64>,
    cpu: Vec<f64>,
}

impl Column {
    fn add(&mut self, window: Window) {
        self.rates.push(window.rate);
        self.cpu.push(window.cpu_ms);
    }

    fn show(&self, name: &str, beside: &Self) -> Result<()> {
        let (rate, range) = (median(&self.rates), (quantile(&self.rates, 0.0), quantile(&self.rates, 1.0)));
        say(&format!(
            "  {name:<34} {rate:>8.0} jobs/s ({:.0} to {:.0})   ratio {:>6.2}   client CPU {:.3} ms/job",
            range.0,
            range.1,
            rate / median(&beside.rates),
            median(&self.cpu)
        ))
    }
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Measures and prints.
pub(crate) async fn run(rounds: usize, deepest: usize, only: &[String]) -> Result<()> {
    let wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    let mut lab = Lab::start(LabOptions { postgres: SETTINGS.to_owned(), ..LabOptions::default() }).await?;
    if wanted("rate") {
        for depth in [5_000, 60_000] {
            rates(&mut lab, rounds, depth).await?;
        }
    }
    if wanted("depth") {
        depths(&mut lab, rounds.min(3), deepest).await?;
    }
    if wanted("latency") {
        for way in [Way::Redis, Way::Postgres] {
            latency(&mut lab, way).await?;
        }
    }
    if wanted("wal") {
        for way in [Way::Redis, Way::Postgres] {
            wal(&mut lab, way).await?;
        }
    }
    Ok(())
}

async fn rates(lab: &mut Lab, rounds: usize, depth: usize) -> Result<()> {
    let (mut redis, mut postgres, mut other) = (Column::default(), Column::default(), Column::default());
    for _ in 0..rounds {
        other.add(peers(lab, depth).await?);
        redis.add(ours(lab, Way::Redis, depth).await?);
        postgres.add(ours(lab, Way::Postgres, depth).await?);
    }
    say(&format!(
        "one worker process, no-op jobs, {} at once, {depth} waiting, {rounds} rounds, medians:",
        peer::CONCURRENCY
    ))?;
    other.show("apalis-redis 1.0, defaults", &other)?;
    redis.show("carrel, Redis carries", &other)?;
    postgres.show("carrel, PostgreSQL alone", &other)
}

async fn depths(lab: &mut Lab, rounds: usize, deepest: usize) -> Result<()> {
    for way in [Way::Redis, Way::Postgres] {
        let (mut shallow, mut deep) = (Column::default(), Column::default());
        for _ in 0..rounds {
            // Most of these are done within the window, so that about a thousand wait on the average.
            shallow.add(ours(lab, way, 2_000).await?);
            deep.add(ours(lab, way, deepest).await?);
        }
        say(&format!("depth, {way:?}, {rounds} rounds, medians; the ratio is to the shallow one:"))?;
        shallow.show("2,000 waiting, until they are done", &shallow)?;
        deep.show(&format!("{deepest} waiting"), &shallow)?;
    }
    Ok(())
}

/// From the start of the transaction that enqueued to the claim, by the database's clock; one job at a time.
async fn latency(lab: &mut Lab, way: Way) -> Result<()> {
    let bench = Bench::open(lab).await?;
    let mut crew = crew(lab, &bench, way)?;
    crew.hire(&hire())?;
    bench.enqueue(1).await?;
    let patience = Instant::now() + Duration::from_secs(30);
    while bench.completed().await? < 1 {
        ensure!(Instant::now() < patience, "the worker does not work");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let count = 400;
    for _ in 0..count {
        bench.enqueue(1).await?;
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    while bench.completed().await? <= count {
        ensure!(Instant::now() < patience + Duration::from_secs(60), "the jobs are not done");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut waits: Vec<f64> = sqlx::query_scalar(
        "select extract(epoch from j.started_at - j.created_at)::float8 * 1000 from carrel.job_all j order by j.created_at",
    )
    .fetch_all(&bench.owner)
    .await?;
    waits.remove(0);
    say(&format!(
        "enqueue to start, {way:?}, idle worker, {count} jobs: p50 {:.1} ms, p95 {:.1} ms, max {:.1} ms",
        quantile(&waits, 0.5),
        quantile(&waits, 0.95),
        quantile(&waits, 1.0)
    ))?;
    crew.kill(0).await?;
    bench.close(lab).await
}

/// Bytes of the write-ahead log from enqueuing to the end, once every page has been written since the checkpoint.
async fn wal(lab: &mut Lab, way: Way) -> Result<()> {
    let bench = Bench::open(lab).await?;
    let mut crew = crew(lab, &bench, way)?;
    let batch = 10_000;
    let mut done = 0;
    let mut spent = (0.0, 0.0);
    crew.hire(&hire())?;
    for round in 0..3 {
        let before = position(&bench).await?;
        bench.enqueue(batch).await?;
        done += batch as u64;
        let patience = Instant::now() + Duration::from_secs(180);
        while bench.completed().await? < done {
            ensure!(Instant::now() < patience, "the jobs are not done");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let bytes = (position(&bench).await? - before) / batch as f64;
        if round == 0 {
            spent.0 = bytes;
        }
        spent.1 = bytes;
    }
    say(&format!(
        "write-ahead log, {way:?}, enqueue to end: {:.0} bytes/job ({:.0} right after a checkpoint, with images of whole pages)",
        spent.1, spent.0
    ))?;
    crew.kill(0).await?;
    bench.close(lab).await
}

async fn position(bench: &Bench) -> Result<f64> {
    Ok(sqlx::query_scalar("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8")
        .fetch_one(&bench.owner)
        .await?)
}
