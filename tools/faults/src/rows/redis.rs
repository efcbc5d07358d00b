//! Redis that dies, forgets, stalls, is full or is not there.

use super::PATIENCE;
use crate::stage::Stage;
use anyhow::Result;
use chrono::Utc;
use rustix::process::Signal;
use std::time::Duration;

/// The list of ids that workers of the probe's queue take from.
const IDS: &str = "carrel:jobs:ingest";

async fn begin(stage: &mut Stage) -> Result<()> {
    stage.report.allowed_s = Some(1.0);
    stage.hire_all()?;
    let count = stage.size(1500, 200) * stage.plan.workers.min(2);
    stage.effects(count, 20).await?;
    stage.until_started(8, Duration::from_secs(30)).await
}

/// A few jobs more, so that there is something to start after the injury.
async fn end(stage: &mut Stage) -> Result<()> {
    stage.effects(20, 5).await
}

async fn finish(stage: &mut Stage) -> Result<()> {
    stage.settle(PATIENCE).await?;
    stage.all_stayed_alive();
    Ok(())
}

async fn restart(stage: &mut Stage, with: Signal) -> Result<()> {
    begin(stage).await?;
    for _ in 0..stage.size(3, 1) {
        stage.pause(300, 800).await;
        let begun = Utc::now();
        stage.lab.redis.end(with).await?;
        stage.pause(200, 1000).await;
        stage.lab.redis.up().await?;
        stage.injured_from(begun);
        end(stage).await?;
    }
    finish(stage).await
}

pub(super) async fn kill(stage: &mut Stage) -> Result<()> {
    restart(stage, Signal::KILL).await
}

pub(super) async fn term(stage: &mut Stage) -> Result<()> {
    restart(stage, Signal::TERM).await
}

async fn command(stage: &mut Stage, command: redis::Cmd) -> Result<()> {
    begin(stage).await?;
    for _ in 0..stage.size(5, 2) {
        stage.pause(100, 500).await;
        stage.lab.redis.ask(&command).await?;
        stage.injured();
        end(stage).await?;
    }
    finish(stage).await
}

pub(super) async fn flushall(stage: &mut Stage) -> Result<()> {
    command(stage, redis::cmd("FLUSHALL")).await
}

pub(super) async fn del(stage: &mut Stage) -> Result<()> {
    let mut del = redis::cmd("DEL");
    del.arg(IDS);
    command(stage, del).await
}

pub(super) async fn wrong_type(stage: &mut Stage) -> Result<()> {
    let mut set = redis::cmd("SET");
    set.arg(IDS).arg("no list");
    begin(stage).await?;
    stage.lab.redis.ask(&set).await?;
    let begun = Utc::now();
    for _ in 0..3 {
        stage.pause(400, 600).await;
        end(stage).await?;
    }
    stage.lab.redis.ask(redis::cmd("DEL").arg(IDS)).await?;
    stage.injured_from(begun);
    end(stage).await?;
    finish(stage).await
}

pub(super) async fn full(stage: &mut Stage) -> Result<()> {
    begin(stage).await?;
    for _ in 0..stage.size(2, 1) {
        let begun = Utc::now();
        stage.lab.redis.ask(redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1")).await?;
        for _ in 0..4 {
            stage.pause(400, 600).await;
            end(stage).await?;
        }
        stage.lab.redis.ask(redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("0")).await?;
        stage.injured_from(begun);
        end(stage).await?;
        stage.pause(300, 800).await;
    }
    finish(stage).await
}

async fn stall(stage: &mut Stage, length: Duration, times: usize) -> Result<()> {
    begin(stage).await?;
    for _ in 0..times {
        stage.pause(100, 600).await;
        let begun = Utc::now();
        stage.lab.redis.pause()?;
        let mut left = length;
        while left > Duration::ZERO {
            let nap = left.min(Duration::from_secs(1));
            tokio::time::sleep(nap).await;
            left -= nap;
            end(stage).await?;
        }
        stage.lab.redis.resume()?;
        stage.injured_from(begun);
        end(stage).await?;
    }
    finish(stage).await
}

pub(super) async fn stall_300(stage: &mut Stage) -> Result<()> {
    let times = stage.size(5, 2);
    stall(stage, Duration::from_millis(300), times).await
}

pub(super) async fn stall_800(stage: &mut Stage) -> Result<()> {
    let times = stage.size(5, 2);
    stall(stage, Duration::from_millis(800), times).await
}

pub(super) async fn stall_3000(stage: &mut Stage) -> Result<()> {
    stall(stage, Duration::from_secs(3), 2).await
}

pub(super) async fn stall_30000(stage: &mut Stage) -> Result<()> {
    let seconds = stage.size(30, 8);
    stall(stage, Duration::from_secs(seconds as u64), 1).await
}

/// Not there when the workers start, and for a long time after.
pub(super) async fn absent(stage: &mut Stage) -> Result<()> {
    stage.report.allowed_s = Some(5.0);
    stage.lab.redis.end(Signal::KILL).await?;
    stage.hire_all()?;
    for _ in 0..stage.size(30, 5) {
        stage.effects(40, 10).await?;
        stage.injured();
        stage.pause(800, 1200).await;
    }
    stage.lab.redis.up().await?;
    end(stage).await?;
    stage.injured();
    end(stage).await?;
    finish(stage).await
}
