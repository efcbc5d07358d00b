//! Where Carrel keeps what it owns on this machine.

use std::ffi::OsString;
use std::path::PathBuf;

/// The folder of a service installed for the whole machine.
pub(crate) const SYSTEM_DATA_DIR: &str = "/var/lib/carrel";

/// The folder for everything Carrel keeps: `CARREL_DATA_DIR`, else systemd's `STATE_DIRECTORY`, else `/var/lib/carrel`
/// for root, else `${XDG_DATA_HOME:-~/.local/share}/carrel`.
pub fn data_dir() -> PathBuf {
    resolve(rustix::process::geteuid().is_root(), |name| std::env::var_os(name))
}

/// The folder for programs and models that set-up fetched: `CARREL_RUNTIME_DIR`, else `runtime` below [`data_dir`].
pub fn runtime_dir() -> PathBuf {
    match std::env::var_os("CARREL_RUNTIME_DIR") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => data_dir().join("runtime"),
    }
}

fn resolve(root: bool, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = set("CARREL_DATA_DIR").or_else(|| set("STATE_DIRECTORY")) {
        return dir;
    }
    if root {
        return PathBuf::from(SYSTEM_DATA_DIR);
    }
    if let Some(dir) = set("XDG_DATA_HOME") {
        return dir.join("carrel");
    }
    match set("HOME") {
        Some(home) => home.join(".local/share/carrel"),
        // An account without a home has no better place that survives a restart.
        None => PathBuf::from(SYSTEM_DATA_DIR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(root: bool, variables: &[(&str, &str)]) -> PathBuf {
        resolve(root, |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
    }

    #[test]
    fn the_first_answer_wins() {
        let home = ("HOME", "/home/ada");
        assert_eq!(with(false, &[home]), PathBuf::from("/home/ada/.local/share/carrel"));
        assert_eq!(with(false, &[home, ("XDG_DATA_HOME", "/data/ada")]), PathBuf::from("/data/ada/carrel"));
        assert_eq!(with(true, &[home]), PathBuf::from("/var/lib/carrel"));
        assert_eq!(with(false, &[home, ("STATE_DIRECTORY", "/var/lib/carrel")]), PathBuf::from("/var/lib/carrel"));
        assert_eq!(with(true, &[("CARREL_DATA_DIR", "/srv/carrel")]), PathBuf::from("/srv/carrel"));
        assert_eq!(with(false, &[]), PathBuf::from("/var/lib/carrel"));
    }
}
