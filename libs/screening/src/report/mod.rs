//! Reports: what was found in a document, in a collection, in a data set, as JSON, CSV and Markdown.
//!
//! None holds a value: only kinds, counts, places, masks and keyed digests.

mod collection;
mod dataset;
mod document;
mod table;

pub use collection::{CollectionReport, DocumentLine};
pub use document::{DocumentReport, KindLine};
pub use table::{csv, escaped, markdown};

use crate::ScreeningError;

/// A report in its three forms.
pub trait Report: serde::Serialize {
    /// One table (RFC 4180) with a header, safe to open in a spreadsheet.
    ///
    /// # Errors
    /// [`ScreeningError::Report`] when the table cannot be written.
    fn csv(&self) -> Result<String, ScreeningError>;

    /// For people: headings and tables (GitHub Flavored Markdown).
    fn markdown(&self) -> String;

    /// Everything, indented.
    ///
    /// # Errors
    /// [`ScreeningError::Report`] when it cannot be written.
    fn json(&self) -> Result<String, ScreeningError> {
        serde_json::to_string_pretty(self).map_err(|error| ScreeningError::Report(error.into()))
    }
}
