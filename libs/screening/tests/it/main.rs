//! One binary for the tests that use the crate from outside.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod datasets;
mod detections;
mod hibp;
mod invent;
mod persons;
mod reports;
