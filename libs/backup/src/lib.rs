//! Backups: the database, the originals and the signing key, to a folder or a bucket, encrypted, signed, each byte stored once.
//!
//! The database is dumped (pg_dump), or copied with its log (pg_basebackup, pg_receivewal) so that any moment can be restored, or left
//! to pgBackRest. A destination holds chunks, each encrypted to one age recipient, and a signed manifest per backup that names them. Every
//! backup can be restored on its own; what an earlier one stored is not stored again.
//!
//! Invariants: never a manifest before everything that it names is stored; never a byte restored whose digest is not what was
//! signed; never anything overwritten by a restore; memory is bounded by a few chunks of 8 MiB and about a hundred bytes for each chunk of
//! the destination; no password shows in the list of processes.
//!
//! ```no_run
//! # async fn example(objects: std::sync::Arc<dyn object_store::ObjectStore>) -> Result<(), carrel_backup::BackupError> {
//! use carrel_backup::{Damaged, Lock, Repository, verify};
//!
//! let repository = Repository::open(objects, &Lock::default(), None).await?;
//! let checked = verify(&repository, None, Damaged::Keep).await?;
//! assert!(checked.faults.is_empty());
//! # Ok(()) }
//! ```

mod create;
mod database;
mod error;
mod keys;
mod manifest;
mod originals;
pub mod pgbackrest;
mod programs;
mod repository;
pub mod restore;
mod verify;

pub use create::{Source, Wish, create, due};
pub use error::BackupError;
pub use keys::{Lock, new_identity};
pub use manifest::{
    ChunkRef, Chunks, DatabasePart, Kind, Listed, Manifest, Method, OriginalsPart, Outside, Segment, Signed, Table,
    list,
};
pub use originals::PutBack;
pub use programs::Programs;
pub use repository::Repository;
pub use restore::{Choice, Trust};
pub use verify::{Checked, Damaged, Keep, Pruned, prune, superseded, verify};
