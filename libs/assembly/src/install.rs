//! What an installation needs before its services start. Each step leaves alone what is there already.

use crate::embedded::StartedClient;
use crate::error::{AssemblyError, io};
use crate::parts::{SystemClock, SystemIds};
use carrel_domain::{ClientId, IdSource, Scopes, WorkspaceId};
use carrel_operations::{Clock, TokenIssuer, new_secret};
use carrel_runtime::config::Settings;
use carrel_storage::{Admin, NewClient};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use std::path::{Path, PathBuf};

const WORKSPACE: &str = "default";

/// Brings the schema to what this program needs, as `database.admin_url`; makes the login that `database.url` names,
/// with the password it names; writes a signing key to `key` unless there is one.
pub async fn install(settings: &Settings, key: Option<&Path>) -> Result<Admin, AssemblyError> {
    let missing = |key, advice| AssemblyError::Missing { key, advice };
    let database = &settings.database;
    let owner = database.admin_url.as_ref().ok_or_else(|| {
        missing("database.admin_url", "name the owner of the schema, for example in CARREL__DATABASE__ADMIN_URL_FILE")
    })?;
    let service = database.url.as_ref().ok_or_else(|| {
        missing("database.url", "name the services' login, for example in CARREL__DATABASE__URL_FILE")
    })?;
    let (login, password) = login_of(service.expose_secret()).ok_or_else(|| AssemblyError::Setting {
        key: "database.url",
        problem: "names no login; write postgres://login:password@host/database".to_owned(),
    })?;
    let admin = Admin::connect(owner.expose_secret()).await?;
    admin.migrate().await?;
    admin.ensure_login(&login, password.as_deref()).await?;
    if let Some(path) = key {
        signing_key(path)?;
    }
    Ok(admin)
}

/// Login and password of postgres://login:password@host/database.
pub(crate) fn login_of(url: &str) -> Option<(String, Option<String>)> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let decode = |text: &str| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    let (login, password) = match user.split_once(':') {
        Some((login, password)) => (decode(login)?, Some(decode(password)?)),
        None => (decode(user)?, None),
    };
    (!login.is_empty()).then_some((login, password))
}

/// The key at `path`, made when there is none.
pub(crate) fn signing_key(path: &Path) -> Result<SecretString, AssemblyError> {
    if !path.exists() {
        write_private(path, &TokenIssuer::generate_key())?;
    }
    let key = std::fs::read_to_string(path).map_err(io(format!("{} cannot be read", path.display())))?;
    Ok(key.into())
}

/// Writes a file that only its owner can read, in one step.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), AssemblyError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let failed = || io(format!("{} cannot be written", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed())?;
    }
    let mut draft: PathBuf = path.to_owned();
    draft.set_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&draft).map_err(failed())?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed())?;
    std::fs::rename(&draft, path).map_err(failed())
}

/// A client that may do everything, unless `known` is one that the database knows.
pub async fn first_client(
    admin: &Admin,
    name: &str,
    known: Option<ClientId>,
) -> Result<Option<StartedClient>, AssemblyError> {
    let clients = admin.list_clients().await?;
    let good = |id: ClientId| clients.iter().any(|client| client.id == id && client.revoked_at.is_none());
    if known.is_some_and(good) {
        return Ok(None);
    }
    let now = SystemClock.now();
    let workspace = admin.ensure_workspace(WORKSPACE, WorkspaceId(SystemIds.new_id()), now).await?;
    let (secret, secret_digest) = new_secret();
    let id = ClientId(SystemIds.new_id());
    let client = NewClient { id, workspace, name, secret_digest, scopes: &Scopes::all(), now };
    admin.create_client(&client).await?;
    Ok(Some(StartedClient { id, secret: secret.into() }))
}

#[cfg(test)]
mod tests {
    use super::{first_client, install, login_of};
    use crate::parts::Parts;
    use carrel_runtime::config::Settings;
    use carrel_testkit::TestDatabase;
    use secrecy::ExposeSecret;

    #[test]
    fn logins_are_read_from_addresses() {
        let both = |login: &str, password: Option<&str>| Some((login.to_owned(), password.map(str::to_owned)));
        for (url, login) in [
            ("postgres://carrel:s3cret@db:5432/carrel", both("carrel", Some("s3cret"))),
            ("postgres://carrel:p%40%2Fss@db/carrel?sslmode=require", both("carrel", Some("p@/ss"))),
            ("postgres://carrel@db/carrel", both("carrel", None)),
            ("postgres://db/carrel?note=a@b", None),
            ("postgres://:x@db/carrel", None),
            ("carrel", None),
        ] {
            assert_eq!(login_of(url), login, "{url}");
        }
    }

    #[tokio::test]
    async fn installing_again_keeps_key_and_client() {
        let test = TestDatabase::create().await;
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("keys/signing.pem");
        let mut settings = Settings::defaults().unwrap();
        settings.database.admin_url = Some(test.owner_url.clone().into());
        settings.database.url = Some(test.service_url.clone().into());
        settings.store.path = Some(folder.path().join("objects"));

        let admin = install(&settings, Some(&key)).await.unwrap();
        let written = std::fs::read_to_string(&key).unwrap();
        let client = first_client(&admin, "first", None).await.unwrap().unwrap();
        assert!(client.secret.expose_secret().len() > 20);
        admin.close().await;
        Parts::new(&settings, "test").unwrap().database.check_role().await.unwrap();

        let admin = install(&settings, Some(&key)).await.unwrap();
        assert_eq!(std::fs::read_to_string(&key).unwrap(), written);
        assert!(first_client(&admin, "first", Some(client.id)).await.unwrap().is_none());
        assert_eq!(admin.list_clients().await.unwrap().len(), 1);
        admin.close().await;
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let mut settings = Settings::defaults().unwrap();
        let error = install(&settings, None).await.unwrap_err().to_string();
        assert!(error.starts_with("database.admin_url is not set; "), "{error}");
        settings.database.admin_url = Some("postgres://owner@db/carrel".to_owned().into());
        settings.database.url = Some("postgres://db/carrel".to_owned().into());
        let error = install(&settings, None).await.unwrap_err().to_string();
        assert!(error.starts_with("database.url: names no login"), "{error}");
    }
}
