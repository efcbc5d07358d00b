//! The vocabulary of Carrel: identifiers, entities, state machines and the context of an operation.
//!
//! Invariants: this crate never performs I/O, never reads the clock, the environment or randomness,
//! and never knows HTTP, SQL or Redis. Everything that two crates must agree on is defined here once.
//!
//! ```
//! use carrel_domain::text::Span;
//!
//! let span = Span::new(6, 11).unwrap();
//! assert_eq!(span.slice("hello world"), Some("world"));
//! ```

pub mod access;
pub mod archive;
pub mod audit;
pub mod baseline;
pub mod custody;
pub mod digest;
pub mod ids;
pub mod job;
pub mod research;
pub mod search;
pub mod text;

pub use access::{Actor, OperationContext, Scope, Scopes};
pub use digest::Digests;
pub use ids::*;
pub use text::{Language, Span};
