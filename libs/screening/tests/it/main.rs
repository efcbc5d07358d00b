//! One binary for the tests that use the crate from outside.

mod datasets;
mod detections;
mod hibp;
mod invent;
mod reports;
