//! Backups as configured: where they go, what is due, and how old the newest is.

use crate::error::AssemblyError;
use crate::install::signing_key;
use crate::parts::SystemClock;
use crate::store::{configured, objects_at};
use carrel_backup::{Kind, Lock, Method, Programs, Repository, Signed, Source, Wish};
use carrel_operations::{Clock, TokenIssuer};
use carrel_postgres::Installation;
use carrel_runtime::config::{BackupMethod, Settings};
use carrel_storage::Admin;
use chrono::{DateTime, Duration, Utc};
use object_store::ObjectStore;
use secrecy::{ExposeSecret, SecretString};
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How often the destination is asked for its newest backup.
const BEAT: std::time::Duration = std::time::Duration::from_secs(60);

/// What a backup needs of the settings.
#[derive(Debug)]
pub struct Backups {
    settings: Settings,
    objects: Arc<dyn ObjectStore>,
    /// The instance's key, where this machine has it.
    key: Option<SecretString>,
}

impl Backups {
    /// The destination of the settings, or another one.
    pub fn new(settings: &Settings, destination: Option<&str>) -> Result<Self, AssemblyError> {
        let missing = AssemblyError::Missing {
            key: "backup.destination",
            advice: "name a folder (file:///…) or a bucket (s3://…) on another disk or place",
        };
        let destination = destination.or(settings.backup.destination.as_deref()).ok_or(missing)?;
        let objects = objects_at(settings, destination)?;
        Ok(Self { settings: settings.clone(), objects, key: instance_key(settings)? })
    }

    /// The destination itself.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// Opens the destination with the keys of the settings.
    pub async fn open(&self) -> Result<Repository, AssemblyError> {
        let chosen = &self.settings.backup;
        let lock = Lock {
            recipient: chosen.recipient.clone(),
            identity: chosen.identity.clone(),
            passphrase: chosen.passphrase.clone(),
        };
        let key = self.signer()?;
        Ok(Repository::open(Arc::clone(&self.objects), &lock, key.as_ref()).await?)
    }

    /// The key that signs, where this machine has it.
    pub fn signer(&self) -> Result<Option<carrel_bundle::SigningKey>, AssemblyError> {
        let Some(pem) = &self.key else { return Ok(None) };
        let issuer = TokenIssuer::new(pem.expose_secret(), "backup", Duration::zero());
        let issuer =
            issuer.map_err(|error| AssemblyError::Setting { key: "auth.signing_key", problem: error.to_string() })?;
        Ok(Some(issuer.bundle_key().clone()))
    }

    /// PostgreSQL's programs: the settings' folder, then the private server's.
    pub fn programs(&self) -> Programs {
        let mut folders: Vec<PathBuf> = self.settings.backup.programs.iter().cloned().collect();
        if let Ok(found) = Installation::discover(self.settings.database.embedded.bin_dir.as_deref()) {
            folders.push(found.bin_dir().to_owned());
        }
        Programs { folders }
    }

    /// How the database is copied.
    pub fn method(&self) -> Method {
        match self.settings.backup.database {
            BackupMethod::None => Method::None,
            BackupMethod::Base => Method::Base,
            BackupMethod::PgBackRest => Method::PgBackRest,
            BackupMethod::Auto if self.settings.database.url.is_none() => Method::Base,
            BackupMethod::Auto | BackupMethod::Dump => Method::Dump,
        }
    }

    /// Time between incremental backups.
    pub fn each(&self) -> Duration {
        let usual = if self.method() == Method::Base { 15 } else { 60 };
        Duration::minutes(self.settings.backup.incremental_minutes.unwrap_or(usual).cast_signed())
    }

    /// The kind that is due now; `None` while none is.
    pub async fn due(&self) -> Result<Option<Kind>, AssemblyError> {
        let listed = carrel_backup::list(self.objects.as_ref()).await?;
        let full = Duration::hours(self.settings.backup.full_hours.cast_signed());
        Ok(carrel_backup::due(&listed, SystemClock.now(), full, self.each()))
    }

    /// Makes a backup of the database at `url`, which `owner` is connected to, and of the originals.
    pub async fn make(&self, owner: &Admin, url: &str, kind: Kind) -> Result<Signed, AssemblyError> {
        let key = self.signer()?.ok_or(AssemblyError::Missing {
            key: "auth.signing_key",
            advice: "backups are signed with it; name its file in CARREL__AUTH__SIGNING_KEY_FILE",
        })?;
        let repository = self.open().await?;
        let (programs, store) = (self.programs(), configured(&self.settings)?);
        let folder = self.settings.database.embedded.data_dir.clone();
        let spool = folder.unwrap_or_else(|| carrel_postgres::data_dir().join("postgres")).join("backup-wal");
        let source = Source {
            owner,
            url,
            programs: &programs,
            stanza: self.settings.backup.stanza.as_deref(),
            spool: &spool,
            originals: &store,
            signing_key: self.key.as_ref(),
        };
        let version = carrel_runtime::build::VERSION.to_owned();
        let wish = Wish { kind, method: self.method(), now: SystemClock.now(), version };
        Ok(carrel_backup::create(&repository, &source, &wish, &key, &|| SystemClock.now()).await?)
    }

