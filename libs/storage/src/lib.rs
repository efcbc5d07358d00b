//! The only SQL of Carrel: connections, transactions, one module per aggregate, search, and the store of originals.
//!
//! Invariants: no other crate holds a connection or writes a statement; every statement over workspace tables runs in
//! a [`Transaction`] that belongs to one workspace, behind row-level security; nothing commits but
//! [`Transaction::commit`]; no network or model call happens while a transaction is open.
//!
//! ```no_run
//! # async fn example(database: carrel_storage::Database, workspace: carrel_domain::WorkspaceId) -> Result<(), carrel_storage::StorageError> {
//! let mut transaction = database.begin(workspace).await?;
//! let collections = carrel_storage::collections::list(&mut transaction, None, None, 50).await?;
//! transaction.commit().await?;
//! # Ok(()) }
//! ```

pub mod access;
pub mod admin;
pub mod audit;
pub mod backup;
pub mod baselines;
mod begin;
pub mod collections;
pub mod custody;
mod database;
pub mod documents;
pub mod erasure;
mod error;
#[cfg(feature = "failpoints")]
mod failpoints;
pub mod fixity;
pub mod generations;
pub mod index;
pub mod jobs;
mod measured;
pub mod originals;
mod page;
mod provision;
pub mod recognition;
pub mod remedy;
mod replica;
pub mod research;
pub mod screening;
pub mod search;
pub mod similarity;
pub mod store_check;
pub mod store_move;

pub use admin::{Admin, NewClient, SchemaState};
pub use database::{Database, DatabaseOptions, Transaction};
pub use error::StorageError;
pub use originals::OriginalStore;
pub use page::{After, Page};
pub use provision::{Abilities, provision_script};
