//! The embedder trait and what it says about its vectors.

use crate::InferenceError;
use async_trait::async_trait;
use carrel_domain::Language;
use serde::{Deserialize, Serialize};

/// Longest single input in bytes of UTF-8; callers split text into passages long before this.
pub const MAX_INPUT_BYTES: usize = 1 << 20;

/// A set of vectors that may be compared with one another. Two embedders with the same `name` answer the same
/// vectors (up to rounding) for the same text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingSpace {
    /// Stable id, such as `all-MiniLM-L6-v2/int8`.
    pub name: String,
    /// The model as its provider calls it.
    pub model: String,
    /// Components of a vector.
    pub dimension: usize,
    /// Tokens that the model reads; the rest of an input is ignored.
    pub max_tokens: usize,
    /// Put before every query by the embedder itself.
    pub query_prefix: String,
    /// Put before every passage by the embedder itself.
    pub passage_prefix: String,
    /// Languages that the model knows; empty means all.
    pub languages: Vec<Language>,
}

impl EmbeddingSpace {
    /// True when text in `language` may be embedded with a meaningful result; undetermined text may.
    pub fn knows(&self, language: Language) -> bool {
        self.languages.is_empty() || language == Language::UNDETERMINED || self.languages.contains(&language)
    }

    /// The prefix for inputs of `kind`.
    pub fn prefix(&self, kind: InputKind) -> &str {
        match kind {
            InputKind::Query => &self.query_prefix,
            InputKind::Passage => &self.passage_prefix,
        }
    }
}

/// What an input is to the search: some models embed the two differently, and queries overtake passages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    /// A question or search words.
    Query,
    /// A piece of a document.
    Passage,
}

/// Something that embeds text.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// The space of the answered vectors.
    fn space(&self) -> &EmbeddingSpace;

    /// One L2-normalised vector of `space().dimension` components per input, in the order of the inputs.
    ///
    /// # Errors
    /// Any [`InferenceError`]; none of the inputs is answered then.
    async fn embed(&self, inputs: &[String], kind: InputKind) -> Result<Vec<Vec<f32>>, InferenceError>;

    /// Embeds a short probe, to tell whether the embedder would answer now.
    ///
    /// # Errors
    /// As [`Embedder::embed`].
    async fn check(&self) -> Result<(), InferenceError> {
        self.embed(&["ready".to_owned()], InputKind::Query).await.map(|_| ())
    }
}

#[async_trait]
impl<E: Embedder + ?Sized> Embedder for std::sync::Arc<E> {
    fn space(&self) -> &EmbeddingSpace {
        (**self).space()
    }

    async fn embed(&self, inputs: &[String], kind: InputKind) -> Result<Vec<Vec<f32>>, InferenceError> {
        (**self).embed(inputs, kind).await
    }

    async fn check(&self) -> Result<(), InferenceError> {
        (**self).check().await
    }
}

/// Refuses inputs that no implementation should have to read.
pub(crate) fn check_inputs(inputs: &[String]) -> Result<(), InferenceError> {
    match inputs.iter().map(String::len).max() {
        Some(bytes) if bytes > MAX_INPUT_BYTES => Err(InferenceError::InputTooLarge { bytes, limit: MAX_INPUT_BYTES }),
        _ => Ok(()),
    }
}

/// Scales to unit length in place; a zero vector stays zero.
pub(crate) fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        for x in vector {
            *x /= length;
        }
    }
}
