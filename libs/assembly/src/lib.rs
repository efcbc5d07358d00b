//! From settings to running services: the one place where the parts of Carrel meet.
//!
//! Invariants: nothing here decides anything about documents, search or jobs; every service is started from here by its
//! binary and by `carrel up` alike; everything that was started ends when the stop token is cancelled, within the drain
//! time.
//!
//! ```no_run
//! # async fn example() -> Result<(), carrel_assembly::AssemblyError> {
//! use carrel_runtime::{config, lifecycle};
//!
//! let settings = config::Settings::defaults()?;
//! let stop = lifecycle::stop_on_signal()?;
//! carrel_assembly::run_api(&settings, stop).await
//! # }
//! ```

mod ai;
mod api;
mod backup;
mod embedded;
mod error;
mod health;
mod install;
mod parts;
mod restore;
mod store;
mod worker;

pub use ai::run_ai;
pub use api::run_api;
pub use backup::{Backups, keep_signing_key, prune as prune_backups};
pub use embedded::{Embedded, StartedClient, up};
pub use error::AssemblyError;
pub use health::index_fits;
pub use install::{first_client, install};
pub use parts::{Parts, SystemClock, SystemIds, model_dir, next_space, tokens};
pub use restore::{FilledStore, Restored, Restoring, Target, restore};
pub use store::{configured as configured_store, settings_for, store_at};
pub use worker::{parse_queues, run_worker};
