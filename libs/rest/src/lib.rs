//! The REST API of Carrel, its OpenAPI document, its documentation and the web page, as one axum router.
//!
//! Invariants: HTTP status codes appear in this crate only; a handler extracts, calls one operation and converts; every
//! error body is a problem (RFC 9457) whose code stands in [`problem::CODES`]; nothing but health, discovery, the token
//! endpoint and page assets answers without a token.
//!
//! ```no_run
//! # async fn example(app: carrel_rest::App) -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! axum::serve(listener, carrel_rest::router(app)).await
//! # }
//! ```

mod access;
mod app;
mod audit;
mod baselines;
mod collections;
mod convert;
mod custody;
mod documents;
mod erasures;
mod extract;
mod health;
mod idempotency;
mod jobs;
mod observe;
mod openapi;
mod page;
pub mod problem;
mod ranges;
mod research;
mod screening;
mod search;
mod unread;
mod upkeep;
mod versions;

pub use app::{App, HttpLimits, router};
pub use health::{Readiness, ReadinessReport};
pub use openapi::document as openapi_document;
