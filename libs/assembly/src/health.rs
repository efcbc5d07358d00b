//! The checks behind `/health/ready`.

use crate::parts::Parts;
use carrel_inference::Embedder;
use carrel_queue::WorkerHealth;
use carrel_rest::{Readiness, ReadinessReport};
use carrel_runtime::health::Registry;
use std::sync::Arc;

/// Database, migrations and store.
pub(crate) fn watch_parts(health: &Registry, parts: &Parts) {
    let database = parts.database.clone();
    health.register("database", move || {
        let database = database.clone();
        async move {
            database.ping().await.map_err(|_| "it does not answer".to_owned())?;
            database.check_role().await.map_err(|error| error.to_string())
        }
    });
    let database = parts.database.clone();
    health.register("migrations", move || {
        let database = database.clone();
        async move {
            let state = database.schema_state().await.map_err(|_| "the schema cannot be read".to_owned())?;
            if state.pending > 0 {
                return Err(format!("{} migrations are missing; run `carrel admin migrate`", state.pending));
            }
            Ok(())
        }
    });
    let originals = parts.originals.clone();
    health.register("store", move || {
        let originals = originals.clone();
        async move { originals.check(uuid::Uuid::now_v7()).await.map_err(|_| "it does not answer".to_owned()) }
    });
}

/// The model.
pub(crate) fn watch_model(health: &Registry, embedder: Arc<dyn Embedder>) {
    health.register("model", move || {
        let embedder = Arc::clone(&embedder);
        async move { embedder.check().await.map_err(|_| "it does not answer".to_owned()) }
    });
}

/// The job machinery: of this process where a worker runs, else that jobs can be stored at all.
pub(crate) fn watch_queue(health: &Registry, worker: Option<WorkerHealth>) {
    health.register("queue", move || {
        let ready = worker.as_ref().is_none_or(|worker| worker.report().is_ready());
        async move { if ready { Ok(()) } else { Err("the worker does not hold its leases".to_owned()) } }
    });
}

/// Readiness for the API's own address.
pub(crate) struct FromRegistry(pub(crate) Registry);

#[async_trait::async_trait]
impl Readiness for FromRegistry {
    async fn report(&self) -> ReadinessReport {
        let report = self.0.report().await;
        let mut checks: std::collections::BTreeMap<String, Result<(), String>> =
            report.checks.into_iter().map(|check| (check.name, check.detail.map_or(Ok(()), Err))).collect();
        if report.draining {
            checks.insert("process".to_owned(), Err("it is stopping".to_owned()));
        }
        ReadinessReport { checks }
    }
}
