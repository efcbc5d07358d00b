//! Screening: personal data and credentials in texts and data sets, found, checked, masked and reported.
//!
//! Invariants: a detection never holds the value it is about (only a mask and a keyed digest), and no `Debug`, error
//! or report prints one; every span counts code points; a text or data set of any size is read once, a data set at
//! constant memory; nothing here stores, logs or opens a connection except the breach client that is handed in.
//!
//! Names of persons and postal addresses have no checksum: they are found by the words beside them, by known given names
//! and by the forms of postal codes, and not where none of these stands.
//!
//! ```
//! use carrel_screening::{Action, Category, Options, Policy, Scanner, WorkspaceKey};
//!
//! let scanner = Scanner::new(Options::default()).unwrap();
//! let policy = Policy::default().with(Category::Credential, Action::Hold);
//! let text = "token = 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";
//! let screened = policy.apply(text, scanner.detect(text, &WorkspaceKey::new([1; 32])));
//! assert!(screened.verdict.is_held());
//! ```

pub mod breach;
mod chain;
mod checks;
mod contact;
pub mod dataset;
mod detection;
mod error;
mod financial;
pub mod identity;
mod kind;
mod lexicon;
pub mod mask;
mod matching;
mod network;
pub mod normalise;
mod person;
mod policy;
pub mod report;
mod scanner;
mod secrets;

pub use contact::phone::{Region, phone_e164};
pub use detection::{Detection, ValueDigest, WorkspaceKey};
pub use error::ScreeningError;
pub use kind::{Category, Kind, Severity};
pub use policy::{Action, Decision, MIN_CONFIDENCE, Policy, Release, Screened, Verdict};
pub use scanner::{Hints, Options, Scanner};
pub use secrets::services;
