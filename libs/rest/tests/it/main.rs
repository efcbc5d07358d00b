//! The API from outside: a real server, a real database, a real worker.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![expect(clippy::disallowed_methods, reason = "tests make their own ids and look at the real clock")]

mod archive;
mod audit;
mod bad_files;
mod bad_requests;
mod baselines;
mod breaches;
mod custody;
mod erasure;
mod events;
mod faults;
mod files;
mod generations;
mod health;
mod idempotency;
mod inside;
mod openapi;
mod originals;
mod pictures;
mod removal;
mod research;
mod routes;
mod screening;
mod tokens;
mod upkeep;
mod walls;
