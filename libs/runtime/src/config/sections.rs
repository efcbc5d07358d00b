//! One struct per section. Defaults live in `config/base.yaml` alone, so nothing here has one.

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// HTTP.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// API and web page.
    pub listen: SocketAddr,
    /// See [`Server::base_url`].
    pub public_url: Option<String>,
    /// Metrics and health for operators.
    pub metrics_listen: Option<SocketAddr>,
    /// Largest request body in bytes, except uploads.
    pub body_limit_bytes: usize,
    /// Longest request in seconds, except uploads and streams.
    pub request_timeout_seconds: u64,
    /// Largest upload in bytes.
    pub upload_limit_bytes: u64,
    /// Seconds for which a program that was told to stop still takes requests.
    pub linger_seconds: u64,
}

impl Server {
    /// The address people and programs use, without a slash at the end.
    pub fn base_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen),
        }
    }

    /// [`Server::linger_seconds`] as a duration.
    pub fn linger(&self) -> Duration {
        Duration::from_secs(self.linger_seconds)
    }

    /// [`Server::request_timeout_seconds`] as a duration.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_seconds)
    }
}

/// PostgreSQL.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// The services' login; `None` where a private server runs.
    #[schemars(with = "Option<String>")]
    pub url: Option<SecretString>,
    /// A replica that may answer searches.
    #[schemars(with = "Option<String>")]
    pub read_url: Option<SecretString>,
    /// How old its answers may be, in milliseconds.
    pub read_max_lag_ms: u64,
    /// The owner of the schema.
    #[schemars(with = "Option<String>")]
    pub admin_url: Option<SecretString>,
    /// Connections for operations.
    pub pool_size: u32,
    /// Connections for the job machinery.
    pub queue_pool_size: u32,
    /// Longest statement in milliseconds.
    pub statement_timeout_ms: u64,
    /// The private server.
    pub embedded: Embedded,
}

impl Database {
    /// [`Database::read_max_lag_ms`] as a duration.
    pub fn read_max_lag(&self) -> Duration {
        Duration::from_millis(self.read_max_lag_ms)
    }

    /// [`Database::statement_timeout_ms`] as a duration.
    pub fn statement_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms)
    }
}

/// The private server of `carrel up`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Embedded {
    /// Folder of its programs.
    pub bin_dir: Option<PathBuf>,
    /// Folder of its data.
    pub data_dir: Option<PathBuf>,
}

/// Redis.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// `None` where PostgreSQL carries the jobs alone.
    #[schemars(with = "Option<String>")]
    pub url: Option<SecretString>,
    /// Authority of the servers' certificates, PEM; `None` is the machine's.
    pub authority: Option<String>,
    /// Login at the sentinels.
    pub sentinel_user: Option<String>,
    /// Password at the sentinels.
    #[schemars(with = "Option<String>")]
    pub sentinel_password: Option<SecretString>,
    /// Put before every key.
    pub prefix: String,
}

/// The object store.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Which one.
    pub kind: StoreKind,
    /// The folder.
    pub path: Option<PathBuf>,
    /// S3 bucket.
    pub bucket: Option<String>,
    /// S3 endpoint, for anything but AWS.
    pub endpoint: Option<String>,
    /// S3 region.
    pub region: String,
    /// S3 credentials.
    #[schemars(with = "Option<String>")]
    pub access_key_id: Option<SecretString>,
    /// S3 credentials.
    #[schemars(with = "Option<String>")]
    pub secret_access_key: Option<SecretString>,
    /// Allow an endpoint without TLS.
    pub allow_http: bool,
    /// Where originals were kept before: `file:///…` or `s3://bucket?…`.
    pub previous: Option<String>,
    /// When what uploads left behind is collected, as cron in UTC.
    pub orphan_schedule: String,
    /// Hours that something may be left over before it is removed.
    pub orphan_grace_hours: u64,
}

/// Where originals are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// A folder of this machine.
    Directory,
    /// A bucket.
    S3,
}

/// Reading originals again.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fixity {
    /// When a check begins, as cron in UTC.
    pub schedule: String,
    /// Days that an original may go without being read again.
    pub period_days: u64,
    /// Bytes read in a second.
    pub bytes_per_second: u64,
}

