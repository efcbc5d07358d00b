//! Why a service could not be started.

/// Errors of starting.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// The settings do not suffice.
    #[error("{key} is not set; {advice}")]
    Missing {
        /// The key.
        key: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// The settings cannot be read.
    #[error(transparent)]
    Config(#[from] carrel_runtime::config::ConfigError),
    /// A setting makes no sense.
    #[error("{key}: {problem}")]
    Setting {
        /// The key.
        key: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The database or the store.
    #[error(transparent)]
    Storage(#[from] carrel_storage::StorageError),
    /// Backups.
    #[error(transparent)]
    Backup(#[from] carrel_backup::BackupError),
    /// The private database server.
    #[error(transparent)]
    Postgres(#[from] carrel_postgres::PostgresError),
    /// The model.
    #[error(transparent)]
    Inference(#[from] carrel_inference::InferenceError),
    /// The job machinery.
    #[error(transparent)]
    Queue(#[from] carrel_queue::QueueError),
    /// The sandbox for extraction.
    #[error(transparent)]
    Extract(#[from] carrel_extract::ExtractError),
    /// An address could not be used, or a file not be written.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A plain I/O error.
    #[error(transparent)]
    Signal(#[from] std::io::Error),
}

pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> AssemblyError {
    let what = what.into();
    move |source| AssemblyError::Io { what, source }
}
