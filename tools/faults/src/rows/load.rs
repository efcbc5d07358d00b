//! Many jobs: a backlog, a burst, and a soak with a random mix of everything.

use super::PATIENCE;
use crate::lab::SERVICE;
use crate::probe::{self, Effect};
use crate::stage::{Expected, Stage, Way};
use anyhow::Result;
use chrono::Utc;
use rand::RngExt;
use rustix::process::Signal;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// A large backlog is waiting when the workers start; urgent jobs overtake it; workers are killed.
pub(super) async fn backlog(stage: &mut Stage) -> Result<()> {
    stage.report.allowed_s = Some(stage.hire.lease.as_secs_f64() + 10.0);
    stage.hire.concurrency = 32;
    let count = stage.size(200_000, 5_000);
    let specs = (0..count).map(|_| probe::spec(&probe::Noop {})).collect::<Result<Vec<_>>>()?;
    stage.enqueue(specs, Expected::DoneQuietly).await?;
    stage.hire_all()?;
    let begun = Instant::now();
    stage.until_started(200, Duration::from_secs(60)).await?;
    let mut urgent = (0..50).map(|_| probe::spec(&Effect::after(1))).collect::<Result<Vec<_>>>()?;
    for spec in &mut urgent {
        spec.priority = -10;
    }
    let ids: Vec<_> = urgent.iter().map(|spec| spec.id).collect();
    let asked = Utc::now();
    stage.enqueue(urgent, Expected::Done).await?;
    for _ in 0..3 {
        stage.pause(300, 1000).await;
        let victim = stage.busy_victim().await?;
        let ended = stage.crew.kill(victim).await?;
        stage.killed(ended);
        stage.hire_one()?;
    }
    stage.until_left(0, Duration::from_secs(1200)).await?;
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    stage.note(format!("{rate:.0} jobs/s"));
    stage.settle(PATIENCE).await?;
    let starts = crate::events::read(&stage.folder)?;
    let overtook = starts.iter().filter(|start| ids.contains(&start.job)).map(|start| start.at - asked).max();
    if let Some(last) = overtook {
        stage.note(format!("last urgent job began after {:.2} s", last.as_seconds_f64()));
    }
    Ok(())
}

