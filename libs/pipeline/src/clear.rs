//! `collection.clear`

use crate::{Pipeline, from_operation};
use async_trait::async_trait;
use carrel_domain::job::Progress;
use carrel_operations::kinds::ClearCollection;
use carrel_queue::{Completed, Handler, JobContext, JobError};
use carrel_storage::access;
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
                let mut transaction = cx.begin().await?;
                let details = json!({ "documents": documents });
                let subject = Some(payload.collection.0);
                access::audit(&mut transaction, &cx.operation(), "clear_collection", subject, details.clone()).await?;
                return cx.complete(transaction, details).await;
            }
            cx.progress(Progress { done: documents, total: None, note: "deleting documents".to_owned() }).await;
        }
    }
}
