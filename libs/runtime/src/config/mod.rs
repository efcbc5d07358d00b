//! Layered configuration.
//!
//! ```
//! use carrel_runtime::config::{Settings, Sources};
//!
//! # fn main() -> Result<(), carrel_runtime::config::ConfigError> {
//! let sources = Sources::none().with_variable("CARREL__SERVER__LISTEN", "0.0.0.0:9000");
//! let settings = Settings::load(&sources)?;
//! assert_eq!(settings.server.listen.port(), 9000);
//! # Ok(())
//! # }
//! ```

mod error;
mod layers;
mod schema;
mod sections;
mod show;
mod sources;
#[cfg(test)]
mod tests;
mod unknown;
mod validate;

pub use error::ConfigError;
pub use sections::{
    Ai, Auth, Backup, BackupMethod, Breaches, Database, Embedded, Embedder, Extract, Fixity, Inference, Jobs,
    LogFormat, Ocr, Redis, Screening, Search, Server, Store, StoreKind, Telemetry,
};
pub use sources::Sources;

use config::Value;
use schemars::JsonSchema;
use serde::Deserialize;

/// The built-in defaults, which are also the documentation of every key.
pub const BASE: &str = include_str!("../../../../config/base.yaml");

/// The keys whose values are never shown; of an address, only the password is hidden.
const SECRETS: [&str; 16] = [
    "database.url",
    "database.read_url",
    "database.admin_url",
    "redis.url",
    "redis.sentinel_password",
    "store.access_key_id",
    "store.secret_access_key",
    "backup.access_key_id",
    "backup.secret_access_key",
    "backup.identity",
    "backup.passphrase",
    "auth.signing_key",
    "inference.embedder.api_key",
    "screening.digest_key",
    "screening.breaches.key",
    "inference.next.api_key",
];

/// Everything that can be configured. `config/base.yaml` says what each key means.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// HTTP.
    pub server: Server,
    /// PostgreSQL.
    pub database: Database,
    /// Redis, where there is one.
    pub redis: Redis,
    /// The object store.
    pub store: Store,
    /// Reading originals again.
    pub fixity: Fixity,
    /// Backups.
    pub backup: Backup,
    /// Tokens.
    pub auth: Auth,
    /// Models.
    pub inference: Inference,
    /// The internal endpoint for embedding queries.
    pub ai: Ai,
    /// The job machinery.
    pub jobs: Jobs,
    /// Limits of reading one document.
    pub extract: Extract,
    /// Personal data and credentials.
    pub screening: Screening,
    /// Ranking.
    pub search: Search,
    /// Logs and traces.
    pub telemetry: Telemetry,
    #[serde(skip)]
    merged: Merged,
}

/// The layers as one tree, with the origin of each value. It holds secrets in the clear, so it does not print itself.
#[derive(Clone, Default)]
struct Merged(Value);

impl std::fmt::Debug for Merged {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Merged")
    }
}

impl Settings {
    /// Reads every layer, refuses unknown keys and values that cannot be meant.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let merged = layers::merge(sources)?;
        let mut settings: Self = merged.clone().try_deserialize().map_err(ConfigError::value)?;
        settings.merged = Merged(merged);
        settings.validate()?;
        Ok(settings)
    }

    /// The built-in defaults.
    pub fn defaults() -> Result<Self, ConfigError> {
        Self::load(&Sources::none())
    }

    /// The JSON Schema (draft 2020-12) of a configuration file, for editors and for checks before a roll-out.
    pub fn json_schema() -> Result<serde_json::Value, ConfigError> {
        schema::json_schema()
    }

    /// What is in force, as YAML with the origin of each value that is not a default. Secrets are hidden.
    pub fn redacted_yaml(&self) -> String {
        show::redacted_yaml(&self.merged.0)
    }
}