/// Backups.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// Where they go: `file:///…` or `s3://bucket/prefix?…`.
    pub destination: Option<String>,
    /// S3 credentials.
    #[schemars(with = "Option<String>")]
    pub access_key_id: Option<SecretString>,
    /// S3 credentials.
    #[schemars(with = "Option<String>")]
    pub secret_access_key: Option<SecretString>,
    /// Whom they are encrypted to.
    pub recipient: Option<String>,
    /// What reads them.
    #[schemars(with = "Option<String>")]
    pub identity: Option<SecretString>,
    /// Instead of both.
    #[schemars(with = "Option<String>")]
    pub passphrase: Option<SecretString>,
    /// How the database is copied.
    pub database: BackupMethod,
    /// pgBackRest's name for the cluster.
    pub stanza: Option<String>,
    /// Folder of PostgreSQL's programs.
    pub programs: Option<PathBuf>,
    /// Hours between full backups.
    pub full_hours: u64,
    /// Minutes between incremental ones.
    pub incremental_minutes: Option<u64>,
    /// Hours for which every backup is kept.
    pub keep_hours: u64,
    /// Days for which the last one of each day is kept.
    pub keep_days: u64,
}

/// How the database is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackupMethod {
    /// `base` for the private server, `dump` for another.
    Auto,
    /// pg_dump.
    Dump,
    /// pg_basebackup and the write-ahead log.
    Base,
    /// pgBackRest, into its own repository.
    PgBackRest,
    /// Not by Carrel.
    None,
}

/// Tokens.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// `iss`; the server's address when absent.
    pub issuer: Option<String>,
    /// ES256 private key, PKCS#8 PEM.
    #[schemars(with = "Option<String>")]
    pub signing_key: Option<SecretString>,
    /// Validity of a token in seconds.
    pub token_lifetime_seconds: u64,
}

impl Auth {
    /// [`Auth::token_lifetime_seconds`] as a duration.
    pub fn token_lifetime(&self) -> Duration {
        Duration::from_secs(self.token_lifetime_seconds)
    }
}

/// Models.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inference {
    /// What turns text into vectors.
    pub embedder: Embedder,
    /// What is to take its place; without a provider, nothing.
    pub next: Embedder,
}

/// An embedder as written; which keys a provider takes is the inference crate's to say ([`Embedder::to_json`]).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Embedder {
    /// `builtin`, `ollama`, `openai` or `hashing`.
    pub provider: Option<String>,
    /// Address of the service.
    pub url: Option<String>,
    /// Model name.
    pub model: Option<String>,
    /// Components of a vector.
    pub dimension: Option<usize>,
    /// Bearer token.
    #[schemars(with = "Option<String>")]
    pub api_key: Option<SecretString>,
    /// Tokens the model reads.
    pub max_tokens: Option<usize>,
    /// Longest request in seconds.
    pub timeout_seconds: Option<u64>,
    /// Put before a query.
    pub query_prefix: Option<String>,
    /// Put before a passage.
    pub passage_prefix: Option<String>,
    /// Languages the model knows.
    pub languages: Option<Vec<String>>,
    /// Folder of the built-in model.
    pub model_dir: Option<PathBuf>,
    /// `int8` or `float32`.
    pub precision: Option<String>,
    /// Threads of the built-in engine.
    pub threads: Option<usize>,
}

impl Embedder {
    /// The keys that are set, as one JSON object. **It holds the API key**: pass it on, never print it.
    pub fn to_json(&self) -> serde_json::Value {
        let mut object = serde_json::Map::new();
        let mut set = |key: &str, value: Option<serde_json::Value>| {
            if let Some(value) = value {
                object.insert(key.to_owned(), value);
            }
        };
        set("provider", self.provider.clone().map(Into::into));
        set("url", self.url.clone().map(Into::into));
        set("model", self.model.clone().map(Into::into));
        set("dimension", self.dimension.map(Into::into));
        set("api_key", self.api_key.as_ref().map(|key| key.expose_secret().into()));
        set("max_tokens", self.max_tokens.map(Into::into));
        set("timeout_seconds", self.timeout_seconds.map(Into::into));
        set("query_prefix", self.query_prefix.clone().map(Into::into));
        set("passage_prefix", self.passage_prefix.clone().map(Into::into));
        set("languages", self.languages.clone().map(Into::into));
        set("model_dir", self.model_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned().into()));
        set("precision", self.precision.clone().map(Into::into));
        set("threads", self.threads.map(Into::into));
        serde_json::Value::Object(object)
    }
}

