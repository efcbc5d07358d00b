//! The credentials file: which server, as which client. Readable by its owner only.

use anyhow::{Context, Result, anyhow};
use carrel_client::Credentials;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    url: String,
    client_id: String,
    client_secret: String,
}

/// `CARREL_CREDENTIALS`, else `credentials.json` in the user's configuration folder (XDG Base Directory).
pub(crate) fn path() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CARREL_CREDENTIALS") {
        return Ok(path.into());
    }
    let folder = match std::env::var_os("XDG_CONFIG_HOME") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => own_folder()?,
    };
    Ok(folder.join("carrel/credentials.json"))
}

#[cfg(not(windows))]
fn own_folder() -> Result<PathBuf> {
    Ok(PathBuf::from(std::env::var_os("HOME").ok_or_else(|| anyhow!("HOME is not set"))?).join(".config"))
}

#[cfg(windows)]
fn own_folder() -> Result<PathBuf> {
    Ok(PathBuf::from(std::env::var_os("APPDATA").ok_or_else(|| anyhow!("APPDATA is not set"))?))
}

/// The credentials to use: from the environment (CARREL_CLIENT_ID and CARREL_CLIENT_SECRET with a URL), else the file.
pub(crate) fn load(url: Option<&str>) -> Result<Credentials> {
    let id = std::env::var("CARREL_CLIENT_ID").ok().filter(|id| !id.is_empty());
    let secret = std::env::var("CARREL_CLIENT_SECRET").ok().filter(|secret| !secret.is_empty());
    if let (Some(client_id), Some(client_secret)) = (id, secret) {
        let url = url.unwrap_or("http://127.0.0.1:8080").trim_end_matches('/').to_owned();
        return Ok(Credentials { url, client_id, client_secret: client_secret.into() });
    }
    let path = path()?;
    let advice = || {
        format!(
            "there are no credentials at {}; start Carrel here with `carrel up`, or set CARREL_URL, CARREL_CLIENT_ID and \
             CARREL_CLIENT_SECRET to those that `carrel admin client create` printed",
            path.display()
        )
    };
    let text = std::fs::read_to_string(&path).with_context(advice)?;
    let file: File = serde_json::from_str(&text).with_context(|| format!("{} cannot be read", path.display()))?;
    let url = url.map_or(file.url, |url| url.trim_end_matches('/').to_owned());
    Ok(Credentials { url, client_id: file.client_id, client_secret: file.client_secret.into() })
}

/// Reads the file, if there is one that can be read.
pub(crate) fn known() -> Option<Credentials> {
    let text = std::fs::read_to_string(path().ok()?).ok()?;
    let file: File = serde_json::from_str(&text).ok()?;
    Some(Credentials { url: file.url, client_id: file.client_id, client_secret: file.client_secret.into() })
}

/// Writes the file so that only its owner can read it.
pub(crate) fn save(credentials: &Credentials) -> Result<PathBuf> {
    let path = path()?;
    let file = File {
        url: credentials.url.clone(),
        client_id: credentials.client_id.clone(),
        client_secret: credentials.client_secret.expose_secret().to_owned(),
    };
    write_private(&path, &serde_json::to_string_pretty(&file)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}

/// Writes a file of mode 0600 in one step. (On Windows, a user's own folders are closed to others.)
pub(crate) fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        private_folder(folder)?;
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    // A draft that an interrupted run left could have other permissions.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&draft, path)
}

fn private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
