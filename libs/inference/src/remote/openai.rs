//! OpenAI's `POST /v1/embeddings`, as many servers and our own AI service answer it.

use super::http::{Endpoint, RemoteOptions};
use crate::embedding::check_inputs;
use crate::measured::count_tokens;
use crate::wire::{EmbeddingsInput, EmbeddingsRequest, EmbeddingsResponse, EncodingFormat};
use crate::{Embedder, EmbeddingSpace, InferenceError, InputKind};
use async_trait::async_trait;

/// Embeds by an OpenAI-compatible service.
pub struct OpenAiEmbedder {
    endpoint: Endpoint,
    carrel: bool,
}

impl OpenAiEmbedder {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// [`InferenceError::Configuration`] for an unusable address or dimension.
    pub fn new(options: RemoteOptions) -> Result<Self, InferenceError> {
        Ok(Self { endpoint: Endpoint::new("v1/embeddings", options)?, carrel: false })
    }

    /// A client for Carrel's own AI service. It is told queries from passages (other services may refuse fields that
    /// they do not know), and its answer must name `options.space.name`: during a change of model the two processes
    /// may disagree for a while, and vectors of another space must not be compared.
    ///
    /// # Errors
    /// As [`OpenAiEmbedder::new`].
    pub fn for_carrel(options: RemoteOptions) -> Result<Self, InferenceError> {
        Ok(Self { carrel: true, ..Self::new(options)? })
    }
}

#[async_trait]
impl Embedder for OpenAiEmbedder {
    fn space(&self) -> &EmbeddingSpace {
        self.endpoint.space()
    }

    async fn embed(&self, inputs: &[String], kind: InputKind) -> Result<Vec<Vec<f32>>, InferenceError> {
        check_inputs(inputs)?;
        let space = self.endpoint.space();
        let mut vectors = Vec::with_capacity(inputs.len());
        for batch in self.endpoint.batches(inputs) {
            let texts = batch.iter().map(|text| format!("{}{text}", space.prefix(kind))).collect();
            let request = EmbeddingsRequest {
                model: space.model.clone(),
                input: EmbeddingsInput::Many(texts),
                encoding_format: Some(EncodingFormat::Float),
                input_type: self.carrel.then_some(kind),
            };
            let answer: EmbeddingsResponse = self.endpoint.post(&request, batch.len()).await?;
            if self.carrel && answer.model != space.name {
                let found: String = answer.model.chars().take(80).collect();
                let detail = format!("vectors are of space {found}, wanted {}", space.name);
                return Err(self.endpoint.protocol(detail));
            }
            count_tokens(&space.model, answer.usage.prompt_tokens);
            let ordered = self.in_order(answer, batch.len())?;
            vectors.extend(self.endpoint.checked(ordered, batch.len())?);
        }
        Ok(vectors)
    }
}

impl OpenAiEmbedder {
    /// Entries carry their position, and not every server keeps the order.
    fn in_order(&self, answer: EmbeddingsResponse, inputs: usize) -> Result<Vec<Vec<f32>>, InferenceError> {
        let mut vectors = vec![Vec::new(); inputs];
        if answer.data.len() != inputs {
            return Err(self.endpoint.protocol(format!("{} vectors for {inputs} inputs", answer.data.len())));
        }
        for entry in answer.data {
            match vectors.get_mut(entry.index) {
                Some(place) if place.is_empty() => *place = entry.embedding,
                _ => {
                    return Err(self.endpoint.protocol(format!("entry {} is doubled or out of range", entry.index)));
                }
            }
        }
        Ok(vectors)
    }
}
