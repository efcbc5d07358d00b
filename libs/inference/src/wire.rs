//! Request and answer of `POST /v1/embeddings`, for the client here and for a service that answers it.
//!
//! The format is OpenAI's (API reference, "Create embeddings") with one extension, `input_type`, that other
//! services ignore.

use crate::{EmbeddingSpace, InputKind};
use serde::{Deserialize, Serialize};

/// Body of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingsRequest {
    /// The model or embedding space asked for.
    pub model: String,
    /// What to embed.
    pub input: EmbeddingsInput,
    /// `float` (the default) or `base64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding_format: Option<EncodingFormat>,
    /// Our extension: what the inputs are; passages when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_type: Option<InputKind>,
}

impl EmbeddingsRequest {
    /// The inputs as a list, however they were sent.
    pub fn into_inputs(self) -> Vec<String> {
        match self.input {
            EmbeddingsInput::One(text) => vec![text],
            EmbeddingsInput::Many(texts) => texts,
        }
    }
}

/// One text or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EmbeddingsInput {
    /// A single text.
    One(String),
    /// Several texts.
    Many(Vec<String>),
}

/// How vectors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncodingFormat {
    /// JSON numbers.
    Float,
    /// Base64 of little-endian 32-bit floats.
    Base64,
}

/// Body of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingsResponse {
    /// Always `list`.
    #[serde(default)]
    pub object: String,
    /// One entry per input.
    pub data: Vec<EmbeddingEntry>,
    /// What embedded them.
    #[serde(default)]
    pub model: String,
    /// What was counted.
    #[serde(default)]
    pub usage: EmbeddingsUsage,
}

impl EmbeddingsResponse {
    /// An answer in the order of the inputs, named after `space`, so that a client can refuse another space's
    /// vectors.
    pub fn new(space: &EmbeddingSpace, vectors: Vec<Vec<f32>>) -> Self {
        let data = vectors
            .into_iter()
            .enumerate()
            .map(|(index, embedding)| EmbeddingEntry { object: "embedding".to_owned(), index, embedding })
            .collect();
        Self { object: "list".to_owned(), data, model: space.name.clone(), usage: EmbeddingsUsage::default() }
    }
}

/// One vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingEntry {
    /// Always `embedding`.
    #[serde(default)]
    pub object: String,
    /// Which input it belongs to, from 0.
    pub index: usize,
    /// Its components.
    pub embedding: Vec<f32>,
}

/// Tokens counted; zero where a service does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingsUsage {
    /// Tokens of the inputs.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// The same number again.
    #[serde(default)]
    pub total_tokens: u64,
}
