//! What can go wrong when text is embedded.

use std::path::PathBuf;
use std::time::Duration;

/// Why no vectors were answered.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// The provider cannot be reached, is overloaded, is too slow or failed; trying later may help.
    #[error("{provider} is not available: {detail}")]
    Unavailable {
        /// Which embedder.
        provider: String,
        /// What was seen.
        detail: String,
        /// How long the provider asked to wait.
        retry_after: Option<Duration>,
    },
    /// The provider understood the request and refused it; the same request will be refused again.
    #[error("{provider} refused the request with status {status}: {detail}")]
    Refused {
        /// Which embedder.
        provider: String,
        /// HTTP status.
        status: u16,
        /// The provider's own words, shortened.
        detail: String,
    },
    /// The provider answered something that is not what its protocol promises.
    #[error("{provider} answered outside its protocol: {detail}")]
    Protocol {
        /// Which embedder.
        provider: String,
        /// What is wrong with the answer.
        detail: String,
    },
    /// A file of the built-in model is missing or unusable.
    #[error("model file {}: {detail}", path.display())]
    ModelFiles {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong and what to do about it.
        detail: String,
    },
    /// An input is longer than any passage may be.
    #[error("an input has {bytes} bytes, the limit is {limit}")]
    InputTooLarge {
        /// Its length in bytes.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// The configuration cannot be used.
    #[error("embedder configuration: {detail}")]
    Configuration {
        /// Which key and why.
        detail: String,
    },
}

impl InferenceError {
    /// True when the same call may succeed later without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// How long the provider asked to wait, when it did.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
