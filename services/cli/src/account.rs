//! As whom `carrel admin` may run.

use anyhow::{Result, bail};
use carrel_runtime::config::{Settings, StoreKind};
use std::os::unix::fs::MetadataExt;

/// Refuses to work as root where the originals belong to another account: what root writes there, the services could neither
/// replace nor delete.
pub(crate) fn must_fit(settings: &Settings) -> Result<()> {
    if !rustix::process::geteuid().is_root() || settings.store.kind != StoreKind::Directory {
        return Ok(());
    }
    let folder = settings.store.path.clone().unwrap_or_else(|| carrel_postgres::data_dir().join("objects"));
    let Ok(metadata) = std::fs::metadata(&folder) else { return Ok(()) };
    if metadata.uid() == 0 {
        return Ok(());
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find(|line| line.split(':').nth(2) == Some(&metadata.uid().to_string()));
    let name = name.and_then(|line| line.split(':').next()).unwrap_or("ACCOUNT");
    bail!("the originals in {} belong to {name}: run `runuser -u {name} -- carrel admin …`", folder.display())
}
