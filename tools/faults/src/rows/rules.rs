//! What must hold while workers are killed: limits, pauses, times, cancellations, retries.

use super::PATIENCE;
use crate::probe::{self, Effect};
use crate::stage::{Expected, Stage};
use anyhow::Result;
use carrel_domain::JobId;
use carrel_domain::job::QueueName;
use carrel_storage::jobs;
use chrono::{TimeDelta, Utc};
use rand::RngExt;
use std::time::Duration;

async fn kill_one(stage: &mut Stage) -> Result<()> {
    let victim = stage.busy_victim().await?;
    let ended = stage.crew.kill(victim).await?;
    stage.killed(ended);
    stage.hire_one()?;
    Ok(())
}

/// At most so many jobs of a key run at once, whoever dies. The verdict counts.
pub(super) async fn limit(stage: &mut Stage) -> Result<()> {
    stage.report.allowed_s = Some(stage.hire.lease.as_secs_f64() + 10.0);
    jobs::set_limit(&stage.database, "tight", Some(2)).await?;
    stage.hire_all()?;
    let count = stage.size(200, 60);
    let mut specs = (0..count).map(|_| probe::spec(&Effect::after(30))).collect::<Result<Vec<_>>>()?;
    for spec in &mut specs {
        spec.limit_key = Some("tight".to_owned());
    }
    stage.enqueue(specs, Expected::Done).await?;
    stage.effects(count, 30).await?;
    for _ in 0..stage.size(3, 1) {
        stage.pause(300, 800).await;
        kill_one(stage).await?;
    }
    stage.settle(PATIENCE).await
}

/// Nothing starts while the queue is paused.
pub(super) async fn pause(stage: &mut Stage) -> Result<()> {
    stage.hire_all()?;
    let count = stage.size(1200, 400);
    stage.effects(count, 20).await?;
    stage.until_started(8, Duration::from_secs(30)).await?;
    let mut windows = Vec::new();
    for _ in 0..stage.size(3, 1) {
        let begun = Utc::now();
        jobs::pause_queue(&stage.database, QueueName::Ingest, Some("a test")).await?;
        let paused = Utc::now();
        kill_one(stage).await?;
        stage.pause(1500, 2500).await;
        windows.push((paused, Utc::now()));
        jobs::resume_queue(&stage.database, QueueName::Ingest).await?;
        stage.injured_from(begun);
        stage.effects(100, 20).await?;
        stage.pause(200, 400).await;
    }
    stage.settle(PATIENCE).await?;
    // A claim may be under way at the moment of the pause.
    let slack = TimeDelta::milliseconds(500);
    let starts = crate::events::read(&stage.folder)?;
    let early =
        starts.iter().filter(|start| windows.iter().any(|(from, to)| start.at > *from + slack && start.at < *to));
    let early = early.count();
    stage.check(early == 0, || format!("{early} jobs began while their queue was paused"));
    Ok(())
}

/// Nothing starts before its time, and failures are tried again.
pub(super) async fn schedule(stage: &mut Stage) -> Result<()> {
    stage.hire_all()?;
    let mut due = Vec::new();
    let mut specs = Vec::new();
    for _ in 0..stage.size(400, 100) {
        let mut spec = probe::spec(&Effect { fails: stage.rng.random_range(0..3), ..Effect::after(5) })?;
        let at = Utc::now() + TimeDelta::milliseconds(stage.rng.random_range(500..5000));
        spec.run_at = Some(at);
        due.push((spec.id, at));
        specs.push(spec);
    }
    stage.enqueue(specs, Expected::Done).await?;
    for _ in 0..stage.size(3, 1) {
        stage.pause(500, 1000).await;
        kill_one(stage).await?;
    }
    stage.settle(PATIENCE).await?;
    let starts = crate::events::read(&stage.folder)?;
    let early = due.iter().filter(|(id, at)| starts.iter().any(|start| start.job == *id && start.at < *at)).count();
    stage.check(early == 0, || format!("{early} jobs began before their time"));
    Ok(())
}

/// Half of the jobs are cancelled, waiting or running, while workers die. An effect is there exactly when the job completed.
pub(super) async fn cancel(stage: &mut Stage) -> Result<()> {
    stage.hire_all()?;
    let count = stage.size(600, 150);
    let mut ids: Vec<JobId> = Vec::new();
    for _ in 0..2 {
        let specs = (0..count / 2).map(|_| probe::spec(&Effect::after(300))).collect::<Result<Vec<_>>>()?;
        ids.extend(specs.iter().map(|spec| spec.id));
        stage.enqueue(specs, Expected::DoneOrCancelled).await?;
    }
    for (index, id) in ids.iter().enumerate() {
        if index % (count / 3) == count / 4 {
            kill_one(stage).await?;
        }
        if index % 2 == 0 {
            let mut tx = stage.database.begin(stage.workspace).await?;
            jobs::cancel(&mut tx, *id).await?;
            tx.commit().await?;
        }
    }
    stage.settle(PATIENCE).await?;
    let cancelled: i64 = sqlx::query_scalar("select count(*) from carrel.job_all j where j.state = 'cancelled'")
        .fetch_one(&stage.owner)
        .await?;
    stage.check(cancelled > 0, || "no job was cancelled".to_owned());
    stage.note(format!("{cancelled} cancelled"));
    Ok(())
}
