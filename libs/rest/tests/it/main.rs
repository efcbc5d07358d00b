//! The API from outside: a real server, a real database, a real worker.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod archive;
mod bad_files;
mod bad_requests;
mod events;
mod files;
mod health;
mod idempotency;
mod originals;
mod research;
mod tokens;
mod walls;
