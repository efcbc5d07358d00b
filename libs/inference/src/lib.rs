//! Turns text into embeddings: the built-in CPU engine, Ollama, and OpenAI-compatible services behind one trait.
//!
//! Invariants:
//! - an embedder never answers a vector of another length than its space's dimension, and never one that is not
//!   L2-normalised;
//! - nothing is ever downloaded: the built-in engine reads model files from a directory that the caller names;
//! - the built-in engine never computes on an async thread;
//! - text, vectors and keys never reach a log line or an error.
//!
//! ```
//! use carrel_inference::{Embedder, InputKind, hashing::HashingEmbedder};
//!
//! # async fn example() -> Result<(), carrel_inference::InferenceError> {
//! let embedder = HashingEmbedder::new(64);
//! let vectors = embedder.embed(&["a quiet desk".to_owned()], InputKind::Passage).await?;
//! assert_eq!(vectors[0].len(), embedder.space().dimension);
//! # Ok(())
//! # }
//! ```

pub mod builtin;
mod cached;
mod config;
mod embedding;
mod error;
pub mod hashing;
mod measured;
mod remote;
pub mod wire;

pub use builtin::{BuiltinEmbedder, BuiltinOptions, Precision};
pub use cached::CachedEmbedder;
pub use config::{EmbedderConfig, build};
pub use embedding::{Embedder, EmbeddingSpace, InputKind, MAX_INPUT_BYTES};
pub use error::InferenceError;
pub use measured::MeasuredEmbedder;
pub use remote::{OllamaEmbedder, OpenAiEmbedder, RemoteOptions};