/// Many small transactions at once while the workers work.
pub(super) async fn burst(stage: &mut Stage) -> Result<()> {
    stage.hire.concurrency = 32;
    stage.hire_all()?;
    let count = stage.size(20_000, 1_000);
    let begun = Instant::now();
    let mut specs = Vec::new();
    for _ in 0..count {
        specs.push(probe::spec(&Effect::after(0))?);
    }
    let writers: Vec<_> = specs
        .chunks(count / 4)
        .map(|chunk| {
            let (database, workspace, chunk) = (stage.database.clone(), stage.workspace, chunk.to_vec());
            tokio::spawn(async move {
                for one in chunk.chunks(10) {
                    let mut tx = database.begin(workspace).await?;
                    carrel_storage::jobs::enqueue(&mut tx, one, &carrel_domain::Actor::Operator).await?;
                    tx.commit().await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for writer in writers {
        writer.await??;
    }
    stage.expected.extend(specs.iter().map(|spec| (spec.id, Expected::Done)));
    stage.note(format!("enqueued in {:.1} s, ten a transaction", begun.elapsed().as_secs_f64()));
    stage.injured();
    stage.until_left(0, Duration::from_secs(300)).await?;
    stage.note(format!("{:.0} jobs/s", count as f64 / begun.elapsed().as_secs_f64()));
    stage.settle(PATIENCE).await?;
    stage.all_stayed_alive();
    Ok(())
}

/// A random mix of everything, for as long as was asked.
pub(super) async fn soak(stage: &mut Stage) -> Result<()> {
    let wanted = Duration::from_secs_f64(if stage.plan.quick { 15.0 } else { stage.plan.minutes * 60.0 });
    stage.hire.concurrency = 16;
    stage.crew.restarts = true;
    stage.hire_all()?;
    let begun = Instant::now();
    let mut tally = std::collections::BTreeMap::<&str, usize>::new();
    let backlog = 4000;
    while begun.elapsed() < wanted {
        // PostgreSQL may just be away; then there is enough to do anyway.
        if stage.unfinished().await.is_some_and(|left| left < backlog / 2) {
            feed(stage, backlog as usize / 2).await?;
        }
        let done = hurt(stage).await?;
        *tally.entry(done).or_default() += 1;
        stage.pause(150, 600).await;
    }
    for (fault, times) in tally {
        stage.note(format!("{times} {fault}"));
    }
    stage.settle(PATIENCE * 2).await
}

async fn feed(stage: &mut Stage, count: usize) -> Result<()> {
    let mut specs = Vec::with_capacity(count);
    for _ in 0..count {
        let long = stage.rng.random_ratio(1, 100);
        let ms = if long { stage.rng.random_range(200..1500) } else { stage.rng.random_range(0..20) };
        let fails = u16::from(stage.rng.random_ratio(1, 50));
        let mut spec = probe::spec(&Effect { fails, ..Effect::after(ms) })?;
        spec.priority = stage.rng.random_range(0..3);
        if stage.rng.random_ratio(1, 20) {
            spec.run_at = Some(Utc::now() + Duration::from_millis(stage.rng.random_range(0..3000)));
        }
        specs.push(spec);
    }
    stage.enqueue(specs, Expected::Done).await?;
    stage.graphs(10, 4, 5).await
}

/// One injury; answers its name.
async fn hurt(stage: &mut Stage) -> Result<&'static str> {
    let redis = stage.plan.way == Way::Redis;
    let pick = stage.rng.random_range(0..if redis { 100 } else { 55 });
    let begun = Utc::now();
    let name = match pick {
        0..25 => {
            let victim = stage.victim();
            let ended = stage.crew.kill(victim).await?;
            stage.killed(ended);
            stage.hire_one()?;
            return Ok("kill");
        }
        25..33 => {
            let victim = stage.victim();
            let id = stage.crew.id(victim);
            stage.hire_one()?;
            if stage.crew.dismiss(victim, stage.hire.drain + Duration::from_secs(3)).await?.is_none() {
                stage.report.problems.push("a worker did not end in time after TERM".to_owned());
            }
            stage.killed(crate::crew::Ended { id, at: Utc::now() });
            return Ok("term");
        }
        33..40 => {
            let victim = stage.victim();
            stage.crew.signal(victim, Signal::STOP)?;
            let shortest = u64::try_from(stage.hire.lease.as_millis())?;
            stage.pause(shortest / 4, shortest * 2).await;
            stage.crew.signal(victim, Signal::CONT)?;
            "stop"
        }
        40..54 => {
            let options = PgConnectOptions::from_str(&stage.lab.postgres.url(crate::lab::OWNER, "postgres"))?;
            let mut connection = PgConnection::connect_with(&options).await?;
            sqlx::query("select pg_terminate_backend(a.pid) from pg_stat_activity a where a.usename = $1")
                .bind(SERVICE)
                .execute(&mut connection)
                .await?;
            connection.close().await?;
            "disconnect"
        }
        54 => {
            stage.lab.postgres.stop().await?;
            stage.pause(100, 1500).await;
            stage.lab.postgres.up().await?;
            "pg-restart"
        }
        55..67 => {
            stage.lab.redis.ask(&redis::cmd("FLUSHALL")).await?;
            "flushall"
        }
        67..77 => {
            stage.lab.redis.ask(redis::cmd("DEL").arg("carrel:jobs:ingest")).await?;
            "del"
        }
        77..95 => {
            stage.lab.redis.pause()?;
            stage.pause(200, 1500).await;
            stage.lab.redis.resume()?;
            "redis-stall"
        }
        _ => {
            stage.lab.redis.end(Signal::KILL).await?;
            stage.pause(50, 800).await;
            stage.lab.redis.up().await?;
            "redis-kill"
        }
    };
    stage.injured_from(begun);
    Ok(name)
}
