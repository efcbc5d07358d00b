//! One row with one transport and one number of workers: puts jobs in, hurts, waits, and hands over to the verdict.

use crate::crew::{Crew, Ended, Hire, Place};
use crate::lab::{Lab, OWNER, SERVICE};
use crate::probe::{self, Effect, Graph};
use crate::report::Report;
use crate::servers::address;
use crate::verdict;
use anyhow::{Context, Result, bail};
use carrel_domain::job::{JobSpec, JobState};
use carrel_domain::{Actor, JobId, WorkerId, WorkspaceId};
use carrel_storage::{Database, DatabaseOptions, jobs};
use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What carries ids to the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    /// Redis.
    Redis,
    /// PostgreSQL alone.
    Postgres,
}

/// How a row is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Chooses victims and moments.
    pub seed: u64,
    /// Fewer jobs and injuries, for a check that must be short.
    pub quick: bool,
    /// How many workers.
    pub workers: usize,
    /// What carries.
    pub way: Way,
    /// How long a soak hurts.
    pub minutes: f64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { seed: 7, quick: true, workers: 1, way: Way::Redis, minutes: 1.0 }
    }
}

/// How a job must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Completed, with one effect.
    Done,
    /// Completed, with no effect to count.
    DoneQuietly,
    /// Discarded for this reason.
    Dead(&'static str),
    /// Cancelled, without an effect.
    Cancelled,
    /// Cancelled or completed, with an effect exactly when completed.
    DoneOrCancelled,
}

impl Expected {
    /// True when the job ended as it must.
    pub fn allows(self, state: JobState, code: Option<&str>) -> bool {
        match self {
            Self::Done | Self::DoneQuietly => state == JobState::Completed,
            Self::Dead(reason) => state == JobState::Discarded && code == Some(reason),
            Self::Cancelled => state == JobState::Cancelled,
            Self::DoneOrCancelled => matches!(state, JobState::Cancelled | JobState::Completed),
        }
    }
}

/// Something that was done to the system.
#[derive(Clone, Copy, Debug)]
pub struct Injury {
    /// Its beginning.
    pub begun: DateTime<Utc>,
    /// Its end; the same for what has no length.
    pub ended: DateTime<Utc>,
    /// The worker that was killed.
    pub worker: Option<WorkerId>,
}

/// Everything of a row while it runs.
#[derive(Debug)]
pub struct Stage {
    /// The servers.
    pub lab: Lab,
    /// How it is run.
    pub plan: Plan,
    /// Chooses.
    pub rng: StdRng,
    /// How further workers are set up.
    pub hire: Hire,
    /// The workers.
    pub crew: Crew,
    /// What the row's driver enqueues with.
    pub database: Database,
    /// Sees everything.
    pub owner: PgPool,
    /// Whose jobs they are.
    pub workspace: WorkspaceId,
    /// How each job must end.
    pub expected: HashMap<JobId, Expected>,
    /// What was done.
    pub injuries: Vec<Injury>,
    /// The row as it will be told.
    pub report: Report,
    /// Where the workers' logs are.
    pub folder: PathBuf,
    name: String,
    begun: Instant,
}

impl Stage {
    /// An empty database, a forgetful Redis and nobody at work.
    pub async fn set(mut lab: Lab, plan: &Plan, fault: &str) -> Result<Self> {
        lab.redis.up().await?;
        lab.redis.ask(redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("0")).await?;
        lab.redis.ask(&redis::cmd("FLUSHALL")).await?;
        let name = lab.database().await?;
        let folder = lab.row_folder()?;
        let url = lab.postgres.url(SERVICE, &name);
        let (database, owner) = connect(&url, &lab.postgres.url(OWNER, &name)).await?;
        let workspace = WorkspaceId(Uuid::now_v7());
        add_workspace(&owner, workspace).await?;
        let redis = (plan.way == Way::Redis).then(|| lab.redis.url());
        let crew = Crew::new(&lab.worker, &folder, Place { database: url, redis });
        let transport = if plan.way == Way::Redis { "redis" } else { "postgres" };
        let (workers, seed) = (plan.workers, plan.seed);
        Ok(Self {
            lab,
            plan: plan.clone(),
            rng: StdRng::seed_from_u64(plan.seed),
            hire: Hire::default(),
            crew,
            database,
            owner,
            workspace,
            expected: HashMap::new(),
            injuries: Vec::new(),
            report: Report {
                fault: fault.to_owned(),
                transport: transport.to_owned(),
                workers,
                seed,
                ..Report::default()
            },
            folder,
            name,
            begun: Instant::now(),
        })
    }

