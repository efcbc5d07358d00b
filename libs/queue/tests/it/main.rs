//! Workers against a real PostgreSQL and a real Redis, every behaviour on both transports.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]
#![expect(clippy::disallowed_methods, reason = "tests make their own ids and look at the real clock")]

mod calendar;
mod drain;
mod effects;
mod faults;
mod lifecycle;
mod model;
mod order;
mod sentinel;
mod server;
mod support;
mod tls;
mod wall;
