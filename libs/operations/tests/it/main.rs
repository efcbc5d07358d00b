//! Operations where they meet each other.

mod uploads;
