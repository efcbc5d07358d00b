//! Computing threads with two lines: queries go before passages.

use crate::{InferenceError, InputKind};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

type Work<S> = Box<dyn FnOnce(&mut S) + Send>;

/// Threads that each own an `S` and run closures on it. Dropping stops them after the work in hand; waiting work is
/// dropped, and whoever waits for it gets an error.
pub(super) struct Workers<S> {
    lines: Arc<Lines<S>>,
}

struct Lines<S> {
    waiting: Mutex<Waiting<S>>,
    changed: Condvar,
}

struct Waiting<S> {
    queries: VecDeque<Work<S>>,
    passages: VecDeque<Work<S>>,
    closed: bool,
}

impl<S> Lines<S> {
    fn lock(&self) -> MutexGuard<'_, Waiting<S>> {
        // Nothing panics while the lock is held, so a poisoned lock still guards whole queues.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Work<S>> {
        let mut waiting = self.lock();
        loop {
            if waiting.closed {
                return None;
            }
            if let Some(work) = waiting.queries.pop_front().or_else(|| waiting.passages.pop_front()) {
                return Some(work);
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<S: 'static> Workers<S> {
    /// Starts `threads` threads (at least one); `make` runs on each of them.
    pub(super) fn start(threads: usize, make: fn() -> S) -> Result<Self, InferenceError> {
        let waiting = Waiting { queries: VecDeque::new(), passages: VecDeque::new(), closed: false };
        let workers = Self { lines: Arc::new(Lines { waiting: Mutex::new(waiting), changed: Condvar::new() }) };
        for index in 0..threads.max(1) {
            let lines = Arc::clone(&workers.lines);
            std::thread::Builder::new()
                .name(format!("embed-{index}"))
                .spawn(move || serve(&lines, make))
                .map_err(|error| InferenceError::Configuration { detail: format!("threads: cannot start: {error}") })?;
        }
        Ok(workers)
    }

    /// Puts `work` in line and answers at once; it is skipped when the receiver is gone by its turn.
    pub(super) fn run<T: Send + 'static>(
        &self,
        kind: InputKind,
        work: impl FnOnce(&mut S) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (sender, receiver) = oneshot::channel();
        let work: Work<S> = Box::new(move |state| {
            if !sender.is_closed() {
                // A receiver that has just gone away wants no answer.
                let _ = sender.send(work(state));
            }
        });
        let mut waiting = self.lines.lock();
        match kind {
            InputKind::Query => waiting.queries.push_back(work),
            InputKind::Passage => waiting.passages.push_back(work),
        }
        drop(waiting);
        self.lines.changed.notify_one();
        receiver
    }

    /// Waits for the answer to [`Workers::run`].
    pub(super) async fn answer<T>(&self, receiver: oneshot::Receiver<T>) -> Result<T, InferenceError> {
        receiver.await.map_err(|_| InferenceError::Unavailable {
            provider: "the built-in model".to_owned(),
            detail: "the computation broke off".to_owned(),
            retry_after: None,
        })
    }
}

impl<S> Drop for Workers<S> {
    fn drop(&mut self) {
        let mut waiting = self.lines.lock();
        waiting.closed = true;
        waiting.queries.clear();
        waiting.passages.clear();
        drop(waiting);
        self.lines.changed.notify_all();
    }
}

fn serve<S>(lines: &Lines<S>, make: fn() -> S) {
    // The multiplication library asks for the current pool's threads. A pool of this one thread keeps each batch on
    // its own core, which is faster than splitting every multiplication and leaves nothing to wait for.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
    if let Err(error) = pool {
        tracing::warn!(%error, "embedding thread without its own pool");
    }
    let mut state = make();
    while let Some(work) = lines.next() {
        if catch_unwind(AssertUnwindSafe(|| work(&mut state))).is_err() {
            tracing::error!("an embedding computation panicked");
            state = make();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Workers;
    use crate::InputKind::{Passage, Query};
    use std::sync::mpsc;

    #[tokio::test]
    async fn queries_overtake_passages() {
        let workers = Workers::start(1, || ()).unwrap();
        let (release, released) = mpsc::channel::<()>();
        let (order, seen) = mpsc::channel();
        let first = workers.run(Passage, move |()| released.recv());
        let mark = |name: &'static str| {
            let order = order.clone();
            move |(): &mut ()| order.send(name)
        };
        let passage = workers.run(Passage, mark("passage"));
        let query = workers.run(Query, mark("query"));
        release.send(()).unwrap();
        workers.answer(first).await.unwrap().unwrap();
        workers.answer(passage).await.unwrap().unwrap();
        workers.answer(query).await.unwrap().unwrap();
        assert_eq!((seen.recv(), seen.recv()), (Ok("query"), Ok("passage")));
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_thread_lives_on() {
        let workers = Workers::start(1, || ()).unwrap();
        let broken = workers.run(Query, |()| assert_eq!(1, 2));
        assert!(workers.answer(broken).await.unwrap_err().is_retryable());
        let next = workers.run(Query, |()| 7);
        assert_eq!(workers.answer(next).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn abandoned_work_is_skipped() {
        let workers = Workers::start(1, || 0).unwrap();
        let (release, released) = mpsc::channel::<()>();
        let first = workers.run(Query, move |_| released.recv());
        drop(workers.run(Query, |count| *count += 1));
        release.send(()).unwrap();
        workers.answer(first).await.unwrap().unwrap();
        let count = workers.run(Query, |count| *count);
        assert_eq!(workers.answer(count).await.unwrap(), 0);
    }
}
