//! The cache of query vectors.

use async_trait::async_trait;
use carrel_inference::hashing::HashingEmbedder;
use carrel_inference::{CachedEmbedder, Embedder, EmbeddingSpace, InferenceError, InputKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting {
    inner: HashingEmbedder,
    calls: Arc<AtomicUsize>,
    fail_first: bool,
}

#[async_trait]
impl Embedder for Counting {
    fn space(&self) -> &EmbeddingSpace {
        self.inner.space()
    }

    async fn embed(&self, inputs: &[String], kind: InputKind) -> Result<Vec<Vec<f32>>, InferenceError> {
        let earlier = self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if self.fail_first && earlier == 0 {
            let (provider, detail) = ("test".to_owned(), "starting".to_owned());
            return Err(InferenceError::Unavailable { provider, detail, retry_after: None });
        }
        self.inner.embed(inputs, kind).await
    }
}

fn counting(fail_first: bool) -> (CachedEmbedder<Counting>, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let inner = Counting { inner: HashingEmbedder::new(8), calls: Arc::clone(&calls), fail_first };
    (CachedEmbedder::new(inner, 1 << 20), calls)
}

#[tokio::test]
async fn a_query_is_embedded_once_however_many_ask() {
    let (cached, calls) = counting(false);
    let query = ["who signed".to_owned()];
    let (first, second) = tokio::join!(cached.embed(&query, InputKind::Query), cached.embed(&query, InputKind::Query));
    assert_eq!(first.unwrap(), second.unwrap());
    cached.embed(&query, InputKind::Query).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn passages_lists_and_checks_are_not_remembered() {
    let (cached, calls) = counting(false);
    let text = ["who signed".to_owned()];
    for _ in 0..2 {
        cached.embed(&text, InputKind::Passage).await.unwrap();
        cached.check().await.unwrap();
    }
    assert_eq!(calls.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn failures_are_not_remembered() {
    let (cached, _) = counting(true);
    let query = ["who signed".to_owned()];
    assert!(cached.embed(&query, InputKind::Query).await.unwrap_err().is_retryable());
    assert_eq!(cached.embed(&query, InputKind::Query).await.unwrap().len(), 1);
}
