//! Our source of jobs as an apalis backend: an inbox that the fetcher fills with claimed jobs.

use crate::claims::Hold;
use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::worker::context::WorkerContext;
use carrel_storage::jobs::ClaimedJob;
use futures::task::AtomicWaker;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower::layer::util::Identity;

/// A claimed job on its way to its handler, with its slot.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) job: ClaimedJob,
    pub(crate) hold: Hold,
    pub(crate) slot: OwnedSemaphorePermit,
}

/// Claimed jobs that have not started. Never longer than the queue's free slots.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    waiting: Mutex<VecDeque<Delivery>>,
    waker: AtomicWaker,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Delivery>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, deliveries: impl IntoIterator<Item = Delivery>) {
        self.lock().extend(deliveries);
        self.waker.wake();
    }

    pub(crate) fn take_all(&self) -> Vec<Delivery> {
        self.lock().drain(..).collect()
    }
}

/// What apalis polls. It never fails: trouble with PostgreSQL or Redis is the fetcher's, and waits there.
#[derive(Debug)]
pub(crate) struct JobSource {
    inbox: Arc<Inbox>,
    /// Cancelled when the fetcher has given back what was not started.
    fetcher_done: CancellationToken,
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl JobSource {
    pub(crate) fn new(inbox: Arc<Inbox>, fetcher_done: CancellationToken) -> Self {
        Self { inbox, fetcher_done, closing: None }
    }
}

impl Backend for JobSource {
    type Task = Task<Delivery>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Option<Result<Self::Task, Infallible>>> {
        // Registered before looking, so that what is put in between is not overlooked.
        self.inbox.waker.register(cx.waker());
        match self.inbox.lock().pop_front() {
            Some(delivery) => Poll::Ready(Some(Ok(TaskBuilder::new(delivery).build()))),
            None => Poll::Pending,
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        let done = &self.fetcher_done;
        let closing = self.closing.get_or_insert_with(|| Box::pin(done.clone().cancelled_owned()));
        closing.as_mut().poll(cx).map(Ok)
    }
}

impl BackendConfig for JobSource {
    type Args = Delivery;
    type Id = ();
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &Self::Config {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Self::Layer {
        Identity::new()
    }
}
