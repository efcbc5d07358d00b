//! The checks behind `/health/ready`.

use crate::parts::{Parts, SystemIds};
use carrel_domain::IdSource;
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
        async move { originals.check(SystemIds.new_id()).await.map_err(|_| "it does not answer".to_owned()) }
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

#[cfg(test)]
mod tests {
    use super::{FromRegistry, watch_model, watch_parts, watch_queue};
    use crate::parts::Parts;
    use carrel_inference::hashing::HashingEmbedder;
    use carrel_inference::{CachedEmbedder, Embedder, OpenAiEmbedder, RemoteOptions};
    use carrel_rest::Readiness;
    use carrel_runtime::health::Registry;
    use carrel_storage::{Database, DatabaseOptions, OriginalStore};
    use carrel_testkit::TestDatabase;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    type Checks = BTreeMap<String, Result<(), String>>;

    /// What readiness says now, without the answer of a moment ago.
    async fn checks(database: &Database, embedder: Arc<dyn Embedder>) -> Checks {
        let folder = tempfile::tempdir().unwrap();
        let originals = OriginalStore::directory(folder.path()).unwrap();
        let health = Registry::new();
        watch_parts(&health, &Parts { database: database.clone(), originals });
        watch_queue(&health, None);
        watch_model(&health, embedder);
        FromRegistry(health).report().await.checks
    }

    fn model() -> Arc<dyn Embedder> {
        Arc::new(HashingEmbedder::new(32))
    }

    /// An address where nobody listens any more.
    fn nobody() -> std::net::SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    }

    fn failing(checks: &Checks) -> Vec<(&str, &str)> {
        let failed = checks.iter().filter_map(|(name, result)| Some((name.as_str(), result.as_ref().err()?.as_str())));
        failed.collect()
    }

    #[tokio::test]
    async fn everything_that_is_watched_passes_by_its_name() {
        let test = TestDatabase::create().await;
        let checks = checks(&test.database, model()).await;
        assert_eq!(failing(&checks), []);
        assert_eq!(checks.keys().collect::<Vec<_>>(), ["database", "migrations", "model", "queue", "store"]);
    }

    #[tokio::test]
    async fn a_schema_that_is_behind_is_not_ready_and_one_that_is_ahead_is() {
        let test = TestDatabase::create().await;
        let ahead = "insert into public._sqlx_migrations (version, description, success, checksum, execution_time)
                     values (999999, 'of a newer program', true, '', 0)";
        sqlx::query(ahead).execute(&test.owner).await.unwrap();
        assert_eq!(failing(&checks(&test.database, model()).await), [], "old programs run on while new ones start");
        for (statement, problem) in [
            (
                "delete from public._sqlx_migrations where version = (select min(version) from public._sqlx_migrations)",
                "1 migrations are missing; run `carrel admin migrate`",
            ),
            ("revoke select on public._sqlx_migrations from carrel_app", "the schema cannot be read"),
            ("drop table public._sqlx_migrations", "the schema cannot be read"),
        ] {
            sqlx::query(statement).execute(&test.owner).await.unwrap();
            assert_eq!(failing(&checks(&test.database, model()).await), [("migrations", problem)], "{statement}");
        }
    }

    #[tokio::test]
    async fn a_model_that_is_away_is_not_ready() {
        let test = TestDatabase::create().await;
        let url = format!("http://{}", nobody());
        let away = OpenAiEmbedder::for_carrel(RemoteOptions::new(&url, "all-MiniLM-L6-v2", 384)).unwrap();
        let away: Arc<dyn Embedder> = Arc::new(CachedEmbedder::new(away, 1 << 20));
        let checks = checks(&test.database, away).await;
        let failing = failing(&checks);
        assert_eq!(failing.len(), 1, "{failing:?}");
        assert_eq!(failing[0].0, "model");
        assert!(!failing[0].1.contains("127.0.0.1"), "an anonymous answer names no address: {}", failing[0].1);
    }

    #[tokio::test]
    async fn a_database_that_is_away_or_all_too_open_is_not_ready() {
        let test = TestDatabase::create().await;
        let options = DatabaseOptions::new(format!("postgres://carrel@{}/carrel", nobody()));
        let away = Database::connect_lazy(&options).unwrap();
        let found = checks(&away, model()).await;
        let names: Vec<&str> = failing(&found).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["database", "migrations"]);
        // The owner's login could look over every wall.
        let open = Database::connect_lazy(&DatabaseOptions::new(test.owner_url.clone())).unwrap();
        let found = checks(&open, model()).await;
        let failing = failing(&found);
        assert!(matches!(failing[..], [("database", problem)] if problem.contains("superuser")), "{failing:?}");
    }

    #[tokio::test]
    async fn a_process_that_stops_sends_its_callers_elsewhere() {
        let health = Registry::new();
        watch_queue(&health, None);
        health.start_draining();
        let checks = FromRegistry(health).report().await.checks;
        assert_eq!(failing(&checks), [("process", "it is stopping")]);
    }
}