    /// What is wrong with the newest backup in pgBackRest's repository; `None` where it did not make one.
    pub async fn fault_of_pgbackrest(&self, repository: &Repository) -> Result<Option<String>, AssemblyError> {
        let Some(last) = repository.backups().await?.pop() else { return Ok(None) };
        // A manifest that cannot be read is reported by the check of the destination.
        let Ok(signed) = repository.manifest(&last.id).await else { return Ok(None) };
        let Some(outside) = signed.manifest.database.and_then(|part| part.outside) else { return Ok(None) };
        let fault = carrel_backup::pgbackrest::fault(&outside, &self.programs()).await?;
        Ok(fault.map(|fault| format!("backup {}: {fault}", last.id)))
    }

    /// How long backups are kept.
    pub fn keep(&self) -> carrel_backup::Keep {
        carrel_backup::Keep {
            all: Duration::hours(self.settings.backup.keep_hours.cast_signed()),
            daily: Duration::days(self.settings.backup.keep_days.cast_signed()),
        }
    }

    /// When the newest backup was begun.
    pub async fn newest(&self) -> Result<Option<DateTime<Utc>>, AssemblyError> {
        Ok(carrel_backup::list(self.objects.as_ref()).await?.last().map(|listed| listed.at))
    }
}

/// The key of the settings, or the one that `carrel up` made.
fn instance_key(settings: &Settings) -> Result<Option<SecretString>, AssemblyError> {
    if let Some(key) = &settings.auth.signing_key {
        return Ok(Some(key.clone()));
    }
    let path = carrel_postgres::data_dir().join("signing-key.pem");
    path.exists().then(|| signing_key(&path)).transpose()
}

/// Puts a restored key where `carrel up` looks for it, unless there is one; answers whether it was put there.
pub fn keep_signing_key(pem: &str) -> Result<bool, AssemblyError> {
    let path = carrel_postgres::data_dir().join("signing-key.pem");
    if path.exists() {
        return Ok(false);
    }
    crate::install::write_private(&path, pem)?;
    Ok(true)
}

/// Exports the age of the newest backup until the stop. Nothing is asked where no destination is set.
pub(crate) fn watch(settings: &Settings, stop: &CancellationToken) -> Result<(), AssemblyError> {
    if settings.backup.destination.is_none() {
        return Ok(());
    }
    let backups = Backups::new(settings, None)?;
    let stop = stop.clone();
    tokio::spawn(async move {
        let mut told = false;
        loop {
            match backups.newest().await {
                Ok(newest) => {
                    let at = newest.map_or(0, |at| at.timestamp());
                    metrics::gauge!("carrel_backup_last_success_timestamp_seconds").set(at as f64);
                    told = false;
                }
                Err(error) => {
                    if !told {
                        tracing::warn!(error = &error as &dyn std::error::Error, "the backups cannot be listed");
                    }
                    told = true;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                () = stop.cancelled() => return,
            }
        }
    });
    Ok(())
}

/// Makes what is due, and removes what is old, until the stop: the timer of `carrel up`.
pub(crate) fn keep_backing_up(settings: &Settings, url: String, stop: &CancellationToken) -> Result<(), AssemblyError> {
    if settings.backup.destination.is_none() {
        return Ok(());
    }
    let backups = Backups::new(settings, None)?;
    let stop = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                () = stop.cancelled() => return,
            }
            let made = tokio::select! {
                made = make_due(&backups, &url) => made,
                () = stop.cancelled() => return,
            };
            match made {
                Ok(Some(made)) => {
                    tracing::info!(backup = made.manifest.id, new_bytes = made.manifest.new_bytes, "a backup was made");
                }
                Ok(None) => {}
                Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "no backup was made"),
            }
        }
    });
    Ok(())
}

async fn make_due(backups: &Backups, url: &str) -> Result<Option<Signed>, AssemblyError> {
    let Some(kind) = backups.due().await? else { return Ok(None) };
    let owner = Admin::connect(url).await?;
    let made = backups.make(&owner, url, kind).await;
    if made.is_ok() && kind == Kind::Full {
        prune(backups, &owner).await?;
    }
    owner.close().await;
    made.map(Some)
}

/// Removes old backups; while that is done, none is made.
pub async fn prune(backups: &Backups, owner: &Admin) -> Result<carrel_backup::Pruned, AssemblyError> {
    let lock = owner.lock_backups().await?.ok_or(carrel_backup::BackupError::Busy)?;
    let repository = backups.open().await?;
    let pruned = carrel_backup::prune(&repository, backups.keep(), SystemClock.now()).await;
    lock.release().await?;
    Ok(pruned?)
}
