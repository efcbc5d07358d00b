//! Runs background jobs: the only apalis and Redis.
//!
//! PostgreSQL decides, a transport carries hints, apalis runs. A job is claimed with a random token and completed with
//! it in the transaction that holds what the job did, so nothing is lost when a worker, Redis or PostgreSQL stops, and
//! nothing takes effect twice.
//!
//! Invariants: a handler's results are never committed apart from the job's completion; a message never carries more
//! than a job's id; the worker never stops because PostgreSQL or Redis did; losing all of Redis changes only latency.
//!
//! ```no_run
//! use carrel_domain::job::{JobKind, QueueName};
//! use carrel_domain::WorkerId;
//! use carrel_queue::{Completed, Handler, JobContext, JobError, WorkerBuilder};
//! use std::time::Duration;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Greet { name: String }
//!
//! impl JobKind for Greet {
//!     const KIND: &'static str = "greeting.send";
//!     const QUEUE: QueueName = QueueName::Notify;
//!     const MAX_ATTEMPTS: u16 = 5;
//!     const TIMEOUT: Duration = Duration::from_secs(30);
//! }
//!
//! struct Greeter;
//!
//! #[async_trait::async_trait]
//! impl Handler<Greet> for Greeter {
//!     async fn run(&self, cx: &JobContext, greet: Greet) -> Result<Completed, JobError> {
//!         let transaction = cx.begin().await?;
//!         // … writes of the domain in `transaction` …
//!         cx.complete(transaction, serde_json::json!({ "greeted": greet.name })).await
//!     }
//! }
//!
//! # async fn example(database: carrel_storage::Database, id: WorkerId, stop: tokio_util::sync::CancellationToken) -> Result<(), carrel_queue::QueueError> {
//! let worker = WorkerBuilder::new(database, id).register::<Greet>(Greeter).queues([(QueueName::Notify, 4)]).build()?;
//! worker.run(stop).await
//! # }
//! ```

mod backend;
mod calendar;
mod carrier;
mod claims;
mod completer;
mod context;
mod error;
mod execute;
mod failpoints;
mod fetch;
mod handler;
mod health;
mod keeper;
mod link;
mod outbox;
mod sweeper;
mod worker;

pub use carrel_storage::jobs::{ClaimedEffect, ClaimedJob};
pub use context::{Completed, JobContext};
pub use error::{JobError, QueueError};
#[cfg(feature = "failpoints")]
pub use failpoints::FAIL_POINTS;
pub use handler::Handler;
pub use health::{WorkerHealth, WorkerReport};
pub use link::RedisOptions;
pub use outbox::{EffectError, EffectSender};
pub use worker::{SpanHook, Transport, Worker, WorkerBuilder};
