//! The schema and its statements against a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![expect(clippy::disallowed_methods, reason = "tests make their own ids and look at the real clock")]

mod archive;
mod baselines;
mod fixity;
mod index;
mod originals;
mod patience;
mod replica;
mod research;
mod s3;
mod upgrade;
mod walls;
