//! The real programs: what they say when they cannot run, and what they tell of a request that passes through all of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod bad_start;
mod killed;
mod processes;
mod trace;
