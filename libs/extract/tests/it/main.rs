//! Real files through the readers, and hostile ones through the sandbox.

mod documents;
mod fixtures;
mod sandbox;
