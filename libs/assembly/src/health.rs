//! The checks behind `/health/ready`.

use crate::parts::{Embedders, Parts, SystemClock, SystemIds, configured_spaces};
use carrel_domain::IdSource;
use carrel_inference::{Embedder, EmbeddingSpace, InferenceError};
use carrel_operations::Clock;
use carrel_queue::WorkerHealth;
use carrel_rest::{Readiness, ReadinessReport};
use carrel_runtime::config::Settings;
use carrel_runtime::health::Registry;
use carrel_storage::index::{Generation, live_generation};
use carrel_storage::remedy::{UNREACHABLE_DATABASE, UNREACHABLE_STORE};
use carrel_storage::{Database, StorageError};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for one answer, a little less than the registry's own, so that the answer says what to do.
const PATIENCE: Duration = Duration::from_millis(1_800);
/// How far this machine's clock and PostgreSQL's may be apart: tokens and leases of minutes still work.
const CLOCKS_APART: i64 = 30;

/// The answer, or what to do about its absence.
async fn within<T>(silence: &str, answer: impl Future<Output = Result<T, StorageError>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.remedy()),
        Err(_) => Err(silence.to_owned()),
    }
}

/// Database, migrations, clock and store.
pub(crate) fn watch_parts(health: &Registry, parts: &Parts) {
    let database = parts.database.clone();
    health.register("database", move || {
        let database = database.clone();
        async move {
            within(UNREACHABLE_DATABASE, async {
                database.check_role().await?;
                database.check_space().await
            })
            .await
        }
    });
    let database = parts.database.clone();
    health.register("migrations", move || {
        let database = database.clone();
        async move {
            let state = within(UNREACHABLE_DATABASE, database.schema_state()).await?;
            state.remedy().map_or(Ok(()), Err)
        }
    });
    let database = parts.database.clone();
    health.register("clock", move || {
        let database = database.clone();
        async move {
            let apart = (SystemClock.now() - within(UNREACHABLE_DATABASE, database.now()).await?).num_seconds().abs();
            if apart > CLOCKS_APART {
                return Err(format!(
                    "this machine's clock and PostgreSQL's are {apart} s apart: check time synchronisation on both"
                ));
            }
            Ok(())
        }
    });
    let originals = parts.originals.clone();
    health.register("store", move || {
        let originals = originals.clone();
        async move { within(UNREACHABLE_STORE, originals.check(SystemIds.new_id())).await }
    });
}

/// The model that answers, the one that is to take its place, and whether the index is made of the vectors of one of them.
pub(crate) fn watch_models(health: &Registry, database: &Database, embedders: &Embedders) {
    let spaces = std::iter::once(&embedders.now).chain(&embedders.next);
    watch_index(health, database, spaces.map(|embedder| embedder.space().clone()).collect());
    watch_model(health, "model", Arc::clone(&embedders.now));
    if let Some(next) = &embedders.next {
        watch_model(health, "next model", Arc::clone(next));
    }
}

fn watch_index(health: &Registry, database: &Database, spaces: Vec<EmbeddingSpace>) {
    let database = database.clone();
    health.register("index", move || {
        let (database, spaces) = (database.clone(), spaces.clone());
        async move {
            match within(UNREACHABLE_DATABASE, live_generation(&database)).await? {
                Some(live) if !spaces.iter().any(|space| fits(&live, &space.name, space.dimension)) => {
                    Err(other_model(&live, &spaces[0].name))
                }
                _ => Ok(()),
            }
        }
    });
}

fn fits(live: &Generation, name: &str, dimension: usize) -> bool {
    live.space == name && live.dimension == dimension
}

fn other_model(live: &Generation, configured: &str) -> String {
    format!(
        "the index is made of vectors of {}, and inference.embedder is {configured}: name the index's model there, or make \
         another index with inference.next",
        live.space
    )
}

/// `Ok` with the model of the live index, if it is the one that the settings name; the problem otherwise.
///
/// # Errors
/// What to say to an operator.
pub async fn index_fits(settings: &Settings, database: &Database) -> Result<String, String> {
    let live = within(UNREACHABLE_DATABASE, live_generation(database)).await?;
    let Some(live) = live else { return Ok("there is none yet".to_owned()) };
    let (now, next) = configured_spaces(settings).map_err(|error| error.to_string())?;
    let fitting = std::iter::once(&now).chain(&next).any(|(name, dimension)| fits(&live, name, *dimension));
    if fitting { Ok(live.space) } else { Err(other_model(&live, &now.0)) }
}

fn watch_model(health: &Registry, name: &'static str, embedder: Arc<dyn Embedder>) {
    health.register(name, move || {
        let embedder = Arc::clone(&embedder);
        async move {
            match tokio::time::timeout(PATIENCE, embedder.check()).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(model_remedy(&error)),
                Err(_) => Err(MODEL_AWAY.to_owned()),
            }
        }
    });
}

const MODEL_AWAY: &str =
    "the model cannot be reached: check that carrel-ai, or the service of inference.embedder.url, runs, and ai.url";

