//! Which account the server runs as, and whether it can reach its files.

use crate::error::{IoContext, PostgresError};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// In order of preference: the service's own account, the distribution's database account, the account of last resort.
const PREFERRED: [&str; 3] = ["carrel", "postgres", "nobody"];

/// Who owns the cluster and runs the server.
#[derive(Clone, Debug)]
pub(crate) enum Account {
    /// The server runs as we do.
    Own,
    /// We are root and hand the cluster to someone else.
    Other { name: String, uid: u32, gid: u32 },
}

impl Account {
    /// Decides for a cluster folder. An existing cluster keeps its owner, whatever accounts were added since.
    pub(crate) fn choose(cluster: &Path) -> Result<Self, PostgresError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let accounts = std::fs::read_to_string("/etc/passwd").context("read", Path::new("/etc/passwd"))?;
        if let Ok(metadata) = std::fs::metadata(cluster.join("PG_VERSION"))
            && metadata.uid() != 0
        {
            let name = find(&accounts, |_, uid| uid == metadata.uid()).map(|(name, ..)| name);
            return Ok(Self::Other {
                name: name.unwrap_or_else(|| metadata.uid().to_string()),
                uid: metadata.uid(),
                gid: metadata.gid(),
            });
        }
        for preferred in PREFERRED {
            if let Some((name, uid, gid)) = find(&accounts, |name, uid| name == preferred && uid != 0) {
                return Ok(Self::Other { name, uid, gid });
            }
        }
        Err(PostgresError::NoAccount)
    }

    /// A command that will run as this account, with nothing of our environment: `PGDATA`, `PGPORT` and their like
    /// would change what the programs do.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C.UTF-8").env("TZ", "UTC").env("PATH", "/usr/bin:/bin").current_dir("/");
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
        command
    }

    /// Makes `dir` a folder only this account may enter.
    pub(crate) fn private_dir(&self, dir: &Path) -> Result<(), PostgresError> {
        std::fs::create_dir_all(dir).context("create", dir)?;
        if let Self::Other { uid, gid, .. } = self {
            std::os::unix::fs::chown(dir, Some(*uid), Some(*gid)).context("hand over", dir)?;
        }
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).context("protect", dir)
    }

    /// Gives a folder and everything in it to this account.
    pub(crate) fn own_all(&self, folder: &Path) -> Result<(), PostgresError> {
        let Self::Other { uid, gid, .. } = self else { return Ok(()) };
        for entry in std::fs::read_dir(folder).context("read", folder)? {
            let path = entry.context("read", folder)?.path();
            std::os::unix::fs::lchown(&path, Some(*uid), Some(*gid)).context("hand over", &path)?;
            if path.is_dir() && !path.is_symlink() {
                self.own_all(&path)?;
            }
        }
        Ok(())
    }

    /// Checks that every folder above `target` may be entered. Without this, initdb would only say that it could not
    /// access a file that plainly exists.
    pub(crate) fn check_reach(&self, target: &Path) -> Result<(), PostgresError> {
        let Self::Other { name, uid, gid } = self else {
            return Ok(());
        };
        let resolved = target.canonicalize().unwrap_or_else(|_| target.to_owned());
        for folder in resolved.ancestors().skip(1) {
            let metadata = std::fs::metadata(folder).context("inspect", folder)?;
            let needed = if metadata.uid() == *uid {
                0o100
            } else if metadata.gid() == *gid {
                0o010
            } else {
                0o001
            };
            if metadata.mode() & needed == 0 {
                return Err(PostgresError::NotTraversable {
                    account: name.clone(),
                    folder: folder.to_owned(),
                    target: PathBuf::from(target),
                });
            }
        }
        Ok(())
    }
}

/// The first line of passwd(5) text that matches: name, uid, gid.
fn find(passwd: &str, matches: impl Fn(&str, u32) -> bool) -> Option<(String, u32, u32)> {
    for line in passwd.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, ..] = fields[..] else {
            continue;
        };
        let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) else {
            continue;
        };
        if matches(name, uid) {
            return Some((name.to_owned(), uid, gid));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_and_broken_lines_skipped() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nodd:x:y:z\nnobody:x:65534:65533::/:/bin/false\n";
        let found = find(passwd, |name, _| name == "nobody");
        assert_eq!(found, Some(("nobody".to_owned(), 65534, 65533)));
        assert_eq!(find(passwd, |name, _| name == "odd"), None);
    }
}
