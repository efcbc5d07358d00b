//! Real files through the readers, and hostile ones through the sandbox.

#![expect(clippy::unwrap_used, reason = "what cannot be built fails its test")]

mod documents;
mod fixtures;
mod formats;
mod hostile;
mod mails;
mod sandbox;
