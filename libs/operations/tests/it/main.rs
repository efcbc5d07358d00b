//! Operations where they meet each other.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod uploads;
