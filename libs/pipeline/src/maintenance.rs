//! `original.release` and `segments.merge`.

use crate::Pipeline;
use async_trait::async_trait;
use carrel_operations::kinds::{MergeSegments, ReleaseOriginal};
use carrel_queue::{Completed, Handler, JobContext, JobError};
use carrel_storage::{index, originals};
use serde_json::json;

#[async_trait]
impl Handler<ReleaseOriginal> for Pipeline {
    async fn run(&self, cx: &JobContext, payload: ReleaseOriginal) -> Result<Completed, JobError> {
        let mut transaction = cx.begin().await?;
        let unused = originals::begin_release(&mut transaction, payload.sha256).await?;
        if !unused {
            return cx.complete(transaction, json!({ "kept": "another version holds the same bytes" })).await;
        }
        transaction.commit().await?;
        // From here on an upload of the same bytes waits for the row to go.
        self.0.operations.originals.delete(cx.job().workspace, payload.sha256).await?;
        let mut transaction = cx.begin().await?;
        originals::finish_release(&mut transaction, payload.sha256).await?;
        cx.complete(transaction, json!({ "released": payload.sha256 })).await
    }
}

#[async_trait]
impl Handler<MergeSegments> for Pipeline {
    async fn run(&self, cx: &JobContext, payload: MergeSegments) -> Result<Completed, JobError> {
        let mut transaction = cx.begin().await?;
        let mut merged = 0;
        // A merge can crowd the next level.
        loop {
            let folded = index::merge_segments(&mut transaction, payload.collection).await?;
            merged += folded;
            if folded == 0 {
                break;
            }
            cx.check_cancelled()?;
        }
        cx.complete(transaction, json!({ "segments": merged })).await
    }
}
