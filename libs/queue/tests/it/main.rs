//! Workers against a real PostgreSQL and a real Redis, every behaviour on both transports.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

mod calendar;
mod drain;
mod effects;
mod faults;
mod lifecycle;
mod model;
mod order;
mod sentinel;
mod support;
mod wall;
