use std::path::PathBuf;

/// Why an evaluation set could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RetrievalError {
    /// None of the files that may hold a part of the set is there.
    #[error("{folder} has no {wanted}")]
    Missing {
        /// The folder that was searched.
        folder: PathBuf,
        /// The file names that were tried.
        wanted: &'static str,
    },
    /// A file could not be opened or read.
    #[error("{file} cannot be read")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A line does not hold what its place promises.
    #[error("{file}, line {line}: {reason}")]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong, in plain words.
        reason: String,
    },
}
