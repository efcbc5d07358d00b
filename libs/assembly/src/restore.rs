//! Restoring: to the private server, to the database of the settings, or to a folder for a server of one's own.

use crate::backup::{Backups, keep_signing_key};
use crate::embedded::{DATABASE, LOGIN};
use crate::error::AssemblyError;
use crate::install::login_of;
use crate::parts::SystemIds;
use crate::store::configured;
use carrel_backup::pgbackrest::{self, Replay};
use carrel_backup::{BackupError, Choice, Manifest, Method, PutBack, Repository, Signed, Trust, restore as steps};
use carrel_postgres::{Incoming, Installation, SUPERUSER, Server, ServerConfig};
use carrel_runtime::config::Settings;
use carrel_storage::Admin;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest replay of the log of a day.
const REPLAY_LIMIT: Duration = Duration::from_hours(12);

/// What is restored, and where to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which backup.
    pub choice: Choice,
    /// Keys whose signatures are believed besides the instance's own.
    pub signed_by: Vec<String>,
    /// A folder for the copied cluster, where PostgreSQL is run by somebody else.
    pub cluster: Option<PathBuf>,
    /// The database, the originals, or both.
    pub parts: Restoring,
    /// Whether originals may be in the store already; they are kept, and what is lacking is added.
    pub filled_store: FilledStore,
}

/// What is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restoring {
    /// Both.
    All,
    /// The database alone.
    Database,
    /// The originals alone.
    Originals,
}

/// What a store that has originals means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilledStore {
    /// Nothing is restored.
    Refuse,
    /// What it lacks is added.
    Complete,
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// From which backup.
    pub signed: Signed,
    /// To which moment.
    pub moment: DateTime<Utc>,
    /// Rows that were compared with the manifest; `None` where a log was replayed, which has its own checks.
    pub rows: Option<i64>,
    /// The originals.
    pub originals: Option<PutBack>,
    /// Whether the signing key was put in its place.
    pub key_restored: bool,
    /// The private server, running until it is stopped.
    pub server: Option<Server>,
    /// The folder of the cluster that somebody else is to start.
    pub cluster: Option<PathBuf>,
    /// How much of its archive pgBackRest will replay there.
    pub replay: Option<Replay>,
}

/// Restores as `target` says. Every digest is compared on its way; a fault ends it before anything looks whole.
pub async fn restore(settings: &Settings, backups: &Backups, target: &Target) -> Result<Restored, AssemblyError> {
    let repository = backups.open().await?;
    let mut trust = Trust { keys: target.signed_by.clone() };
    trust.keys.extend(backups.signer()?.map(|key| key.thumbprint()));
    let (signed, moment) = steps::choose(&repository, &target.choice, &trust).await?;
    let manifest = &signed.manifest;
    let store = configured(settings)?;
    let wants_originals = target.parts != Restoring::Database;
    if wants_originals && target.filled_store == FilledStore::Refuse && !store.is_empty().await? {
        let what = "the store of originals".to_owned();
        let advice = "name an empty one, or add --complete-store: what is there stays, is compared, and what is lacking is added";
        return Err(BackupError::NotEmpty { what, advice }.into());
    }
    let mut restored = Restored {
        moment: moment.unwrap_or_else(|| manifest.restores_to()),
        signed: signed.clone(),
        rows: None,
        originals: None,
        key_restored: false,
        server: None,
        cluster: None,
        replay: None,
    };
    if target.parts != Restoring::Originals {
        restore_database(settings, backups, &repository, manifest, moment, target, &mut restored).await?;
    }
    if wants_originals {
        restored.originals = Some(steps::originals(&repository, manifest, &store, &SystemIds).await?);
    }
    if settings.database.url.is_none()
        && settings.auth.signing_key.is_none()
        && let Some(pem) = steps::signing_key(&repository, manifest).await?
    {
        restored.key_restored = keep_signing_key(&pem)?;
    }
    Ok(restored)
}

