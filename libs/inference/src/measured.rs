//! Figures of every call to a model: how long, how much, how it ended.

use crate::{Embedder, EmbeddingSpace, InferenceError, InputKind};
use async_trait::async_trait;
use std::time::Instant;

const EMBEDDINGS: &str = "embeddings";

/// Measures another embedder. Answers from a cache in front of it are not calls and are not counted.
pub struct MeasuredEmbedder<E> {
    inner: E,
}

impl<E: Embedder> MeasuredEmbedder<E> {
    /// Measures `inner`.
    pub fn new(inner: E) -> Self {
        Self { inner }
    }
}

#[async_trait]
impl<E: Embedder> Embedder for MeasuredEmbedder<E> {
    fn space(&self) -> &EmbeddingSpace {
        self.inner.space()
    }

    async fn embed(&self, inputs: &[String], kind: InputKind) -> Result<Vec<Vec<f32>>, InferenceError> {
        let model = self.inner.space().model.clone();
        let input = match kind {
            InputKind::Query => "query",
            InputKind::Passage => "passage",
        };
        metrics::counter!("carrel_model_inputs_total", "operation" => EMBEDDINGS, "input" => input, "model" => model.clone())
            .increment(inputs.len() as u64);
        let began = Instant::now();
        let answer = self.inner.embed(inputs, kind).await;
        let labels = [
            ("operation", EMBEDDINGS.to_owned()),
            ("input", input.to_owned()),
            ("model", model),
            ("outcome", outcome(&answer).to_owned()),
        ];
        metrics::histogram!("carrel_model_request_duration_seconds", &labels).record(began.elapsed().as_secs_f64());
        answer
    }

    /// A probe, not a call on behalf of anybody.
    async fn check(&self) -> Result<(), InferenceError> {
        self.inner.check().await
    }
}

fn outcome<T>(answer: &Result<T, InferenceError>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(InferenceError::Unavailable { .. }) => "unavailable",
        Err(InferenceError::Refused { .. }) => "refused",
        Err(InferenceError::Protocol { .. }) => "protocol",
        Err(InferenceError::InputTooLarge { .. }) => "too_large",
        Err(InferenceError::ModelFiles { .. } | InferenceError::Configuration { .. }) => "configuration",
    }
}

/// Tokens that a model read; 0 where its provider does not say.
pub(crate) fn count_tokens(model: &str, tokens: u64) {
    if tokens > 0 {
        let labels =
            [("operation", EMBEDDINGS.to_owned()), ("model", model.to_owned()), ("direction", "input".to_owned())];
        metrics::counter!("carrel_model_tokens_total", &labels).increment(tokens);
    }
}