/// The internal endpoint for embedding queries.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ai {
    /// Where it listens.
    pub listen: SocketAddr,
    /// See [`Ai::base_url`].
    pub url: Option<String>,
}

impl Ai {
    /// Where the API finds it, without a slash at the end.
    pub fn base_url(&self) -> String {
        match &self.url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen),
        }
    }
}

/// The job machinery.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    /// Silence after which a job is given to another worker, in seconds.
    pub lease_seconds: u64,
    /// Time for running jobs to end on shutdown, in seconds.
    pub drain_seconds: u64,
    /// How long ended jobs and sent effects are kept, in days.
    pub keep_finished_days: u64,
    /// Effects sent at the same time.
    pub effects_at_once: usize,
    /// Jobs at the same time per queue name.
    pub queues: BTreeMap<String, usize>,
}

impl Jobs {
    /// [`Jobs::lease_seconds`] as a duration.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    /// [`Jobs::keep_finished_days`] as a duration.
    pub fn keep_finished(&self) -> Duration {
        Duration::from_hours(self.keep_finished_days * 24)
    }

    /// [`Jobs::drain_seconds`] as a duration.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

/// Limits of reading one document.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Extract {
    /// Seconds on the clock.
    pub wall_seconds: u64,
    /// Seconds of computing.
    pub cpu_seconds: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of text.
    pub output_bytes: u64,
    /// Bytes of the file.
    pub input_bytes: u64,
    /// Levels of documents within documents.
    pub depth: u32,
    /// Documents directly inside of one document.
    pub children: u32,
    /// Their bytes.
    pub children_bytes: u64,
    /// Documents inside of one upload, at all depths.
    pub descendants: u32,
    /// Members of an archive.
    pub archive_entries: u64,
    /// Bytes that one of them may unpack to.
    pub archive_member_bytes: u64,
    /// Unpacked bytes per packed byte.
    pub archive_ratio: u64,
    /// Pages, slides, sheets, messages.
    pub pages: u32,
    /// Columns of a table.
    pub columns: u32,
    /// Parts of one mail.
    pub mail_parts: u32,
    /// Character recognition.
    pub ocr: Ocr,
}

/// Character recognition.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ocr {
    /// False when pictures are never read.
    pub enabled: bool,
    /// Languages as the program names them, joined by `+`.
    pub languages: Option<String>,
    /// The program; `None` is the system's.
    pub program: Option<PathBuf>,
    /// Seconds for all pictures of one document.
    pub seconds: u64,
}

/// Personal data and credentials.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Screening {
    /// Keys the digests of values; follows from the signing key when absent.
    #[schemars(with = "Option<String>")]
    pub digest_key: Option<SecretString>,
    /// Countries whose national telephone numbers are understood.
    pub regions: Vec<String>,
    /// A collection of breaches.
    pub breaches: Breaches,
}

/// A collection of breached passwords and accounts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Breaches {
    /// Look passwords of data sets up.
    pub passwords: bool,
    /// Look e-mail addresses up.
    pub accounts: bool,
    /// Base of the range API.
    pub range_url: String,
    /// Base of the account API.
    pub account_url: String,
    /// Key of the account API.
    #[schemars(with = "Option<String>")]
    pub key: Option<SecretString>,
    /// Requests for accounts per minute.
    pub accounts_per_minute: u32,
    /// Passwords looked up for one document.
    pub passwords_per_document: u64,
    /// Addresses looked up for one document.
    pub accounts_per_document: usize,
    /// Seconds for one answer.
    pub timeout_seconds: u64,
    /// Hours that answers are kept.
    pub keep_hours: u64,
}

/// Ranking.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Of the ranking by words.
    pub lexical_weight: f32,
    /// Of the ranking by meaning.
    pub vector_weight: f32,
    /// Passages taken from each ranking.
    pub candidates: u32,
}

/// Logs and traces.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// For people or for collectors.
    pub log_format: LogFormat,
    /// EnvFilter syntax.
    pub log_filter: String,
    /// OTLP/HTTP collector, without `/v1/traces`.
    pub otlp_endpoint: Option<String>,
    /// Share of new traces that are recorded.
    pub trace_sample_ratio: f64,
}

/// The shape of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}
