//! `store.collect`: what uploads that broke off left in the store.

use crate::Pipeline;
use async_trait::async_trait;
use carrel_operations::kinds::CollectOrphans;
use carrel_queue::{Completed, Handler, JobContext, JobError};
use carrel_storage::store_check::{self, CheckRules, Depth, Remedy, StoreReport};
use serde_json::json;

#[async_trait]
impl Handler<CollectOrphans> for Pipeline {
    async fn run(&self, cx: &JobContext, _: CollectOrphans) -> Result<Completed, JobError> {
        let operations = &self.0.operations;
        let (database, store) = (&operations.database, &operations.originals);
        let rules = CheckRules {
            depth: Depth::Sizes,
            remedy: Remedy::Repair,
            grace: self.0.upkeep.orphan_grace,
            now: cx.operation().now,
        };
        let mut report = StoreReport::default();
        let collecting = async {
            store_check::collect_orphans(database, store, cx.job().workspace, &rules, &mut report).await?;
            store_check::collect_staged(store, &rules, &mut report).await
        };
        tokio::select! {
            done = collecting => done?,
            () = cx.cancellation().cancelled() => return Err(JobError::Cancelled),
        }
        let removed = report.findings.iter().filter(|finding| finding.repair.is_some()).count() as u64;
        metrics::counter!("carrel_store_collected_total").increment(removed);
        cx.complete(cx.begin().await?, json!({ "objects": report.objects, "removed": removed, "found": report.counts }))
            .await
    }
}
