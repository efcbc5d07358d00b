//! Workers that die, stop, or are sent home.

use super::PATIENCE;
use crate::probe::{self, Effect};
use crate::stage::{Expected, Stage};
use anyhow::Result;
use chrono::Utc;
use rustix::process::Signal;
use std::time::{Duration, Instant};

pub(super) async fn none(stage: &mut Stage) -> Result<()> {
    stage.hire_all()?;
    let count = stage.size(2000, 200);
    stage.effects(count, 10).await?;
    stage.graphs(20, 5, 5).await?;
    stage.settle(PATIENCE).await?;
    let restarted = stage.report.restarted;
    stage.check(restarted == 0, || format!("{restarted} jobs ran again without a reason"));
    stage.all_stayed_alive();
    Ok(())
}

pub(super) async fn kill(stage: &mut Stage) -> Result<()> {
    stage.report.allowed_s = Some(stage.hire.lease.as_secs_f64() + 10.0);
    stage.hire_all()?;
    let kills = stage.size(10, 3);
    let count = stage.size(3000, 300) * stage.plan.workers.min(2);
    stage.effects(count, 20).await?;
    stage.graphs(20, 5, 10).await?;
    for _ in 0..kills {
        stage.pause(200, 700).await;
        let victim = stage.busy_victim().await?;
        let ended = stage.crew.kill(victim).await?;
        stage.killed(ended);
        stage.hire_one()?;
    }
    stage.settle(PATIENCE).await
}

/// One kill with the lease that a release has.
pub(super) async fn kill_lease_30(stage: &mut Stage) -> Result<()> {
    stage.hire.lease = Duration::from_secs(30);
    stage.report.allowed_s = Some(40.0);
    stage.hire_all()?;
    stage.effects(400, 50).await?;
    let victim = stage.busy_victim().await?;
    let ended = stage.crew.kill(victim).await?;
    stage.killed(ended);
    stage.hire_one()?;
    stage.settle(PATIENCE).await
}

pub(super) async fn term(stage: &mut Stage) -> Result<()> {
    stage.hire.drain = Duration::from_secs(2);
    stage.report.allowed_s = Some(1.0);
    stage.hire_all()?;
    let grace = stage.hire.drain + Duration::from_secs(1);
    let mut slowest = Duration::ZERO;
    for _ in 0..stage.size(3, 1) {
        // Every slot has one; every third does not stop when asked, and is taken away.
        let slots = stage.hire.concurrency * stage.plan.workers;
        let specs = (0..slots).map(|index| probe::spec(&Effect { stubborn: index % 3 == 0, ..Effect::after(3000) }));
        stage.enqueue(specs.collect::<Result<Vec<_>>>()?, Expected::Done).await?;
        let victim = stage.busy_victim().await?;
        let id = stage.crew.id(victim);
        // Somebody must have room for what is handed back.
        stage.hire_one()?;
        let took = stage.crew.dismiss(victim, grace + Duration::from_secs(5)).await?;
        stage.killed(crate::crew::Ended { id, at: Utc::now() });
        stage.check(took.is_some_and(|took| took <= grace), || format!("a worker took {took:?} to end, not {grace:?}"));
        slowest = slowest.max(took.unwrap_or_default());
        stage.until_left(0, PATIENCE).await?;
    }
    stage.note(format!("ended within {:.2} s, drain {:.0} s", slowest.as_secs_f64(), stage.hire.drain.as_secs_f64()));
    stage.settle(PATIENCE).await?;
    let crashed: i64 = sqlx::query_scalar("select count(*) from carrel.job_attempt a where a.outcome = 'crashed'")
        .fetch_one(&stage.owner)
        .await?;
    stage.check(crashed == 0, || format!("{crashed} jobs were left to their lease"));
    Ok(())
}

pub(super) async fn stop(stage: &mut Stage) -> Result<()> {
    stage.hire_all()?;
    for _ in 0..stage.size(3, 1) {
        let count = stage.size(400, 100) * stage.plan.workers;
        stage.effects(count, 100).await?;
        let victim = stage.busy_victim().await?;
        let id = stage.crew.id(victim);
        let begun = Utc::now();
        stage.crew.signal(victim, Signal::STOP)?;
        if stage.plan.workers == 1 {
            // Somebody has to take the jobs over.
            stage.hire_one()?;
        }
        tokio::time::sleep(stage.hire.lease * 2).await;
        stage.crew.signal(victim, Signal::CONT)?;
        stage.injured_from(begun);
        stage.effects(40, 20).await?;
        // It wakes up with claims that others hold by now.
        let deadline = Instant::now() + Duration::from_secs(10);
        while stage.crew.stale()? == 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if stage.plan.workers == 1
            && let Some(index) = stage.crew.find(id)
        {
            stage.crew.dismiss(index, Duration::from_secs(10)).await?;
        }
    }
    stage.settle(PATIENCE).await?;
    let stale = stage.report.stale;
    stage.check(stale > 0, || "nobody was refused, so the fence was not tried".to_owned());
    stage.all_stayed_alive();
    Ok(())
}
