//! Who can read a backup, and how its chunks are named.
//!
//! Chunks are encrypted to one X25519 recipient (age, <https://age-encryption.org/v1>), so that the machine that makes backups
//! need not be able to read them. With a passphrase, an identity is made once and lies in the destination, locked with the
//! passphrase (scrypt).

use crate::error::{BackupError, at};
use age::x25519::{Identity, Recipient};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;

/// Where the locked identity lies.
const LOCKED: &str = "key.age";

/// Logarithm of scrypt's cost: 64 MiB and a fraction of a second, once for each run.
const WORK: u8 = 16;

/// What a chunk is called: the first 128 bits of a keyed BLAKE3, so that names tell nobody which documents are there.
pub(crate) type Name = [u8; 16];

/// How backups are locked, as configured.
#[derive(Clone, Debug, Default)]
pub struct Lock {
    /// The recipient, `age1…`.
    pub recipient: Option<String>,
    /// The identity, `AGE-SECRET-KEY-1…`, in a text that may have comments.
    pub identity: Option<SecretString>,
    /// Instead of both.
    pub passphrase: Option<SecretString>,
}

/// The keys of an open destination.
#[derive(Clone)]
pub(crate) struct Keys {
    recipient: Option<Recipient>,
    identity: Option<Identity>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("can_read", &self.identity.is_some()).finish_non_exhaustive()
    }
}

/// A new identity, as text, and its recipient.
pub fn new_identity() -> (SecretString, String) {
    let identity = Identity::generate();
    let text = identity.to_string();
    (SecretString::from(text.expose_secret().to_owned()), identity.to_public().to_string())
}

impl Keys {
    pub(crate) async fn open(objects: &Arc<dyn ObjectStore>, lock: &Lock) -> Result<Self, BackupError> {
        let mut identity = lock.identity.as_ref().map(|text| parse_identity(text.expose_secret())).transpose()?;
        if let Some(passphrase) = &lock.passphrase {
            identity = Some(unlock(objects, passphrase.clone()).await?);
        }
        let named = lock.recipient.as_ref().map(|text| parse_recipient(text)).transpose()?;
        let own = identity.as_ref().map(Identity::to_public);
        if let (Some(named), Some(own)) = (&named, &own)
            && named.to_string() != own.to_string()
        {
            return Err(BackupError::Key(
                "backup.identity does not belong to backup.recipient: name the identity of that recipient".to_owned(),
            ));
        }
        Ok(Self { recipient: named.or(own), identity })
    }

    pub(crate) fn recipient(&self) -> Result<&Recipient, BackupError> {
        self.recipient.as_ref().ok_or_else(|| {
            BackupError::Key(
                "nothing to encrypt backups with: set backup.recipient (make one with `carrel admin backup key`) or backup.passphrase"
                    .to_owned(),
            )
        })
    }

    pub(crate) fn can_read(&self) -> bool {
        self.identity.is_some()
    }

    pub(crate) fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, BackupError> {
        age::encrypt(self.recipient()?, plain).map_err(|error| BackupError::Key(format!("encrypting failed: {error}")))
    }

    /// What went wrong is told apart: the wrong key, and bytes that are not what was encrypted.
    pub(crate) fn decrypt(&self, sealed: &[u8], what: &str) -> Result<Vec<u8>, BackupError> {
        let identity = self.identity.as_ref().ok_or_else(|| {
            BackupError::Key(
                "reading a backup needs its key: set backup.identity_file or backup.passphrase_file".to_owned(),
            )
        })?;
        age::decrypt(identity, sealed).map_err(|error| match error {
            age::DecryptError::NoMatchingKeys => BackupError::Key(
                "the backup was made for another key: name the identity of the recipient that `carrel admin backup list` shows"
                    .to_owned(),
            ),
            other => BackupError::damaged(what, other.to_string()),
        })
    }
}

fn parse_identity(text: &str) -> Result<Identity, BackupError> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    line.parse()
        .map_err(|_| BackupError::Key("backup.identity is no age identity: it begins with AGE-SECRET-KEY-1".to_owned()))
}

fn parse_recipient(text: &str) -> Result<Recipient, BackupError> {
    text.trim()
        .parse()
        .map_err(|_| BackupError::Key("backup.recipient is no age recipient: it begins with age1".to_owned()))
}

/// The identity that the passphrase locks, made when there is none.
async fn unlock(objects: &Arc<dyn ObjectStore>, passphrase: SecretString) -> Result<Identity, BackupError> {
    let place = Path::from(LOCKED);
    let secret = || age::secrecy::SecretString::from(passphrase.expose_secret().to_owned());
    match objects.get(&place).await {
        Ok(found) => {
            let sealed = found.bytes().await.map_err(at("reading key.age"))?;
            let mut identity = age::scrypt::Identity::new(secret());
            // A slower machine than the one that made it must still open it.
            identity.set_max_work_factor(WORK);
            let text = age::decrypt(&identity, &sealed).map_err(|error| match error {
                age::DecryptError::InvalidHeader | age::DecryptError::Io(_) => {
                    BackupError::damaged(LOCKED, error.to_string())
                }
                _ => BackupError::Key("backup.passphrase is not the one that locks this destination".to_owned()),
            })?;
            parse_identity(&String::from_utf8_lossy(&text))
        }
        Err(object_store::Error::NotFound { .. }) => {
            let identity = Identity::generate();
            let text = identity.to_string();
            let mut recipient = age::scrypt::Recipient::new(secret());
            recipient.set_work_factor(WORK);
            let sealed = age::encrypt(&recipient, text.expose_secret().as_bytes())
                .map_err(|error| BackupError::Key(format!("encrypting failed: {error}")))?;
            // Never over another one: what it locks could not be read any more.
            let options = object_store::PutOptions::from(object_store::PutMode::Create);
            objects.put_opts(&place, sealed.into(), options).await.map_err(at("writing key.age"))?;
            Ok(identity)
        }
        Err(error) => Err(at("reading key.age")(error)),
    }
}
