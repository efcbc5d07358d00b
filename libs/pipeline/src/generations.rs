//! `generation.fill`: the passages of a workspace get their vectors in a second index generation.

use crate::index::in_context;
use crate::{Pipeline, from_operation};
use async_trait::async_trait;
use carrel_domain::job::Progress;
use carrel_operations::kinds::FillGeneration;
use carrel_queue::{Completed, Handler, JobContext, JobError};
use carrel_storage::generations::{self, GenerationState};
use serde_json::json;
use std::time::{Duration, Instant};

/// Passages that are embedded and stored at once.
const BATCH: u32 = 256;
/// How long it fills before it lets documents that arrived have their turn.
const SPELL: Duration = Duration::from_mins(2);
/// How long it lets them.
const PAUSE: Duration = Duration::from_millis(500);

#[async_trait]
impl Handler<FillGeneration> for Pipeline {
    // Every batch is committed: an attempt that ends early has not worked in vain, because what is there is not asked for
    // again.
    async fn run(&self, cx: &JobContext, payload: FillGeneration) -> Result<Completed, JobError> {
        let operations = &self.0.operations;
        let (started, no) = (Instant::now(), payload.generation);
        let (mut after, mut filled) = (i32::MIN, 0_u64);
        loop {
            cx.check_cancelled()?;
            let known = generations::list(&operations.database).await?;
            let row = known.into_iter().find(|row| row.generation.no == no && row.state == GenerationState::Filling);
            let Some(row) = row else {
                return cx.complete(cx.begin().await?, json!({ "skipped": "it is not being filled any more" })).await;
            };
            let target = operations.target(row.generation).map_err(from_operation)?;
            let mut transaction = cx.begin().await?;
            let lacks = generations::lacks(&mut transaction, no, after, BATCH).await?;
            transaction.rollback().await?;
            let Some(last) = lacks.last().map(|lack| lack.no) else { break };
            let inputs: Vec<String> =
                lacks.iter().map(|lack| in_context(lack.title.as_deref(), &lack.headings, &lack.text)).collect();
            let vectors = self.embed(cx, &*target.embedder, &inputs).await?;
            let numbers: Vec<i32> = lacks.iter().map(|lack| lack.no).collect();
            let mut transaction = cx.begin().await?;
            // Dropped meanwhile, its partition is gone; then there is nothing to add to.
            let open = generations::hold_still(&mut transaction).await?;
            if !open.iter().any(|generation| generation.no == no) {
                transaction.rollback().await?;
                continue;
            }
            filled += generations::fill(&mut transaction, no, &numbers, &vectors).await?;
            transaction.commit().await?;
            after = last;
            metrics::counter!("carrel_generation_filled_total").increment(numbers.len() as u64);
            cx.progress(Progress { done: filled, total: None, note: "filling a second index".to_owned() }).await;
            if started.elapsed() > SPELL {
                return Err(JobError::Snooze(PAUSE));
            }
        }
        cx.complete(cx.begin().await?, json!({ "vectors": filled })).await
    }
}
