//! Operations where they meet each other.

#![expect(clippy::disallowed_methods, reason = "tests make their own ids and look at the real clock")]

mod uploads;