async fn restore_database(
    settings: &Settings,
    backups: &Backups,
    repository: &Repository,
    manifest: &Manifest,
    moment: Option<DateTime<Utc>>,
    target: &Target,
    restored: &mut Restored,
) -> Result<(), AssemblyError> {
    let Some(part) = &manifest.database else {
        let words = "the backup holds no database (backup.database: none): restore that with what copied it, then run this with --only originals";
        return Err(BackupError::NoBackup(words.to_owned()).into());
    };
    let programs = backups.programs();
    if let Some(outside) = &part.outside {
        let Some(folder) = &target.cluster else {
            let words = format!(
                "backup {} of pgBackRest's stanza {} holds the database: restore it with --cluster FOLDER, the server's own, which must be empty; start PostgreSQL on it, then run this with --only originals",
                outside.label, outside.stanza
            );
            return Err(BackupError::NoBackup(words).into());
        };
        let replay = match (&target.choice, moment) {
            (Choice::Newest, _) => Replay::Everything,
            (Choice::Moment(_), Some(moment)) => Replay::Moment(moment),
            (Choice::Id(_) | Choice::Moment(_), _) => Replay::Backup,
        };
        std::fs::create_dir_all(folder)?;
        pgbackrest::restore(outside, folder, &replay, &programs).await?;
        restored.cluster = Some(folder.clone());
        restored.replay = Some(replay);
        return Ok(());
    }
    if let Some(folder) = &target.cluster {
        if part.method != Method::Base {
            let words = "the backup holds a dump, no cluster: leave --cluster out";
            return Err(BackupError::NoBackup(words.to_owned()).into());
        }
        std::fs::create_dir_all(folder)?;
        steps::unpack_cluster(repository, part, folder, moment, &programs).await?;
        restored.cluster = Some(folder.clone());
        return Ok(());
    }
    if let Some(url) = settings.database.admin_url.as_ref().or(settings.database.url.as_ref()) {
        if part.method == Method::Base {
            let words = "the backup holds a copy of the cluster: restore it with --cluster FOLDER, start PostgreSQL on that folder, then run this with --only originals";
            return Err(BackupError::NoBackup(words.to_owned()).into());
        }
        let owner = Admin::connect(url.expose_secret()).await?;
        steps::load_dump(repository, part, &owner, url.expose_secret(), &programs).await?;
        restored.rows = Some(steps::compare(part, &owner).await?);
        owner.migrate().await?;
        if let Some((login, password)) = settings.database.url.as_ref().and_then(|url| login_of(url.expose_secret()))
            && settings.database.admin_url.is_some()
        {
            owner.ensure_login(&login, password.as_deref()).await?;
        }
        owner.close().await;
        return Ok(());
    }
    let folder =
        settings.database.embedded.data_dir.clone().unwrap_or_else(|| carrel_postgres::data_dir().join("postgres"));
    let installation = Installation::discover(settings.database.embedded.bin_dir.as_deref())?;
    let server = if part.method == Method::Base {
        replay(repository, part, &folder, moment, backups, installation).await?
    } else {
        let incoming = Incoming::begin(&folder)?;
        drop(incoming);
        let server = Server::start(ServerConfig::new(installation, folder)).await?;
        Admin::ensure_database(&server.url(SUPERUSER, "postgres"), DATABASE).await?;
        let url = server.url(SUPERUSER, DATABASE);
        let owner = Admin::connect(&url).await?;
        steps::load_dump(repository, part, &owner, &url, &programs).await?;
        restored.rows = Some(steps::compare(part, &owner).await?);
        owner.close().await;
        server
    };
    let owner = Admin::connect(&server.url(SUPERUSER, DATABASE)).await?;
    owner.migrate().await?;
    owner.ensure_login(LOGIN, None).await?;
    owner.close().await;
    restored.server = Some(server);
    Ok(())
}

/// Unpacks the cluster, lets the private server replay its log, and waits until it takes connections.
async fn replay(
    repository: &Repository,
    part: &carrel_backup::DatabasePart,
    folder: &Path,
    moment: Option<DateTime<Utc>>,
    backups: &Backups,
    installation: Installation,
) -> Result<Server, AssemblyError> {
    let major = part.server / 10_000;
    if u32::try_from(major) != Ok(installation.major()) {
        let problem = format!(
            "the backup is a copy of a cluster of PostgreSQL {major}, and {} is installed: name version {major} in database.embedded.bin_dir",
            installation.version()
        );
        return Err(AssemblyError::Setting { key: "database.embedded.bin_dir", problem });
    }
    let incoming = Incoming::begin(folder)?;
    let unpacked = incoming.folder().to_owned();
    steps::unpack_cluster(repository, part, &unpacked, moment, &backups.programs()).await?;
    let cluster = incoming.finish()?;
    let mut config = ServerConfig::new(installation, folder);
    config.start_limit = REPLAY_LIMIT;
    let server = match Server::start(config).await {
        Ok(server) => server,
        Err(error) => {
            // It must not look like a cluster that is in use.
            let aside = folder.join("cluster.failed");
            let _ = std::fs::remove_dir_all(&aside);
            std::fs::rename(&cluster, &aside)?;
            return Err(error.into());
        }
    };
    let owner = Admin::connect(&server.url(SUPERUSER, DATABASE)).await?;
    while owner.is_recovering().await? {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    owner.close().await;
    steps::end_recovery(&cluster)?;
    Ok(server)
}
