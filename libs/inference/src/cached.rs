//! Remembers the vectors of queries.

use crate::{Embedder, EmbeddingSpace, InferenceError, InputKind};
use async_trait::async_trait;
use moka::future::Cache;
use std::sync::Arc;

/// Bytes that an entry costs beside its text and vector.
const ENTRY_OVERHEAD: usize = 128;

/// Answers repeated single queries from memory. Queries asked at the same time by several callers are embedded
/// once. Passages and lists are passed through: they come once.
pub struct CachedEmbedder<E> {
    inner: E,
    queries: Cache<String, Arc<Vec<f32>>>,
}

impl<E: Embedder> CachedEmbedder<E> {
    /// Keeps at most about `capacity_bytes` of texts and vectors.
    pub fn new(inner: E, capacity_bytes: u64) -> Self {
        let queries = Cache::builder()
            .max_capacity(capacity_bytes)
            .weigher(|text: &String, vector: &Arc<Vec<f32>>| {
                let bytes = text.len() + vector.len() * size_of::<f32>() + ENTRY_OVERHEAD;
                u32::try_from(bytes).unwrap_or(u32::MAX)
            })
            .build();
        Self { inner, queries }
    }
}

#[async_trait]
impl<E: Embedder> Embedder for CachedEmbedder<E> {
    fn space(&self) -> &EmbeddingSpace {
        self.inner.space()
    }

    async fn embed(&self, inputs: &[String], kind: InputKind) -> Result<Vec<Vec<f32>>, InferenceError> {
        let (InputKind::Query, [query]) = (kind, inputs) else {
            return self.inner.embed(inputs, kind).await;
        };
        let embed = async {
            let mut vectors = self.inner.embed(inputs, kind).await?;
            vectors.pop().map(Arc::new).ok_or_else(|| InferenceError::Protocol {
                provider: self.inner.space().name.clone(),
                detail: "no vector for the query".to_owned(),
            })
        };
        let vector = self.queries.try_get_with_by_ref(query, embed).await.map_err(|error| shared(&error))?;
        Ok(vec![vector.as_ref().clone()])
    }

    /// Asks the inner embedder: a remembered vector would hide that it has gone.
    async fn check(&self) -> Result<(), InferenceError> {
        self.inner.check().await
    }
}

/// Several callers may wait for the one failed computation; each gets its own copy of the error.
fn shared(error: &Arc<InferenceError>) -> InferenceError {
    match error.as_ref() {
        InferenceError::Unavailable { provider, detail, retry_after } => InferenceError::Unavailable {
            provider: provider.clone(),
            detail: detail.clone(),
            retry_after: *retry_after,
        },
        InferenceError::Refused { provider, status, detail } => {
            InferenceError::Refused { provider: provider.clone(), status: *status, detail: detail.clone() }
        }
        InferenceError::Protocol { provider, detail } => {
            InferenceError::Protocol { provider: provider.clone(), detail: detail.clone() }
        }
        InferenceError::ModelFiles { path, detail } => {
            InferenceError::ModelFiles { path: path.clone(), detail: detail.clone() }
        }
        InferenceError::InputTooLarge { bytes, limit } => {
            InferenceError::InputTooLarge { bytes: *bytes, limit: *limit }
        }
        InferenceError::Configuration { detail } => InferenceError::Configuration { detail: detail.clone() },
    }
}
