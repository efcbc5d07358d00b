//! Workers that die, stop, or are sent home.

use crate::stage::Stage;
use anyhow::Result;
use chrono::Utc;
use rustix::process::Signal;
use std::time::Duration;

/// How long a row may take to settle beyond its work.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

pub(super) async fn none(stage: &mut Stage) -> Result<()> {
    stage.hire_all()?;
    let count = stage.size(2000, 200);
    stage.effects(count, 10).await?;
    stage.graphs(20, 5, 5).await?;
    stage.settle(PATIENCE).await?;
    let restarted = stage.report.restarted;
    stage.check(restarted == 0, || format!("{restarted} jobs ran again without a reason"));
    Ok(())
}

pub(super) async fn kill(stage: &mut Stage) -> Result<()> {
    stage.report.allowed_s = Some(stage.hire.lease.as_secs_f64() + 10.0);
    stage.hire_all()?;
    let kills = stage.size(10, 3);
    let count = stage.size(3000, 300) * stage.plan.workers.min(2);
    stage.effects(count, 20).await?;
    stage.graphs(20, 5, 10).await?;
    stage.until_started(8, Duration::from_secs(30)).await?;
    for _ in 0..kills {
        stage.pause(200, 700).await;
        let victim = stage.victim();
        let ended = stage.crew.kill(victim).await?;
        stage.killed(ended);
        stage.hire_one()?;
    }
    stage.settle(PATIENCE).await
}

pub(super) async fn stop(stage: &mut Stage) -> Result<()> {
    stage.hire_all()?;
    let count = stage.size(2000, 200);
    stage.effects(count, 50).await?;
    stage.until_started(8, Duration::from_secs(30)).await?;
    for _ in 0..stage.size(3, 1) {
        let victim = stage.victim();
        let begun = Utc::now();
        stage.crew.signal(victim, Signal::STOP)?;
        if stage.plan.workers == 1 {
            // Somebody has to take the jobs over.
            stage.hire_one()?;
        }
        tokio::time::sleep(stage.hire.lease * 2).await;
        stage.crew.signal(victim, Signal::CONT)?;
        stage.injured_from(begun);
        let more = stage.size(400, 40);
        stage.effects(more, 20).await?;
        if stage.plan.workers == 1 {
            stage.crew.dismiss(victim, Duration::from_secs(10)).await?;
        }
    }
    stage.settle(PATIENCE).await?;
    let stale = stage.report.stale;
    stage.check(stale > 0, || "nobody was refused, so the fence was not tried".to_owned());
    Ok(())
}
