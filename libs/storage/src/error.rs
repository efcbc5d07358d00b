//! What can go wrong with the database and the store, and whether trying again can help.

/// Errors of this crate. "Not there" is never an error: those functions answer `Option`.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The database cannot be reached, has no free connection, or stopped in the middle.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// A unique or foreign key, or a check, refused the row.
    #[error("constraint {constraint} refused the row")]
    Constraint {
        /// Name of the constraint in the schema.
        constraint: String,
        /// The database's own words.
        #[source]
        source: sqlx::Error,
    },
    /// Two transactions stood in each other's way; the loser may try again.
    #[error("the transaction lost against a concurrent one")]
    Conflict(#[source] sqlx::Error),
    /// The statement took longer than it may.
    #[error("the statement exceeded its time limit")]
    TimedOut(#[source] sqlx::Error),
    /// A value holds what the database cannot keep.
    #[error("a value cannot be kept: text with NUL, or a time before the year -4712")]
    Unrepresentable(#[source] sqlx::Error),
    /// A migration failed.
    #[error("the schema could not be migrated")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The stored value cannot be read back.
    #[error("{table}.{column} of {row} is inconsistent: {problem}")]
    Inconsistent {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
        /// Key of the row.
        row: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The connection role could pass through row-level security.
    #[error("the database role {role} {problem}; connect as a role that cannot bypass row-level security")]
    UnsafeRole {
        /// The role in use.
        role: String,
        /// Why it is refused.
        problem: String,
    },
    /// The stored bytes of an original are not those that came.
    #[error("the original {sha256} is damaged: {problem}")]
    Damaged {
        /// Its content address.
        sha256: String,
        /// What was found instead.
        problem: String,
    },
    /// The object store refused or failed.
    #[error("the object store failed")]
    Store(#[source] object_store::Error),
    /// Any other database error: a fault of ours.
    #[error("the database refused the statement")]
    Database(#[source] sqlx::Error),
}

impl StorageError {
    /// True when the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Conflict(_) | Self::TimedOut(_) | Self::Store(_))
    }

    /// True when `constraint` refused the row.
    pub fn is_constraint(&self, name: &str) -> bool {
        matches!(self, Self::Constraint { constraint, .. } if constraint == name)
    }
}

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::Database(database) => match database.code().as_deref() {
                // Class 08 connection, 53 resources, 57P operator intervention.
                Some("57P01" | "57P02" | "57P03" | "53300" | "53100" | "53200") => Self::Unavailable(error),
                Some(code) if code.starts_with("08") => Self::Unavailable(error),
                Some("57014") => Self::TimedOut(error),
                Some("40001" | "40P01" | "55P03") => Self::Conflict(error),
                // Character not in repertoire, untranslatable character, field overflow of a time.
                Some("22021" | "22P05" | "22008") => Self::Unrepresentable(error),
                Some(code) if code.starts_with("23") => {
                    let constraint = database.constraint().unwrap_or("unnamed").to_owned();
                    Self::Constraint { constraint, source: error }
                }
                _ => Self::Database(error),
            },
            _ => Self::Database(error),
        }
    }
}

impl From<object_store::Error> for StorageError {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}
