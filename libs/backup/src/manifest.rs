//! What a backup consists of, and its signature.

use crate::error::{BackupError, at};
use crate::repository::Repository;
use carrel_bundle::SigningKey;
use chrono::{DateTime, NaiveDateTime, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};

/// The shape of a manifest; another shape gets another name.
const FORMAT: &str = "carrel-backup/1";
const FOLDER: &str = "backups";
/// How times stand in names: to the millisecond, so that two backups made one right after the other are two.
const STAMP: &str = "%Y%m%dT%H%M%S%.3fZ";

/// Whether the database begins anew or goes on from the last full backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A base copy of the database.
    Full,
    /// What came since: its log, or another dump of which only what changed is stored.
    Incremental,
}

impl Kind {
    /// As it stands in names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
        }
    }
}

/// How the database was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// pg_dump: any newer PostgreSQL can take it.
    Dump,
    /// pg_basebackup and the write-ahead log: the same major version, and any point in time.
    Base,
    /// By pgBackRest, into its own repository.
    PgBackRest,
    /// Not here; something else does it.
    None,
}

impl Method {
    /// As it stands in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dump => "dump",
            Self::Base => "base",
            Self::PgBackRest => "pgbackrest",
            Self::None => "none",
        }
    }
}

/// One chunk of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChunkRef {
    /// Its name, 32 hexadecimal digits.
    pub name: String,
    /// Bytes before compression.
    pub size: u32,
    /// SHA-256 of these bytes, in hexadecimal digits.
    pub sha256: String,
}

/// Bytes in chunks, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chunks {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of all of them, in hexadecimal digits.
    pub sha256: String,
    /// The chunks.
    pub chunks: Vec<ChunkRef>,
}

/// A finished segment of the write-ahead log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// Its name: timeline and number, 24 hexadecimal digits.
    pub name: String,
    /// Its bytes.
    pub content: Chunks,
}

/// One table, for comparing what was restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Schema and name.
    pub name: String,
    /// Number of rows.
    pub rows: i64,
    /// The sum of 64-bit hashes of all rows, whatever their order; only with a full dump.
    pub digest: Option<String>,
}

/// The database's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabasePart {
    /// How it was copied.
    pub method: Method,
    /// `server_version_num` of the server.
    pub server: i32,
    /// Names the cluster.
    pub system: String,
    /// The newest migration.
    pub migration: i64,
    /// Position of the write-ahead log at the end of this backup.
    pub lsn: String,
    /// Everything that was committed until then is in it.
    pub at: DateTime<Utc>,
    /// The dump, or the archive of the base copy.
    pub content: Chunks,
    /// When the base copy had ended; nothing before can be restored from it.
    pub base_at: Option<DateTime<Utc>>,
    /// The segment in which the base copy began.
    pub base_segment: Option<String>,
    /// The log since then.
    pub log: Vec<Segment>,
    /// The tables of a dump.
    pub tables: Vec<Table>,
    /// The backup of pgBackRest that holds it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<Outside>,
}

/// A backup in the repository of pgBackRest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outside {
    /// Its name for the cluster.
    pub stanza: String,
    /// Its name for the backup.
    pub label: String,
}

/// The originals' part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OriginalsPart {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// One line each: path, size, names of its chunks; encrypted.
    pub inventory: Chunks,
    /// The names of all these chunks, readable, so that old ones can be removed without the key.
    pub names: Chunks,
    /// Originals that are damaged where they are and were not copied.
    pub damaged: Vec<String>,
}

/// A backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The shape of this file.
    pub format: String,
    /// Its id, which is also its name.
    pub id: String,
    /// Full or incremental.
    pub kind: Kind,
    /// When it was begun.
    pub started_at: DateTime<Utc>,
    /// When all of it was stored.
    pub ended_at: DateTime<Utc>,
    /// The release that made it.
    pub version: String,
    /// Whom it is encrypted to.
    pub recipient: String,
    /// The database.
    pub database: Option<DatabasePart>,
    /// The originals.
    pub originals: OriginalsPart,
    /// The instance's signing key, encrypted.
    pub signing_key: Option<Chunks>,
    /// Chunks that were not there before.
    pub new_chunks: u64,
    /// Their bytes as stored.
    pub new_bytes: u64,
}

