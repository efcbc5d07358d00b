//! The schema and its statements against a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod archive;
mod index;
mod originals;
mod research;
mod walls;
