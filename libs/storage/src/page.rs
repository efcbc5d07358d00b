//! Keyset pages: the caller names the last row that it has seen.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The position after which a page begins: the sort key of the last row seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    /// Its time.
    pub at: DateTime<Utc>,
    /// Its id, which decides between equal times.
    pub id: Uuid,
}

/// Some rows, and where the next page begins.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows, in the list's order.
    pub rows: Vec<T>,
    /// `None` on the last page.
    pub next: Option<After>,
}

impl<T> Page<T> {
    /// Makes a page of `rows`, of which one more than `limit` was asked for.
    pub(crate) fn cut(mut rows: Vec<T>, limit: u32, key: impl Fn(&T) -> After) -> Self {
        if rows.len() <= limit as usize {
            return Self { rows, next: None };
        }
        rows.truncate(limit as usize);
        let next = rows.last().map(key);
        Self { rows, next }
    }
}
