//! What a running server says about itself in `postmaster.pid`.

use crate::error::{IoContext, PostgresError};
use rustix::process::{Pid, Signal};
use std::path::{Path, PathBuf};

/// A server that runs on a data folder, perhaps started by another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The server process.
    pub pid: i32,
    /// Its port number, which also names the socket.
    pub port: u16,
    /// The folder of its socket.
    pub socket_dir: PathBuf,
    /// Whether it accepts connections.
    pub ready: bool,
}

impl Running {
    /// The server that runs on this data folder (the one given as [`crate::ServerConfig::data_dir`]), if one does.
    pub fn find(data_dir: &Path) -> Option<Self> {
        let cluster = crate::cluster::cluster_dir(data_dir);
        Self::read(&cluster).filter(|running| is_server_of(running.pid, &cluster))
    }

    /// A connection address, as [`crate::Server::url`] gives.
    pub fn url(&self, user: &str, database: &str) -> String {
        socket_url(&self.socket_dir, self.port, user, database)
    }

    /// Reads the file without asking whether the process lives.
    pub(crate) fn read(cluster: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(pid_file(cluster)).ok()?;
        // pid, data folder, start time, port, socket folder, listen address, shared memory, status
        let lines: Vec<&str> = text.lines().collect();
        let pid = lines.first()?.trim().parse().ok()?;
        Some(Self {
            pid,
            port: lines.get(3).and_then(|line| line.trim().parse().ok()).unwrap_or(0),
            socket_dir: lines.get(4).map(PathBuf::from).unwrap_or_default(),
            ready: lines.get(7).is_some_and(|line| line.trim() == "ready"),
        })
    }
}

/// What a start finds left behind.
pub(crate) enum Leftover {
    /// Nothing, or a file whose process is gone: the server itself checks for surviving backends and clears it.
    None,
    /// A server whose parent died; it may still be shutting down.
    Orphan(Pid),
}

/// Looks at `postmaster.pid`, and removes it if its number belongs to an unrelated process by now (after a reboot, for
/// instance): the server would refuse to start because of it.
pub(crate) fn leftover(cluster: &Path) -> Result<Leftover, PostgresError> {
    let Some(running) = Running::read(cluster) else {
        return Ok(Leftover::None);
    };
    let Some(pid) = Pid::from_raw(running.pid) else {
        return Ok(Leftover::None);
    };
    if rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
        return Ok(Leftover::None);
    }
    if is_server_of(running.pid, cluster) {
        return Ok(Leftover::Orphan(pid));
    }
    let file = pid_file(cluster);
    std::fs::remove_file(&file).context("remove the stale", &file)?;
    Ok(Leftover::None)
}

/// Asks a server to end: connections are cut, changes are written.
pub(crate) fn ask_fast_shutdown(pid: Pid) {
    if let Err(error) = rustix::process::kill_process(pid, Signal::INT) {
        tracing::debug!(pid = pid.as_raw_nonzero().get(), %error, "the PostgreSQL server could not be signalled");
    }
}

/// A server's working folder is its cluster, whatever its process is called.
fn is_server_of(pid: i32, cluster: &Path) -> bool {
    let Ok(folder) = std::fs::read_link(format!("/proc/{pid}/cwd")) else {
        return false;
    };
    cluster.canonicalize().is_ok_and(|cluster| cluster == folder)
}

fn pid_file(cluster: &Path) -> PathBuf {
    cluster.join("postmaster.pid")
}

/// `postgres:///db?host=/folder&port=…&user=…`, every value percent-encoded. The parts that a client would otherwise
/// take from its environment (PGPORT, PGSSLMODE) are always given.
pub(crate) fn socket_url(socket_dir: &Path, port: u16, user: &str, database: &str) -> String {
    format!(
        "postgres:///{}?host={}&port={port}&user={}&sslmode=disable",
        percent_encode(database.as_bytes()),
        percent_encode(socket_dir.as_os_str().as_encoded_bytes()),
        percent_encode(user.as_bytes()),
    )
}

fn percent_encode(bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_odd_folders() {
        let url = socket_url(Path::new("/tmp/a b/ü"), 5432, "carrel_owner", "my db");
        assert_eq!(url, "postgres:///my%20db?host=%2Ftmp%2Fa%20b%2F%C3%BC&port=5432&user=carrel_owner&sslmode=disable");
    }

    #[test]
    fn a_stale_file_of_an_unrelated_process_is_removed() {
        let cluster = tempfile::tempdir().expect("folder");
        let own = std::process::id();
        std::fs::write(cluster.path().join("postmaster.pid"), format!("{own}\n/x\n1\n5432\n/sock\n\n\nready\n"))
            .expect("write");
        assert!(Running::read(cluster.path()).is_some_and(|running| running.ready && running.port == 5432));
        assert!(matches!(leftover(cluster.path()), Ok(Leftover::None)));
        assert!(!cluster.path().join("postmaster.pid").exists());
    }
}