/// Without the address, which the error names.
fn model_remedy(error: &InferenceError) -> String {
    let words = match error {
        InferenceError::Unavailable { detail, .. } if detail.contains("certificate") => {
            "the certificate of the model's service has expired or is not trusted: renew it, or check the address"
        }
        InferenceError::Unavailable { .. } => MODEL_AWAY,
        InferenceError::Refused { status: 401 | 403, .. } => {
            "the model's service refuses the credentials: check inference.embedder.api_key"
        }
        InferenceError::Refused { status: 404, .. } => {
            "the service does not know the model: check inference.embedder.model and url"
        }
        InferenceError::Refused { .. } => "the model's service refuses the request: look at its log",
        InferenceError::Protocol { .. } => {
            "the model's service answers with other vectors than agreed: all programs need the same inference.embedder"
        }
        other => return other.to_string(),
    };
    words.to_owned()
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
    use super::{FromRegistry, watch_index, watch_model, watch_parts, watch_queue};
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
        watch_model(&health, "model", embedder);
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
        assert_eq!(checks.keys().collect::<Vec<_>>(), ["clock", "database", "migrations", "model", "queue", "store"]);
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
            (
                "update public._sqlx_migrations set success = false where version = 5",
                "migration 5 stopped half-way: restore the backup made before it, then run `carrel admin migrate` again",
            ),
            (
                "revoke select on public._sqlx_migrations from carrel_app",
                "the login may not act for Carrel: run `carrel admin migrate --login NAME` and use that login in database.url",
            ),
            ("drop table public._sqlx_migrations", "the schema is missing: run `carrel admin migrate`"),
        ] {
            sqlx::query(statement).execute(&test.owner).await.unwrap();
            assert_eq!(failing(&checks(&test.database, model()).await), [("migrations", problem)], "{statement}");
        }
    }

    #[tokio::test]
    async fn a_schema_that_dropped_what_we_use_is_not_ready() {
        let test = TestDatabase::create().await;
        for (version, least, ready) in [(999_998, "0001", true), (999_999, "999997", false)] {
            sqlx::query(
                "insert into public._sqlx_migrations (version, description, success, checksum, execution_time)
                 values ($1, 'contract ' || $2 || ' drop it', true, '', 0)",
            )
            .bind(version)
            .bind(least)
            .execute(&test.owner)
            .await
            .unwrap();
            let checks = checks(&test.database, model()).await;
            let newer = "the schema is newer than this program can work on: install the version that migrated it";
            let expected: &[(&str, &str)] = if ready { &[] } else { &[("migrations", newer)] };
            assert_eq!(failing(&checks), expected);
        }
    }

    #[tokio::test]
    async fn an_index_of_another_model_is_not_ready() {
        let test = TestDatabase::create().await;
        let now = async |spaces: &[Arc<dyn Embedder>]| {
            let health = Registry::new();
            watch_index(&health, &test.database, spaces.iter().map(|embedder| embedder.space().clone()).collect());
            FromRegistry(health).report().await.checks["index"].clone()
        };
        let other: Arc<dyn Embedder> = Arc::new(HashingEmbedder::new(64));
        assert_eq!(now(&[Arc::clone(&other)]).await, Ok(()), "nothing is indexed yet");
        let space = model().space().clone();
        carrel_storage::index::ensure_generation(&test.database, &space.name, space.dimension).await.unwrap();
        let problem = now(&[Arc::clone(&other)]).await.unwrap_err();
        assert!(problem.contains("hashing/32") && problem.contains("hashing/64"), "{problem}");
        // While one takes the other's place, either will do.
        assert_eq!(now(&[other, model()]).await, Ok(()));
    }

    #[tokio::test]
    async fn wrong_credentials_and_names_say_which() {
        let test = TestDatabase::create().await;
        let (head, _) = test.service_url.rsplit_once('/').unwrap();
        let (scheme, host) = (head.split_once("://").unwrap().0, head.rsplit_once('@').unwrap().1);
        let name = test.service_url.rsplit_once('/').unwrap().1;
        for (url, problem) in [
            (format!("{head}/no_such_database"), "the database of database.url does not exist"),
            (format!("{scheme}://no_such_login@{host}/{name}"), "PostgreSQL refuses the login"),
        ] {
            let database = Database::connect_lazy(&DatabaseOptions::new(url)).unwrap();
            let found = checks(&database, model()).await;
            let failing = failing(&found);
            assert_eq!(failing.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["clock", "database", "migrations"]);
            assert!(failing.iter().all(|(_, words)| words.starts_with(problem)), "{failing:?}");
        }
    }

    #[tokio::test]
    async fn a_store_that_is_away_or_refuses_says_which() {
        let away = object_store::aws::AmazonS3Builder::new()
            .with_bucket_name("b")
            .with_region("r")
            .with_endpoint(format!("http://{}", nobody()))
            .with_allow_http(true)
            .with_access_key_id("a")
            .with_secret_access_key("b")
            .build()
            .unwrap();
        let found = store_check(OriginalStore::new(Arc::new(away))).await;
        assert_eq!(
            found,
            Err("the object store cannot be reached: check that it runs, its certificate, and store.endpoint"
                .to_owned())
        );

        let folder = tempfile::tempdir().unwrap();
        let originals = OriginalStore::directory(&folder.path().join("objects")).unwrap();
        assert_eq!(store_check(originals.clone()).await, Ok(()));
        // A file where the folder was: whoever runs the test, nothing can be written there.
        std::fs::remove_dir_all(folder.path().join("objects")).unwrap();
        std::fs::write(folder.path().join("objects"), "").unwrap();
        let found = store_check(originals).await;
        assert_eq!(found, Err("the folder of the object store cannot be made or found: check store.path".to_owned()));
    }

    async fn store_check(originals: OriginalStore) -> Result<(), String> {
        let database = Database::connect_lazy(&DatabaseOptions::new("postgres://carrel@127.0.0.1:1/carrel")).unwrap();
        let health = Registry::new();
        watch_parts(&health, &Parts { database, originals });
        FromRegistry(health).report().await.checks.remove("store").unwrap()
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
        assert_eq!(names, ["clock", "database", "migrations"]);
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
