//! The files of a cluster: made once, checked on every start.

use crate::account::Account;
use crate::error::{IoContext, PostgresError};
use crate::installation::Installation;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The log is set aside once it is larger, on the next start.
const LOG_LIMIT_BYTES: u64 = 8 * 1024 * 1024;

/// The cluster itself, beside the lock, the log and the socket folder.
pub(crate) fn cluster_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("cluster")
}

/// Holds a data folder for this process until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn take(data_dir: &Path) -> Result<Self, PostgresError> {
        let path = data_dir.join("lock");
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).context("open", &path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let known = file.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
                let pid = if known { pid.trim().to_owned() } else { "unknown".to_owned() };
                return Err(PostgresError::AlreadyRunning { data_dir: data_dir.to_owned(), pid });
            }
            Err(TryLockError::Error(source)) => {
                return Err(PostgresError::Io { action: "lock", path, source });
            }
        }
        file.set_len(0).and_then(|()| file.rewind()).context("write", &path)?;
        writeln!(file, "{}", std::process::id()).context("write", &path)?;
        Ok(Self { _file: file })
    }
}

/// Makes the cluster unless it is there, and refuses one that these programs cannot run.
pub(crate) fn prepare(
    data_dir: &Path,
    installation: &Installation,
    account: &Account,
    superuser: &str,
) -> Result<PathBuf, PostgresError> {
    let cluster = cluster_dir(data_dir);
    let version_file = cluster.join("PG_VERSION");
    if version_file.exists() {
        let version = std::fs::read_to_string(&version_file).context("read", &version_file)?;
        if version.trim().parse() != Ok(installation.major()) {
            return Err(PostgresError::VersionMismatch {
                data_dir: cluster,
                cluster: version.trim().to_owned(),
                installation: installation.major(),
            });
        }
        return Ok(cluster);
    }
    if cluster.exists() {
        return Err(PostgresError::NotACluster { data_dir: cluster });
    }
    initdb(data_dir, &cluster, installation, account, superuser)?;
    Ok(cluster)
}

/// A cluster that is being restored; nothing is there that looks like one until [`Incoming::finish`].
#[derive(Debug)]
pub struct Incoming {
    data_dir: PathBuf,
    folder: PathBuf,
    account: Account,
    _lock: Lock,
}

impl Incoming {
    /// Makes an empty folder for a cluster below `data_dir`, where none may be yet.
    pub fn begin(data_dir: &Path) -> Result<Self, PostgresError> {
        std::fs::create_dir_all(data_dir).context("create", data_dir)?;
        let passable = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(data_dir, passable).context("protect", data_dir)?;
        let data_dir = data_dir.canonicalize().context("resolve", data_dir)?;
        let lock = Lock::take(&data_dir)?;
        let cluster = cluster_dir(&data_dir);
        if cluster.exists() {
            return Err(PostgresError::Occupied { data_dir: cluster });
        }
        let account = Account::choose(&cluster)?;
        let folder = data_dir.join("cluster.restored");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).context("remove the unfinished", &folder)?;
        }
        account.private_dir(&folder)?;
        Ok(Self { data_dir, folder, account, _lock: lock })
    }

    /// Where the files go.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Hands the files to the server's account and puts the cluster to its place; answers it.
    pub fn finish(self) -> Result<PathBuf, PostgresError> {
        self.account.own_all(&self.folder)?;
        self.account.private_dir(&self.folder)?;
        let cluster = cluster_dir(&self.data_dir);
        std::fs::rename(&self.folder, &cluster).context("rename", &self.folder)?;
        Ok(cluster)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Left half-way; after `finish` there is nothing.
        if self.folder.exists()
            && let Err(error) = std::fs::remove_dir_all(&self.folder)
        {
            tracing::warn!(%error, folder = %self.folder.display(), "an unfinished cluster could not be removed");
        }
    }
}

/// initdb works in a folder that is renamed at the end, so that a killed set-up leaves nothing that looks like a cluster.
fn initdb(
    data_dir: &Path,
    cluster: &Path,
    installation: &Installation,
    account: &Account,
    superuser: &str,
) -> Result<(), PostgresError> {
    let unfinished = data_dir.join("cluster.new");
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished).context("remove the unfinished", &unfinished)?;
    }
    account.private_dir(&unfinished)?;
    account.check_reach(&unfinished)?;
    let program = installation.program("initdb");
    account.check_reach(&program)?;
    tracing::info!(folder = %cluster.display(), version = installation.version(), "making a PostgreSQL cluster");
    let output = account
        .command(&program)
        .arg("--pgdata")
        .arg(&unfinished)
        .args(["--username", superuser])
        .args(["--encoding", "UTF8", "--locale", "C.UTF-8"])
        .args(["--auth-local", "trust", "--auth-host", "reject"])
        .arg("--data-checksums")
        .output()
        .context("run", &program)?;
    if !output.status.success() {
        let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
        printed.push_str(&String::from_utf8_lossy(&output.stderr));
        return Err(PostgresError::Initdb { status: output.status.to_string(), output: tail(&printed, 2000) });
    }
    std::fs::rename(&unfinished, cluster).context("rename", &unfinished)
}

/// Who may connect: everyone who can reach the socket (the folder's permissions decide that), and local programs on the
/// loopback port if there is one.
pub(crate) fn write_access_rules(cluster: &Path, tcp: bool) -> Result<(), PostgresError> {
    let path = cluster.join("pg_hba.conf");
    let mut rules = String::from("# Written on every start.\nlocal all all trust\nlocal replication all trust\n");
    if tcp {
        rules.push_str("host all all 127.0.0.1/32 trust\n");
    }
    // The file exists since initdb and keeps its owner.
    std::fs::write(&path, rules).context("write", &path)
}

/// Opens the log for appending; a large one becomes `server.log.1`.
pub(crate) fn open_log(data_dir: &Path) -> Result<(File, PathBuf), PostgresError> {
    let path = data_dir.join("server.log");
    if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LOG_LIMIT_BYTES) {
        std::fs::rename(&path, data_dir.join("server.log.1")).context("set aside", &path)?;
    }
    let log = File::options().create(true).append(true).open(&path).context("open", &path)?;
    Ok((log, path))
}

/// The last `limit` bytes at most, on one line.
pub(crate) fn tail(text: &str, limit: usize) -> String {
    let start = text.len().saturating_sub(limit);
    let start = (start..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    let lines: Vec<&str> = text[start..].lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_starts_at_a_character() {
        assert_eq!(tail("ab\n\ncü", 2), "ü");
        assert_eq!(tail("ab\n\ncü", 3), "cü");
        assert_eq!(tail("ab\n\n c", 100), "ab | c");
    }

    #[test]
    fn a_second_lock_names_the_first_process() {
        let folder = tempfile::tempdir().expect("folder");
        let _held = Lock::take(folder.path()).expect("first");
        let error = Lock::take(folder.path()).expect_err("second");
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    }
}