    /// From now on everybody reaches PostgreSQL by this port; before anybody is hired.
    pub async fn pass_through(&mut self, port: u16) -> Result<()> {
        let url = address(port, SERVICE, &self.name);
        self.owner.close().await;
        self.database.close().await;
        (self.database, self.owner) = connect(&url, &address(port, OWNER, &self.name)).await?;
        self.crew.move_to(url);
        Ok(())
    }

    /// `full`, or `quick` in a short run.
    pub fn size(&self, full: usize, quick: usize) -> usize {
        if self.plan.quick { quick } else { full }
    }

    /// Starts as many workers as the row has.
    pub fn hire_all(&mut self) -> Result<()> {
        for _ in 0..self.plan.workers {
            self.crew.hire(&self.hire)?;
        }
        Ok(())
    }

    /// Starts one worker.
    pub fn hire_one(&mut self) -> Result<WorkerId> {
        self.crew.hire(&self.hire)
    }

    /// Picks a worker.
    pub fn victim(&mut self) -> usize {
        self.rng.random_range(0..self.crew.len().max(1))
    }

    /// Picks a worker that holds jobs, waiting for one; any when nobody comes to hold some.
    pub async fn busy_victim(&mut self) -> Result<usize> {
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            let holders: Vec<Uuid> = sqlx::query_scalar(
                "select j.worker_id from carrel.job j where j.state = 'running' group by 1 having count(*) > 1 order by 1",
            )
            .fetch_all(&self.owner)
            .await?;
            let on_duty: Vec<usize> = holders.iter().filter_map(|id| self.crew.find(WorkerId(*id))).collect();
            if !on_duty.is_empty() {
                return Ok(on_duty[self.rng.random_range(0..on_duty.len())]);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(self.victim())
    }

    /// Does not run the row here.
    pub fn skip(&mut self, reason: impl Into<String>) {
        self.report.skipped = Some(reason.into());
    }

    /// Checks that no worker ended without having been told to.
    pub fn all_stayed_alive(&mut self) {
        let fallen = self.crew.fallen;
        self.check(fallen == 0, || format!("{fallen} workers ended by themselves"));
    }

    /// Waits a random time between the two.
    pub async fn pause(&mut self, from_ms: u64, to_ms: u64) {
        let ms = self.rng.random_range(from_ms..=to_ms);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Notes that something is wrong unless `holds`.
    pub fn check(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        if !holds {
            self.report.problems.push(problem());
        }
    }

    /// Adds to what is worth knowing.
    pub fn note(&mut self, note: impl Into<String>) {
        self.report.notes.push(note.into());
    }

    /// So many jobs that sleep `ms` and write an effect.
    pub async fn effects(&mut self, count: usize, ms: u64) -> Result<()> {
        let specs: Result<Vec<_>> = (0..count).map(|_| probe::spec(&Effect::after(ms))).collect();
        self.enqueue(specs?, Expected::Done).await
    }

    /// So many graphs of a parent, its children and one that needs them all.
    pub async fn graphs(&mut self, count: usize, children: u16, ms: u64) -> Result<()> {
        let specs: Result<Vec<_>> = (0..count).map(|_| probe::spec(&Graph { children, ms })).collect();
        let specs = specs?;
        for spec in &specs {
            for index in 0..=children {
                self.expected.insert(probe::child_of(spec.id, index), Expected::Done);
            }
        }
        self.enqueue(specs, Expected::Done).await
    }

    /// Enqueues in transactions of 500, trying until PostgreSQL has confirmed each.
    pub async fn enqueue(&mut self, specs: Vec<JobSpec>, expected: Expected) -> Result<()> {
        for chunk in specs.chunks(500) {
            self.commit(chunk).await?;
            self.expected.extend(chunk.iter().map(|spec| (spec.id, expected)));
        }
        Ok(())
    }

    async fn commit(&self, specs: &[JobSpec]) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let Err(error) = self.commit_once(specs).await else { return Ok(()) };
            // The answer may have been lost after the commit.
            if self.exists(specs[0].id).await.unwrap_or(false) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("jobs cannot be enqueued: {error:#}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn commit_once(&self, specs: &[JobSpec]) -> Result<()> {
        let mut tx = self.database.begin(self.workspace).await?;
        jobs::enqueue(&mut tx, specs, &Actor::Operator).await?;
        Ok(tx.commit().await?)
    }

    async fn exists(&self, id: JobId) -> Result<bool> {
        let mut tx = self.database.begin(self.workspace).await?;
        Ok(jobs::get(&mut tx, id).await?.is_some())
    }

    /// Notes an injury that has no length.
    pub fn injured(&mut self) {
        self.injured_from(Utc::now());
    }

    /// Notes an injury that began then and ends now.
    pub fn injured_from(&mut self, begun: DateTime<Utc>) {
        self.injuries.push(Injury { begun, ended: Utc::now(), worker: None });
    }

    /// Notes that a worker was killed.
    pub fn killed(&mut self, ended: Ended) {
        self.injuries.push(Injury { begun: ended.at, ended: ended.at, worker: Some(ended.id) });
    }

    /// Unfinished jobs; nothing while PostgreSQL does not answer.
    pub async fn unfinished(&self) -> Option<i64> {
        let count = "select count(*) from carrel.job where state in ('blocked', 'available', 'running')";
        sqlx::query_scalar(count).fetch_one(&self.owner).await.ok()
    }

    /// Waits until a number of jobs is left at most; answers false after `patience`.
    pub async fn until_left(&mut self, left: i64, patience: Duration) -> Result<bool> {
        let deadline = Instant::now() + patience;
        loop {
            self.crew.tend()?;
            if self.unfinished().await.is_some_and(|unfinished| unfinished <= left) {
                return Ok(true);
            }
            if Instant::now() > deadline {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a worker has told PostgreSQL that it is there; before that it may not know what TERM means.
    pub async fn until_announced(&self, worker: WorkerId) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let known = "select exists (select from carrel.worker w where w.id = $1)";
        while !sqlx::query_scalar::<_, bool>(known).bind(worker.0).fetch_one(&self.owner).await? {
            if Instant::now() > deadline {
                bail!("a worker has not announced itself");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until handlers have begun at least `count` times.
    pub async fn until_started(&mut self, count: usize, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        while crate::events::read(&self.folder)?.len() < count {
            self.crew.tend()?;
            if Instant::now() > deadline {
                bail!("{count} jobs have not begun within {} s", patience.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until every job has ended, sends the workers home and judges.
    pub async fn settle(&mut self, patience: Duration) -> Result<()> {
        if !self.until_left(0, patience).await? {
            let left = self.unfinished().await;
            self.report.problems.push(format!("{left:?} jobs had not ended after {} s", patience.as_secs()));
        }
        let grace = self.hire.drain + Duration::from_secs(3);
        while !self.crew.is_empty() {
            if self.crew.dismiss(0, grace).await?.is_none() {
                self.report.problems.push("a worker did not end in time after TERM".to_owned());
            }
        }
        verdict::judge(self).await.context("the verdict failed")
    }

    /// Clears away and answers the servers and the report.
    pub async fn strike(mut self) -> Result<(Lab, Report)> {
        self.report.took_s = self.begun.elapsed().as_secs_f64();
        self.report.injuries = self.injuries.len();
        self.database.close().await;
        self.owner.close().await;
        self.lab.drop_database(&self.name).await?;
        Ok((self.lab, self.report))
    }
}

/// The connections of a row's driver, and of those who see everything.
async fn connect(service: &str, owner: &str) -> Result<(Database, PgPool)> {
    let mut options = DatabaseOptions::new(service);
    options.application_name = "driver".to_owned();
    options.pool_size = 4;
    let database = Database::connect_lazy(&options)?;
    let pool = PgPoolOptions::new().max_connections(3).acquire_timeout(Duration::from_secs(5));
    Ok((database, pool.connect(owner).await?))
}

/// Adds a workspace.
pub async fn add_workspace(owner: &PgPool, id: WorkspaceId) -> Result<()> {
    sqlx::query("insert into carrel.workspace (id, name, created_at) values ($1, $2, now())")
        .bind(id.0)
        .bind(id.to_string())
        .execute(owner)
        .await?;
    Ok(())
}
