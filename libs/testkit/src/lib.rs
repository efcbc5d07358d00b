//! The whole of Carrel inside of one test: its own database, a store in a temporary folder, the API on a free port and a
//! worker with every handler. For tests only.
//!
//! Invariants: nothing is simulated but the embedding model, which hashes words; no test sees another's rows or files; a
//! test that leaves jobs behind, or whose jobs failed without its saying so, fails when its [`TestApp`] is dropped; never
//! a pause of fixed length, only conditions with a deadline.
//!
//! ```no_run
//! # async fn example() {
//! use carrel_testkit::TestApp;
//!
//! let app = TestApp::start().await;
//! let client = app.client(carrel_domain::Scopes::all()).await;
//! let collection = client.collection("harbour").await;
//! client.upload(collection, "gate.md", "# Gate\n\nThe gate closes in ninety seconds.").await;
//! app.idle().await;
//! assert_eq!(client.find("gate").await.hits.len(), 1);
//! # }
//! ```

#![expect(clippy::unwrap_used, reason = "what only tests use may stop a test")]
#![expect(clippy::disallowed_methods, reason = "tests make their own ids and look at the real clock")]

mod app;
mod client;
mod database;

pub use app::{Setup, TestApp};
pub use carrel_extract::OcrConfig;
pub use client::{Client, Event, events, problem};
pub use database::{Held, TestDatabase};

use std::time::{Duration, Instant};

/// How long a condition may take to come true.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until `condition` answers something, [`DEADLINE`] at most.
pub async fn until<T>(what: &str, condition: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(DEADLINE, what, condition).await
}

/// Waits until `condition` answers something, `deadline` at most.
pub async fn until_within<T>(deadline: Duration, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
