//! What `carrel setup` sees of the machine: folders, accounts, programs.

use anyhow::{Context, Result, anyhow, bail};
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where an installation lives. A test puts it elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Settings and secrets.
    pub(super) etc: PathBuf,
    /// Originals and models.
    pub(super) state: PathBuf,
}

impl Places {
    pub(super) fn system(etc: &Path) -> Self {
        Self { etc: etc.to_owned(), state: PathBuf::from("/var/lib/carrel") }
    }

    pub(super) fn settings(&self) -> PathBuf {
        self.etc.join("production.yaml")
    }

    pub(super) fn owner(&self) -> PathBuf {
        self.etc.join(crate::commands::OWNER_FILE)
    }

    pub(super) fn secret(&self, name: &str) -> PathBuf {
        self.etc.join("secrets").join(name)
    }

    /// The packages' postrm(1) asks for this before it drops a database of this machine.
    pub(super) fn local_database_mark(&self) -> PathBuf {
        self.state.join(".local-database")
    }
}

/// An account of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    pub(super) fn find(name: &str) -> Result<Option<Self>> {
        let text = std::fs::read_to_string("/etc/passwd").context("/etc/passwd cannot be read")?;
        Ok(Self::parse(&text, name))
    }

    /// A line of passwd(5).
    fn parse(passwd: &str, name: &str) -> Option<Self> {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(Self { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    }
}

/// A command with a plain environment, so that neither a language nor a proxy of PostgreSQL's variables changes its answer.
pub(super) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for name in ["PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGSERVICE", "PGCLUSTER", "PGOPTIONS"] {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    command
}

/// Runs a command to its end; `Ok` with what it printed when it ends with 0.
pub(super) fn run(command: &mut Command, what: &str) -> Result<String> {
    let output = command.output().with_context(|| format!("{what}: {} cannot be started", name_of(command)))?;
    finish(&output, what, &name_of(command))
}

/// The same, with `input` on its standard input: passwords do not belong among arguments, which all can read.
pub(super) fn feed(command: &mut Command, input: &str, what: &str) -> Result<String> {
    let name = name_of(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{what}: {name} cannot be started"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).with_context(|| format!("{what}: {name} does not listen"))?;
    }
    let output = child.wait_with_output().with_context(|| format!("{what}: {name} cannot be waited for"))?;
    finish(&output, what, &name)
}

fn finish(output: &std::process::Output, what: &str, name: &str) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it says nothing");
    bail!("{what}: {name} failed ({}): {said}", output.status)
}

fn name_of(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// True when a program of that name can be found.
pub(super) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Debian's packages of these names, installed without what they only recommend.
pub(super) fn apt_install(packages: &[String]) -> Result<()> {
    let mut apt = command("apt-get");
    apt.args(["install", "--yes", "--no-install-recommends", "--quiet"]).args(packages);
    run(&mut apt, &format!("installing {}", packages.join(" ")))?;
    Ok(())
}

/// A folder that belongs to `owner`, with exactly this mode.
pub(super) fn folder(path: &Path, owner: Account, mode: u32) -> Result<()> {
    let problem = || format!("{} cannot be made", path.display());
    std::fs::create_dir_all(path).with_context(problem)?;
    chown(path, Some(owner.uid), Some(owner.gid)).with_context(problem)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode)).with_context(problem)
}

/// True when the folder is there and belongs to `owner`.
pub(super) fn owned_by(path: &Path, owner: Account) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == owner.uid)
}

/// Writes a file in one step that root may change and the group of `reader` may read.
pub(super) fn secret_file(path: &Path, text: &str, reader: Account) -> Result<()> {
    write(path, text, 0o640, 0, reader.gid)
}

/// The same for a file that everybody may read.
pub(super) fn public_file(path: &Path, text: &str) -> Result<()> {
    write(path, text, 0o644, 0, 0)
}

fn write(path: &Path, text: &str, mode: u32, uid: u32, gid: u32) -> Result<()> {
    let problem = || format!("{} cannot be written", path.display());
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).with_context(problem),
        _ => {}
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).with_context(problem)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(problem)?;
    chown(&draft, Some(uid), Some(gid)).with_context(problem)?;
    std::fs::set_permissions(&draft, Permissions::from_mode(mode)).with_context(problem)?;
    std::fs::rename(&draft, path).with_context(problem)
}

/// The content of a file, `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(anyhow!(error).context(format!("{} cannot be read", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, command, feed, folder, owned_by, public_file, read, run, secret_file};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn accounts_are_found_by_their_whole_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\ncarrel2:x:7:8::/:/bin/false\ncarrel:x:998:997::/:/bin/false\n";
        assert_eq!(Account::parse(passwd, "carrel"), Some(Account { uid: 998, gid: 997 }));
        assert_eq!(Account::parse(passwd, "carr"), None);
        assert_eq!(Account::parse("carrel:x:many", "carrel"), None);
    }

    #[test]
    fn a_failure_says_what_the_program_said_last() {
        let error = run(command("sh").args(["-c", "echo one >&2; echo two >&2; exit 3"]), "trying").unwrap_err();
        assert_eq!(error.to_string(), "trying: sh failed (exit status: 3): two");
        assert_eq!(feed(&mut command("cat"), "secret", "trying").unwrap(), "secret");
        let error = run(&mut command("no-such-program"), "trying").unwrap_err();
        assert_eq!(error.to_string(), "trying: no-such-program cannot be started");
    }

    #[test]
    fn secrets_are_for_their_reader_alone() {
        let place = tempfile::tempdir().unwrap();
        let metadata = std::fs::metadata(place.path()).unwrap();
        let me = Account { uid: metadata.uid(), gid: metadata.gid() };
        let inner = place.path().join("a/b");
        folder(&inner, me, 0o750).unwrap();
        assert!(owned_by(&inner, me) && !owned_by(&inner, Account { uid: me.uid + 1, gid: 0 }));
        let path = inner.join("key");
        assert_eq!(read(&path).unwrap(), None);
        // Only root may give files away; everybody else writes nothing rather than too much.
        if me.uid == 0 {
            secret_file(&path, "x", me).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
            public_file(&path, "y").unwrap();
            assert_eq!(read(&path).unwrap().as_deref(), Some("y"));
            assert!(!inner.join("key.new").exists());
        } else {
            secret_file(&path, "x", me).unwrap_err();
            assert_eq!(read(&path).unwrap(), None);
        }
    }
}
