//! Bundles: a report with everything that proves it, in one file that anybody can check without a server.
//!
//! A bundle is a ZIP archive that any tool opens. It holds the report, the list of the versions that it rests on (the
//! whole baseline when it has one), the text of every cited version, every quote with its place, and a manifest with the
//! digests of all that, signed with the instance's Ed25519 key. The same key signs the seals of the audit trail
//! ([`chain`]) and the receipts of erasures, which are checked here as well.
//!
//! Invariants: the same contents and key always give the same bytes; [`verify`] accepts exactly the bytes that
//! [`write`] makes, so a change of any single bit is found; nothing here reads the clock, a file or the network.
//!
//! ```
//! use carrel_bundle::{Contents, SigningKey, verify, write};
//!
//! let key = SigningKey::from_seed([7; 32]);
//! let contents = Contents { report_markdown: "# Report\n".to_owned(), ..Contents::default() };
//! let bytes = write(&contents, &key).unwrap();
//! let checked = verify(&bytes).unwrap();
//! assert!(checked.faults.is_empty());
//! assert_eq!(checked.signed_by, key.thumbprint());
//! ```

mod archive;
pub mod chain;
mod contents;
mod error;
mod locate;
mod proof;
mod receipt;
mod signature;
mod verify;

pub use contents::{BaselineSummary, Contents, FileEntry, Manifest, QuoteLine, VersionText, write};
pub use error::BundleError;
pub use proof::{ProvedEntry, prove};
pub use receipt::{sign_receipt, verify_receipt, write_receipt};
pub use signature::{SigningKey, check_signed, sign};
pub use verify::{Checked, Fault, name_bytes, verify};
