//! Handlers by kind.

use crate::context::{Completed, JobContext};
use crate::error::JobError;
use async_trait::async_trait;
use carrel_domain::job::JobKind;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

/// Runs jobs of kind `K`.
///
/// It may run more than once for one job, so everything it does must go through [`JobContext::complete`] or be harmless
/// when repeated. It should watch [`JobContext::cancellation`] when it takes long.
#[async_trait]
pub trait Handler<K: JobKind>: Send + Sync + 'static {
    /// One attempt.
    async fn run(&self, cx: &JobContext, payload: K) -> Result<Completed, JobError>;
}

/// A handler whose kind has been forgotten.
#[async_trait]
pub(crate) trait AnyHandler: Send + Sync + 'static {
    async fn run(&self, cx: &JobContext) -> Result<Completed, JobError>;
}

struct Typed<K, H> {
    handler: H,
    kind: PhantomData<fn() -> K>,
}

#[async_trait]
impl<K: JobKind, H: Handler<K>> AnyHandler for Typed<K, H> {
    async fn run(&self, cx: &JobContext) -> Result<Completed, JobError> {
        let payload = serde_json::from_value(cx.job().payload.clone())
            .map_err(|error| JobError::fail("payload_unreadable", format!("the payload is no {}: {error}", K::KIND)))?;
        self.handler.run(cx, payload).await
    }
}

/// Every kind that a worker knows.
#[derive(Clone, Default)]
pub(crate) struct Handlers {
    by_kind: HashMap<&'static str, (i16, Arc<dyn AnyHandler>)>,
}

impl Handlers {
    /// False when the kind has a handler already.
    pub(crate) fn add<K: JobKind>(&mut self, handler: impl Handler<K>) -> bool {
        let handler: Arc<dyn AnyHandler> = Arc::new(Typed { handler, kind: PhantomData::<fn() -> K> });
        self.by_kind.insert(K::KIND, (K::PAYLOAD_VERSION, handler)).is_none()
    }

    pub(crate) fn get(&self, kind: &str) -> Option<&Arc<dyn AnyHandler>> {
        self.by_kind.get(kind).map(|(_, handler)| handler)
    }

    pub(crate) fn versions(&self) -> Vec<(String, i16)> {
        self.by_kind.iter().map(|(kind, (version, _))| ((*kind).to_owned(), *version)).collect()
    }
}
