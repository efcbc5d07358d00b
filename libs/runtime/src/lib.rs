//! Configuration, telemetry, health and lifecycle: what every Carrel program does before and around its work.
//!
//! Invariants:
//! - never starts on a configuration it does not understand: unknown keys and senseless values are refused by name;
//! - never shows a secret, in errors, in [`config::Settings::redacted_yaml`] or through `Debug`;
//! - never blocks the program for telemetry: a collector that is away costs spans, not requests;
//! - never serves metrics to users: operators have a listener of their own.
//!
//! ```no_run
//! use carrel_runtime::{config, health, lifecycle, observe, telemetry};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = config::Settings::load(&config::Sources::from_process(None, None))?;
//! let telemetry = telemetry::init("carrel-api", &settings.telemetry)?;
//! let stop = lifecycle::stop_on_signal()?;
//! let health = health::Registry::new();
//! let recorder = observe::install_recorder()?;
//! if let Some(address) = settings.server.metrics_listen {
//!     observe::Listener::bind(address).await?.serve(recorder, health.clone(), stop.clone());
//! }
//! // … serve until `stop` is cancelled …
//! telemetry.shutdown().await;
//! # Ok(())
//! # }
//! ```

pub mod build;
pub mod catalogue;
pub mod config;
pub mod health;
pub mod lifecycle;
pub mod observe;
pub mod probe;
mod process;
pub mod telemetry;
