//! Bytes to rendition: one file per format, run in a sandboxed child process.
//!
//! Invariants: a format is recognised by its content, never by its name (a name only tells text kinds apart);
//! nothing in a document is ever executed, fetched or followed; a hostile file ends as an [`ExtractError`] with
//! a reason, never as a panic of the caller; the process that reads a document never writes to a file and never opens a
//! connection; the name of a document found inside of another never leads out of a folder; the rendition's text is always in [`carrel_text::normalise`]'s form
//! and its spans count code points of that text.
//!
//! A service calls [`child_main`] before anything else when [`is_child`] says so, and extracts with [`Sandbox`]:
//!
//! ```
//! use carrel_extract::{Limits, extract_in_process};
//!
//! let rendition = extract_in_process(b"# Title\n\nSome *words*.", Some("note.md"), &Limits::default())?;
//! assert_eq!(rendition.text, "Title\n\nSome words.");
//! assert_eq!(rendition.map.sections[0].heading, "Title");
//! # Ok::<(), carrel_extract::ExtractError>(())
//! ```

mod archive;
mod builder;
mod child;
mod children;
mod confine;
mod container;
mod decode;
mod error;
mod formats;
mod limits;
mod ocr;
mod program;
mod room;
mod sandbox;
mod sheet;
mod table;
mod wire;

pub use builder::{Gap, RenditionBuilder};
pub use child::{CHILD_ARGUMENT, child_main, child_main_with, is_child};
pub use children::ChildDocument;
pub use confine::Confinement;
pub use error::ExtractError;
pub use formats::{Certainty, Format, Input, detect, extract_in_process, formats};
pub use limits::Limits;
pub use ocr::OcrConfig;
pub use room::Room;
pub use sandbox::{Extraction, Request, Sandbox, SandboxConfig};
