//! Effects that leave the system, and jobs that come by the calendar, while workers are killed.

use super::PATIENCE;
use crate::events;
use crate::probe::{self, Mailing};
use crate::stage::{Expected, Stage};
use anyhow::Result;
use carrel_domain::JobId;
use std::collections::HashSet;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Waits until every job has ended and every effect is sent.
pub(super) async fn until_sent(stage: &mut Stage) -> Result<()> {
    stage.until_left(0, PATIENCE).await?;
    let deadline = Instant::now() + PATIENCE;
    let pending = "select count(*) from carrel.outbox_effect e where e.state = 'pending'";
    loop {
        stage.crew.tend()?;
        let left: i64 = sqlx::query_scalar(pending).fetch_one(&stage.owner).await?;
        if left == 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            stage.report.problems.push(format!("{left} effects were not sent"));
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Each completed mailing has brought the receiver one key, and nothing else has.
pub(super) async fn count(stage: &mut Stage) -> Result<()> {
    let decided: Vec<Uuid> = sqlx::query_scalar(
        "select j.id from carrel.job_all j where j.kind = 'probe.mailing' and j.state = 'completed'",
    )
    .fetch_all(&stage.owner)
    .await?;
    let decided: HashSet<String> = decided.iter().map(Uuid::to_string).collect();
    let sent = events::letters(&stage.folder)?;
    let keys: HashSet<&String> = sent.iter().collect();
    let missing = decided.iter().filter(|key| !keys.contains(key)).count();
    let invented = keys.iter().filter(|key| !decided.contains(**key)).count();
    let repeated = sent.len() - keys.len();
    stage.check(missing == 0, || format!("{missing} letters never left"));
    stage.check(invented == 0, || format!("{invented} letters left of jobs that did not complete"));
    if repeated > 0 {
        stage.note(format!("{repeated} of {} letters sent again with the same key", keys.len()));
    }
    Ok(())
}

pub(super) async fn mailing(stage: &mut Stage) -> Result<()> {
    stage.hire_all()?;
    for _ in 0..stage.size(6, 2) {
        let specs = (0..100).map(|_| probe::spec(&Mailing {})).collect::<Result<Vec<_>>>()?;
        stage.enqueue(specs, Expected::DoneQuietly).await?;
        stage.effects(50, 10).await?;
        stage.pause(200, 600).await;
        let victim = stage.victim();
        let ended = stage.crew.kill(victim).await?;
        stage.killed(ended);
        stage.hire_one()?;
    }
    until_sent(stage).await?;
    stage.settle(PATIENCE).await?;
    count(stage).await
}

/// One job per tick, however many workers bring the calendar and however many of them die.
pub(super) async fn calendar(stage: &mut Stage) -> Result<()> {
    stage.hire.ticks = true;
    stage.hire_all()?;
    stage.hire_one()?;
    stage.hire_one()?;
    for _ in 0..stage.size(10, 3) {
        stage.pause(800, 1500).await;
        let victim = stage.victim();
        let ended = stage.crew.kill(victim).await?;
        stage.killed(ended);
        stage.hire_one()?;
        stage.effects(20, 10).await?;
    }
    // Every worker fires what the database holds; without that nobody brings a tick any more, and all jobs can end.
    stage.hire.ticks = false;
    let grace = stage.hire.drain + Duration::from_secs(3);
    while !stage.crew.is_empty() {
        stage.crew.dismiss(0, grace).await?;
    }
    sqlx::query("delete from carrel.schedule").execute(&stage.owner).await?;
    stage.hire_all()?;
    let ids: Vec<Uuid> = sqlx::query_scalar("select j.id from carrel.job_all j where j.kind = 'probe.tick'")
        .fetch_all(&stage.owner)
        .await?;
    stage.expected.extend(ids.iter().map(|id| (JobId(*id), Expected::Done)));
    stage.settle(PATIENCE).await?;
    let (ticks, span): (i64, Option<f64>) = sqlx::query_as(
        "select count(*), extract(epoch from max(t.tick_at) - min(t.tick_at))::float8 from carrel.cron_tick t",
    )
    .fetch_one(&stage.owner)
    .await?;
    let seconds = span.unwrap_or(0.0) + 1.0;
    stage.check(ticks > 3 && (ticks as f64 - seconds).abs() < 0.5, || format!("{ticks} ticks in {seconds} seconds"));
    stage.check(ids.len() as i64 == ticks, || format!("{} jobs for {ticks} ticks", ids.len()));
    stage.note(format!("{ticks} ticks, one a second"));
    Ok(())
}
