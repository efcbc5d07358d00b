//! Which embedder to use, as written in the configuration.

use crate::builtin::{BuiltinEmbedder, BuiltinOptions, Precision};
use crate::remote::{OllamaEmbedder, OpenAiEmbedder, RemoteOptions};
use crate::{Embedder, InferenceError, MeasuredEmbedder, hashing::HashingEmbedder};
use carrel_domain::Language;
use secrecy::SecretString;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Longest model input assumed of a remote model when the configuration does not say.
const REMOTE_MAX_TOKENS: usize = 512;

/// One embedder's configuration; `provider` says which.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "provider", rename_all = "snake_case", deny_unknown_fields)]
pub enum EmbedderConfig {
    /// The engine inside this process.
    Builtin {
        /// Directory with `model.safetensors`, `config.json` and `tokenizer.json`.
        #[serde(default)]
        model_dir: Option<PathBuf>,
        /// Arithmetic of the linear layers.
        #[serde(default)]
        precision: Precision,
        /// Computing threads; the machine's cores when absent.
        #[serde(default)]
        threads: Option<usize>,
    },
    /// An Ollama server.
    Ollama {
        /// Address without path, such as `http://localhost:11434`.
        url: String,
        /// Model name as Ollama lists it.
        model: String,
        /// Components of its vectors.
        dimension: usize,
        /// Tokens that the model reads.
        #[serde(default)]
        max_tokens: Option<usize>,
        /// Put before every query.
        #[serde(default)]
        query_prefix: String,
        /// Put before every passage.
        #[serde(default)]
        passage_prefix: String,
        /// Languages that the model knows; empty for all.
        #[serde(default)]
        languages: Vec<Language>,
        /// Longest wait for one answer, in seconds.
        #[serde(default)]
        timeout_seconds: Option<u64>,
    },
    /// A service with OpenAI's `/v1/embeddings`, including our own.
    #[serde(rename = "openai")]
    OpenAi {
        /// Address up to and excluding `/v1`, such as `https://api.openai.com`.
        url: String,
        /// Model name.
        model: String,
        /// Components of its vectors.
        dimension: usize,
        /// Sent as a bearer token.
        #[serde(default)]
        api_key: Option<SecretString>,
        /// Tokens that the model reads.
        #[serde(default)]
        max_tokens: Option<usize>,
        /// Put before every query.
        #[serde(default)]
        query_prefix: String,
        /// Put before every passage.
        #[serde(default)]
        passage_prefix: String,
        /// Languages that the model knows; empty for all.
        #[serde(default)]
        languages: Vec<Language>,
        /// Longest wait for one answer, in seconds.
        #[serde(default)]
        timeout_seconds: Option<u64>,
    },
    /// Bag of hashed words, for tests and trials.
    Hashing {
        /// Components of a vector.
        dimension: usize,
    },
}

impl Default for EmbedderConfig {
    fn default() -> Self {
        Self::Builtin { model_dir: None, precision: Precision::default(), threads: None }
    }
}

/// Opens the configured embedder. Remote services are not contacted: they may start later than we do, and
/// [`Embedder::check`] tells.
///
/// # Errors
/// [`InferenceError::ModelFiles`] or [`InferenceError::Configuration`], each saying what to do.
pub async fn build(config: &EmbedderConfig) -> Result<Arc<dyn Embedder>, InferenceError> {
    match config.clone() {
        EmbedderConfig::Builtin { model_dir, precision, threads } => {
            let Some(model_dir) = model_dir else {
                let detail =
                    "model_dir is not set; `carrel setup` (in a checkout: scripts/setup) installs the model and prints its folder".to_owned();
                return Err(InferenceError::Configuration { detail });
            };
            let mut options = BuiltinOptions::new(model_dir);
            options.precision = precision;
            if let Some(threads) = threads {
                options.threads = threads;
            }
            Ok(Arc::new(MeasuredEmbedder::new(BuiltinEmbedder::load(options).await?)))
        }
        EmbedderConfig::Ollama {
            url,
            model,
            dimension,
            max_tokens,
            query_prefix,
            passage_prefix,
            languages,
            timeout_seconds,
        } => {
            let mut options = RemoteOptions::new(&url, &model, dimension);
            options.space.max_tokens = max_tokens.unwrap_or(REMOTE_MAX_TOKENS);
            options.space.query_prefix = query_prefix;
            options.space.passage_prefix = passage_prefix;
            options.space.languages = languages;
            options.timeout = timeout_seconds.map_or(options.timeout, Duration::from_secs);
            Ok(Arc::new(MeasuredEmbedder::new(OllamaEmbedder::new(options)?)))
        }
        EmbedderConfig::OpenAi {
            url,
            model,
            dimension,
            api_key,
            max_tokens,
            query_prefix,
            passage_prefix,
            languages,
            timeout_seconds,
        } => {
            let mut options = RemoteOptions::new(&url, &model, dimension);
            options.api_key = api_key;
            options.space.max_tokens = max_tokens.unwrap_or(REMOTE_MAX_TOKENS);
            options.space.query_prefix = query_prefix;
            options.space.passage_prefix = passage_prefix;
            options.space.languages = languages;
            options.timeout = timeout_seconds.map_or(options.timeout, Duration::from_secs);
            Ok(Arc::new(MeasuredEmbedder::new(OpenAiEmbedder::new(options)?)))
        }
        EmbedderConfig::Hashing { dimension } => Ok(Arc::new(MeasuredEmbedder::new(HashingEmbedder::new(dimension)))),
    }
}

#[cfg(test)]
mod tests {
    use super::{EmbedderConfig, build};
    use crate::{InferenceError, Precision};

    fn parse(json: &str) -> Result<EmbedderConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn providers_are_told_by_their_tag() {
        let builtin = parse(r#"{"provider":"builtin","precision":"float32","threads":2}"#).unwrap();
        assert!(matches!(builtin, EmbedderConfig::Builtin { precision: Precision::Float32, threads: Some(2), .. }));
        let openai = r#"{"provider":"openai","url":"http://localhost:1","model":"m","dimension":3,"api_key":"k3y"}"#;
        let openai = parse(openai).unwrap();
        assert!(!format!("{openai:?}").contains("k3y"), "a key must not be printed");
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = parse(r#"{"provider":"builtin","thread":2}"#).unwrap_err().to_string();
        assert!(error.contains("thread"), "{error}");
        assert!(parse(r#"{"provider":"magic"}"#).is_err());
    }

    #[tokio::test]
    async fn a_missing_model_says_what_to_do() {
        let unset = build(&EmbedderConfig::default()).await.err().unwrap();
        assert!(matches!(unset, InferenceError::Configuration { .. }));
        assert!(unset.to_string().contains("scripts/setup"));

        let config = parse(r#"{"provider":"builtin","model_dir":"/nonexistent"}"#).unwrap();
        let missing = build(&config).await.err().unwrap();
        assert!(matches!(missing, InferenceError::ModelFiles { .. }));
        assert!(missing.to_string().contains("scripts/setup"));
        assert!(!missing.is_retryable());
    }
}
