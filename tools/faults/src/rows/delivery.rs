//! Messages that come more than once, in another order, or are none of ours.

use super::PATIENCE;
use crate::stage::Stage;
use anyhow::Result;
use rand::RngExt;
use rand::seq::SliceRandom;
use std::time::Duration;
use uuid::Uuid;

const IDS: &str = "carrel:jobs:ingest";

async fn push(stage: &Stage, messages: &[Vec<u8>]) -> Result<()> {
    for chunk in messages.chunks(1000) {
        let mut push = redis::cmd("RPUSH");
        push.arg(IDS);
        for message in chunk {
            push.arg(message);
        }
        stage.lab.redis.ask(&push).await?;
    }
    Ok(())
}

/// Every id five times, shuffled, over and over.
pub(super) async fn repeated(stage: &mut Stage) -> Result<()> {
    stage.hire_all()?;
    let count = stage.size(1500, 200);
    stage.effects(count, 20).await?;
    let mut ids: Vec<Vec<u8>> = stage.expected.keys().map(|id| id.to_string().into_bytes()).collect();
    ids.sort();
    for _ in 0..5 {
        ids.shuffle(&mut stage.rng);
        push(stage, &ids).await?;
        stage.injured();
        stage.pause(50, 200).await;
    }
    stage.settle(PATIENCE).await?;
    let restarted = stage.report.restarted;
    stage.check(restarted == 0, || format!("{restarted} jobs ran again because they were delivered again"));
    stage.all_stayed_alive();
    Ok(())
}

/// Ids of jobs that do not exist, and bytes that are no ids.
pub(super) async fn garbage(stage: &mut Stage) -> Result<()> {
    stage.hire_all()?;
    let count = stage.size(1000, 200);
    stage.effects(count, 20).await?;
    for _ in 0..stage.size(10, 3) {
        let mut messages: Vec<Vec<u8>> = Vec::new();
        for _ in 0..200 {
            messages.push(Uuid::from_u128(stage.rng.random()).to_string().into_bytes());
            let length = stage.rng.random_range(0..60);
            messages.push((0..length).map(|_| stage.rng.random()).collect());
        }
        messages.push(vec![b'x'; 1 << 20]);
        messages.push(br#"{"id":"no id"}"#.to_vec());
        messages.shuffle(&mut stage.rng);
        push(stage, &messages).await?;
        stage.injured();
        stage.pause(50, 300).await;
    }
    stage.settle(PATIENCE + Duration::from_secs(30)).await?;
    let restarted = stage.report.restarted;
    stage.check(restarted == 0, || format!("{restarted} jobs ran again"));
    stage.all_stayed_alive();
    Ok(())
}
