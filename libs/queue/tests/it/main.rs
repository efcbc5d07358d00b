//! Workers against a real PostgreSQL and a real Redis, every behaviour on both transports.

mod drain;
mod faults;
mod lifecycle;
mod order;
mod support;
mod wall;
