//! What can go wrong.

use thiserror::Error;

/// Why a text or a data set could not be screened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScreeningError {
    /// A built-in table does not compile.
    #[error("the built-in table has a damaged entry: {rule}")]
    Table {
        /// Name of the entry.
        rule: &'static str,
    },
    /// The numbering plans of the telephone library could not be read.
    #[error("the telephone numbering plans are missing")]
    NumberingPlans,
    /// Reading the data set failed.
    #[error("reading the data set failed")]
    Read(#[from] std::io::Error),
    /// The data set is not what its format says.
    #[error("record {record} is damaged: {reason}")]
    Damaged {
        /// Number of the record, from 1.
        record: u64,
        /// What is wrong with it; never a value.
        reason: String,
    },
    /// A record exceeds the limit.
    #[error("record {record} is longer than {limit} bytes")]
    RecordTooLong {
        /// Number of the record, from 1.
        record: u64,
        /// Bytes allowed.
        limit: usize,
    },
    /// A report could not be written.
    #[error("writing the report failed")]
    Report(#[source] std::io::Error),
    /// A setting of the breach service is unusable.
    #[error("the breach service cannot be used: {reason}")]
    BreachSettings {
        /// What is wrong.
        reason: String,
    },
}
