//! Why a bundle could not be written or read at all.

/// Errors of bundles. What reads but does not agree is a [`Fault`](crate::Fault), not an error.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The contents do not fit the format.
    #[error("{0} is too large for a bundle (4 GiB at most)")]
    TooLarge(String),
    /// A value could not be written as JSON.
    #[error("{what} cannot be written: {source}")]
    Json {
        /// Which part.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// The bytes are no bundle.
    #[error("byte {offset}: {problem}")]
    Malformed {
        /// Where reading stopped.
        offset: u64,
        /// What was expected there.
        problem: String,
    },
    /// A receipt that is none, or was changed.
    #[error("the receipt does not hold: {0}")]
    Receipt(String),
    /// A key that is no Ed25519 key.
    #[error("the key is not an Ed25519 key: {0}")]
    Key(String),
}
