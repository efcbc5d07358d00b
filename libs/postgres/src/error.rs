use std::path::PathBuf;

/// Why a private server could not be found, prepared, started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// No folder had everything that is needed.
    #[error("no PostgreSQL 16 or newer with pgvector was found; run scripts/setup or name its bin folder in database.embedded.bin_dir; looked at: {}", tried.join("; "))]
    NotFound {
        /// One line per place: the path and what was missing there.
        tried: Vec<String>,
    },
    /// Another living process owns the folder.
    #[error("another Carrel (process {pid}) already runs on {}; stop it or choose another data folder", data_dir.display())]
    AlreadyRunning {
        /// The folder both want.
        data_dir: PathBuf,
        /// The other process, or `unknown`.
        pid: String,
    },
    /// The cluster was made by another major version.
    #[error("the cluster in {} was made by PostgreSQL {cluster}, but {installation} is installed; use that version or dump and restore", data_dir.display())]
    VersionMismatch {
        /// The cluster.
        data_dir: PathBuf,
        /// Content of its PG_VERSION.
        cluster: String,
        /// Major version of the programs.
        installation: u32,
    },
    /// A cluster would be restored over another one.
    #[error("{} is there, and a restore overwrites nothing: stop Carrel and move that folder away, or choose another data folder", data_dir.display())]
    Occupied {
        /// The cluster that is there.
        data_dir: PathBuf,
    },
    /// The folder holds something that is no cluster.
    #[error("{} exists but is no PostgreSQL cluster; move it away or choose another data folder", data_dir.display())]
    NotACluster {
        /// The folder.
        data_dir: PathBuf,
    },
    /// The account that runs the server cannot enter a parent folder.
    #[error("the server runs as `{account}`, which cannot enter {} on the way to {}; allow it with `chmod o+x {}` or choose another folder", folder.display(), target.display(), folder.display())]
    NotTraversable {
        /// Who the server runs as.
        account: String,
        /// The folder without execute permission.
        folder: PathBuf,
        /// What lies below it.
        target: PathBuf,
    },
    /// Root has nobody to hand the cluster to.
    #[error("PostgreSQL refuses to run as root, and none of the accounts carrel, postgres and nobody exists here")]
    NoAccount,
    /// initdb failed.
    #[error("initdb failed ({status}): {output}")]
    Initdb {
        /// Its exit status.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// The server ended before it was ready.
    #[error("the PostgreSQL server ended while starting ({status}); the end of its log: {log}")]
    EndedEarly {
        /// Its exit status.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// The server did not become ready, or did not end, in time.
    #[error("the PostgreSQL server did not {what} within {seconds} s")]
    Timeout {
        /// `start` or `stop`.
        what: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// An operating system call failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// Adds what was tried, and on what, to an I/O error.
pub(crate) trait IoContext<T> {
    fn context(self, action: &'static str, path: &std::path::Path) -> Result<T, PostgresError>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn context(self, action: &'static str, path: &std::path::Path) -> Result<T, PostgresError> {
        self.map_err(|source| PostgresError::Io { action, path: path.to_owned(), source })
    }
}
