//! `collection.clear`

use crate::{Pipeline, from_operation};
use async_trait::async_trait;
use carrel_domain::job::Progress;
use carrel_operations::kinds::ClearCollection;
use carrel_queue::{Completed, Handler, JobContext, JobError};
use serde_json::json;

#[async_trait]
impl Handler<ClearCollection> for Pipeline {
    // Each part is a transaction of its own: a lost claim does no harm, because what is cleared stays cleared.
    async fn run(&self, cx: &JobContext, payload: ClearCollection) -> Result<Completed, JobError> {
        let mut documents = 0;
        loop {
            cx.check_cancelled()?;
            let operations = &self.0.operations;
            let cleared =
                operations.clear_collection(&cx.operation(), payload.collection).await.map_err(from_operation)?;
            documents += cleared.documents;
            if !cleared.more {
                return cx.complete(cx.begin().await?, json!({ "documents": documents })).await;
            }
            cx.progress(Progress { done: documents, total: None, note: "deleting documents".to_owned() }).await;
        }
    }
}
