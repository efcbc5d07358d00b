//! Ollama's `POST /api/embed` (Ollama API documentation, "Generate Embeddings").

use super::http::{Endpoint, RemoteOptions};
use crate::embedding::check_inputs;
use crate::measured::count_tokens;
use crate::{Embedder, EmbeddingSpace, InferenceError, InputKind};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// Embeds by an Ollama server.
pub struct OllamaEmbedder {
    endpoint: Endpoint,
}

#[derive(Serialize)]
struct EmbedRequest<'a> {
    model: &'a str,
    input: Vec<String>,
    truncate: bool,
}

#[derive(Deserialize)]
struct EmbedResponse {
    embeddings: Vec<Vec<f32>>,
    /// Tokens read; older servers do not say.
    #[serde(default)]
    prompt_eval_count: u64,
}

impl OllamaEmbedder {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// [`InferenceError::Configuration`] for an unusable address or dimension.
    pub fn new(options: RemoteOptions) -> Result<Self, InferenceError> {
        Ok(Self { endpoint: Endpoint::new("api/embed", options)? })
    }
}

#[async_trait]
impl Embedder for OllamaEmbedder {
    fn space(&self) -> &EmbeddingSpace {
        self.endpoint.space()
    }

    async fn embed(&self, inputs: &[String], kind: InputKind) -> Result<Vec<Vec<f32>>, InferenceError> {
        check_inputs(inputs)?;
        let space = self.endpoint.space();
        let mut vectors = Vec::with_capacity(inputs.len());
        for batch in self.endpoint.batches(inputs) {
            let input = batch.iter().map(|text| format!("{}{text}", space.prefix(kind))).collect();
            let request = EmbedRequest { model: &space.model, input, truncate: true };
            let answer: EmbedResponse = self.endpoint.post(&request, batch.len()).await?;
            count_tokens(&space.model, answer.prompt_eval_count);
            vectors.extend(self.endpoint.checked(answer.embeddings, batch.len())?);
        }
        Ok(vectors)
    }
}
