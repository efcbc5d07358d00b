//! A private PostgreSQL server in user space.
//!
//! `carrel up` must run on a machine where nobody administers a database. This crate finds a PostgreSQL installation
//! with pgvector, initialises a cluster below a folder of its own, starts the server as a child and stops it again.
//!
//! Invariants:
//! - never reachable from the network: the server listens on a Unix socket in a folder only its account may enter
//!   (a loopback port exists only when [`ServerConfig::tcp_port`] asks for one);
//! - never runs as root: a root parent hands the cluster to another account and starts the server as that account;
//! - never two servers on one folder, and never a half-initialised cluster: both steps are guarded by a lock and a rename;
//! - never killed hard while it could stop in order: the server gets a fast shutdown from [`Server::stop`], from dropping
//!   [`Server`], and from the kernel when the parent dies.
//!
//! ```no_run
//! # async fn example() -> Result<(), carrel_postgres::PostgresError> {
//! use carrel_postgres::{Installation, Server, ServerConfig};
//!
//! let installation = Installation::discover(None)?;
//! let server = Server::start(ServerConfig::new(installation, "/var/lib/carrel/postgres")).await?;
//! let owner_url = server.url("carrel_owner", "postgres");
//! // … connect, create a database, serve …
//! server.stop().await?;
//! # Ok(())
//! # }
//! ```

mod account;
mod cluster;
mod error;
mod installation;
mod paths;
mod postmaster;
mod server;

pub use cluster::Incoming;
pub use error::PostgresError;
pub use installation::Installation;
pub use paths::{data_dir, runtime_dir};
pub use postmaster::Running;
pub use server::{SUPERUSER, Server, ServerConfig};