impl Manifest {
    pub(crate) fn id(kind: Kind, at: DateTime<Utc>) -> String {
        format!("{}-{}", at.format(STAMP), kind.as_str())
    }

    pub(crate) fn format() -> String {
        FORMAT.to_owned()
    }

    /// Every stream of readable names and of its own data.
    pub(crate) fn streams(&self) -> impl Iterator<Item = &Chunks> {
        let database = self.database.iter();
        let database = database
            .flat_map(|part| std::iter::once(&part.content).chain(part.log.iter().map(|segment| &segment.content)));
        database.chain([&self.originals.inventory, &self.originals.names]).chain(&self.signing_key)
    }

    /// The moment that it restores to.
    pub fn restores_to(&self) -> DateTime<Utc> {
        self.database.as_ref().map_or(self.started_at, |part| part.at)
    }
}

/// A manifest and who signed it.
#[derive(Clone, Debug)]
pub struct Signed {
    /// What it says.
    pub manifest: Manifest,
    /// The thumbprint of the key that signed it.
    pub signed_by: String,
}

/// A name in the destination that is a backup's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// When it was begun.
    pub at: DateTime<Utc>,
    /// Its id.
    pub id: String,
}

/// The backups of a destination by their names, oldest first; what is in them is not read.
pub async fn list(objects: &dyn ObjectStore) -> Result<Vec<Listed>, BackupError> {
    let folder = Path::from(FOLDER);
    let mut found = Vec::new();
    let mut objects = objects.list(Some(&folder));
    while let Some(object) = objects.try_next().await.map_err(at("listing backups"))? {
        let Some(id) = object.location.filename().and_then(|name| name.strip_suffix(".jws")) else { continue };
        let Some(stamp) = id.split('-').next() else { continue };
        let Ok(time) = NaiveDateTime::parse_from_str(stamp, STAMP) else { continue };
        found.push(Listed { at: time.and_utc(), id: id.to_owned() });
    }
    found.sort();
    Ok(found)
}

impl Repository {
    /// The backups, oldest first.
    pub async fn backups(&self) -> Result<Vec<Listed>, BackupError> {
        list(self.objects().as_ref()).await
    }

    /// Reads a manifest and checks its signature.
    pub async fn manifest(&self, id: &str) -> Result<Signed, BackupError> {
        let object = match self.objects().get(&place(id)).await {
            Err(object_store::Error::NotFound { .. }) => {
                let words = format!("there is no backup {id}: `carrel admin backup list` names them");
                return Err(BackupError::NoBackup(words));
            }
            other => other.map_err(at("reading a manifest"))?,
        };
        let bytes = object.bytes().await.map_err(at("reading a manifest"))?;
        let wrong = |problem: String| BackupError::Signature {
            backup: id.to_owned(),
            problem: format!("its manifest was changed or cut off ({problem}); use another backup"),
        };
        let text = std::str::from_utf8(&bytes).map_err(|error| wrong(error.to_string()))?;
        let (payload, signed_by) = carrel_bundle::check_signed(text).map_err(wrong)?;
        let manifest: Manifest = serde_json::from_slice(&payload).map_err(|error| wrong(error.to_string()))?;
        if manifest.format != FORMAT || manifest.id != id {
            return Err(wrong(format!("it says {} {}", manifest.format, manifest.id)));
        }
        Ok(Signed { manifest, signed_by })
    }

    pub(crate) async fn put_manifest(&self, manifest: &Manifest, key: &SigningKey) -> Result<(), BackupError> {
        let text =
            serde_json::to_vec(manifest).map_err(|error| BackupError::damaged("the manifest", error.to_string()))?;
        let signed = carrel_bundle::sign(&text, key, "carrel-backup+jws")?;
        let options = object_store::PutOptions::from(object_store::PutMode::Create);
        let stored = self.objects().put_opts(&place(&manifest.id), signed.into(), options).await;
        stored.map_err(at("writing the manifest"))?;
        Ok(())
    }

    pub(crate) async fn forget(&self, id: &str) -> Result<(), BackupError> {
        self.objects().delete(&place(id)).await.map_err(at("removing a manifest"))
    }
}

fn place(id: &str) -> Path {
    Path::from(format!("{FOLDER}/{id}.jws"))
}
