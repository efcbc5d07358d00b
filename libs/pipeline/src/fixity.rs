//! `fixity.begin` and `fixity.check`: originals are read again, each once in a period, and what is not sound is told.

use crate::Pipeline;
use async_trait::async_trait;
use carrel_domain::job::Progress;
use carrel_operations::kinds::{BeginFixity, CheckFixity};
use carrel_queue::{Completed, Handler, JobContext, JobError};
use carrel_storage::fixity::{self, Pace};
use carrel_storage::jobs;
use serde_json::json;
use std::time::{Duration, Instant};

/// Originals between two looks at whether to go on.
const BATCH: u32 = 32;
/// How long it reads before it lets the queue's other jobs have their turn.
const SPELL: Duration = Duration::from_mins(10);
/// How long it lets them.
const PAUSE: Duration = Duration::from_secs(1);

#[async_trait]
impl Handler<BeginFixity> for Pipeline {
    async fn run(&self, cx: &JobContext, _: BeginFixity) -> Result<Completed, JobError> {
        let mut transaction = cx.begin().await?;
        // One that still reads from the time before goes on; what has become due since is found the next time.
        let mut spec = self.spec(cx, &CheckFixity {})?;
        spec.unique_key = Some("fixity".to_owned());
        let ids = jobs::enqueue(&mut transaction, &[spec], &cx.operation().actor).await?;
        cx.complete(transaction, json!({ "job": ids.first() })).await
    }
}

#[async_trait]
impl Handler<CheckFixity> for Pipeline {
    async fn run(&self, cx: &JobContext, _: CheckFixity) -> Result<Completed, JobError> {
        let operations = &self.0.operations;
        let upkeep = &self.0.upkeep;
        let period = chrono::Duration::from_std(upkeep.fixity_period).unwrap_or(chrono::Duration::MAX);
        let started = Instant::now();
        let mut pace = Pace::new(upkeep.fixity_bytes_per_second);
        let (mut after, mut originals, mut bytes, mut damaged) = (None, 0_u64, 0_u64, 0_u64);
        let more = loop {
            let now = cx.operation().now;
            let times = (now.checked_sub_signed(period).unwrap_or(now), now);
            let (database, store, workspace) = (&operations.database, &operations.originals, cx.job().workspace);
            let batch = fixity::check_batch(database, store, workspace, times, after, BATCH, &mut pace);
            let batch = tokio::select! {
                batch = batch => batch?,
                () = cx.cancellation().cancelled() => return Err(JobError::Cancelled),
            };
            originals += batch.originals;
            bytes += batch.bytes;
            damaged += batch.damaged.len() as u64;
            metrics::counter!("carrel_fixity_checked_total").increment(batch.originals);
            metrics::counter!("carrel_fixity_bytes_total").increment(batch.bytes);
            for (_, reading) in &batch.damaged {
                metrics::counter!("carrel_fixity_damaged_total", "verdict" => reading.verdict().as_str()).increment(1);
            }
            cx.progress(Progress { done: originals, total: None, note: "reading originals again".to_owned() }).await;
            after = batch.last.or(after);
            if batch.last.is_none() {
                break false;
            }
            if started.elapsed() > SPELL {
                break true;
            }
        };
        self.told(cx).await?;
        if more {
            return Err(JobError::Snooze(PAUSE));
        }
        cx.complete(cx.begin().await?, json!({ "originals": originals, "bytes": bytes, "damaged": damaged })).await
    }
}

impl Pipeline {
    /// What is not sound in the workspace, as a gauge to alert on.
    async fn told(&self, cx: &JobContext) -> Result<(), JobError> {
        let mut transaction = cx.begin().await?;
        let summary = fixity::summary(&mut transaction).await?;
        transaction.rollback().await?;
        let workspace = cx.job().workspace.to_string();
        for (verdict, number) in [("damaged", summary.damaged), ("missing", summary.missing)] {
            metrics::gauge!("carrel_fixity_unsound", "workspace" => workspace.clone(), "verdict" => verdict)
                .set(number as f64);
        }
        Ok(())
    }
}
