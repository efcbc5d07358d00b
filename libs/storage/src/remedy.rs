//! What an operator can do about an error: one sentence without addresses, names of rows, or secrets, so that readiness may
//! say it without a login.

use crate::StorageError;
use std::error::Error;
use std::io::ErrorKind;

impl StorageError {
    /// What is wrong and what to do about it.
    pub fn remedy(&self) -> String {
        let cause = Cause::of(self);
        match self {
            Self::Store(error) => of_store(error, &cause),
            Self::Migration(error) => of_migration(error),
            Self::Unavailable(error) | Self::Database(error) | Self::TimedOut(error) => of_database(error, &cause),
            _ => self.to_string(),
        }
    }
}

/// What lies at the bottom of a chain of errors.
struct Cause {
    io: Option<ErrorKind>,
    certificate: Option<&'static str>,
}

impl Cause {
    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut cause = Self { io: None, certificate: None };
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(io) = error.downcast_ref::<std::io::Error>() {
                cause.io = cause.io.or(Some(io.kind()));
                // What an I/O error wraps is not its source, but its source's.
                if let Some(inner) = io.get_ref() {
                    cause.read(&inner.to_string());
                }
            }
            cause.read(&error.to_string());
            next = error.source();
        }
        cause
    }

    /// TLS libraries tell in words only.
    fn read(&mut self, text: &str) {
        let text = text.to_lowercase();
        if text.contains("certificate") {
            let problem = if text.contains("expired") { "has expired" } else { "is not trusted" };
            self.certificate = Some(self.certificate.filter(|known| *known == "has expired").unwrap_or(problem));
        }
    }
}

fn of_database(error: &sqlx::Error, cause: &Cause) -> String {
    if let sqlx::Error::Database(database) = error {
        let words = match database.code().as_deref().unwrap_or_default() {
            "28P01" | "28000" => "PostgreSQL refuses the login: check user and password of database.url",
            "3D000" => "the database of database.url does not exist: create it, then run `carrel admin migrate`",
            "42501" | "22023" => {
                "the login may not act for Carrel: run `carrel admin migrate --login NAME` and use that login in database.url"
            }
            "42P01" | "3F000" => "the schema is missing: run `carrel admin migrate`",
            "53300" => "PostgreSQL has no free connection: raise max_connections, or lower database.pool_size",
            "53100" => "PostgreSQL's disk is full: make room; nothing that was committed is lost",
            "53200" => "PostgreSQL is out of memory: lower its load, or give it more",
            "57P01" | "57P02" | "57P03" => "PostgreSQL is starting or stopping: wait, or look at its log",
            "25006" => "PostgreSQL only reads: database.url names a replica, name the primary",
            "57014" => "PostgreSQL is too slow: look at its load, or raise database.statement_timeout_ms",
            code => return format!("PostgreSQL refuses with code {code}: look at its log"),
        };
        return words.to_owned();
    }
    if let Some(problem) = cause.certificate {
        return format!(
            "PostgreSQL's certificate {problem}: renew it, or check sslrootcert and the host of database.url"
        );
    }
    match error {
        sqlx::Error::Tls(_) => "PostgreSQL does not speak TLS as database.url asks: check sslmode".to_owned(),
        sqlx::Error::Configuration(_) => "database.url cannot be understood: check it".to_owned(),
        _ => UNREACHABLE_DATABASE.to_owned(),
    }
}

/// What to say when PostgreSQL does not answer at all.
pub const UNREACHABLE_DATABASE: &str =
    "PostgreSQL cannot be reached: check that it runs, and the host and port of database.url";
/// What to say when the object store does not answer at all.
pub const UNREACHABLE_STORE: &str =
    "the object store cannot be reached: check that it runs, its certificate, and store.endpoint";

fn of_store(error: &object_store::Error, cause: &Cause) -> String {
    use object_store::Error as Store;
    if let Some(problem) = cause.certificate {
        return format!("the object store's certificate {problem}: renew it, or check store.endpoint");
    }
    let words = match (error, cause.io) {
        (_, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded)) => {
            "the disk of the object store is full: make room below store.path; what is stored stays"
        }
        (_, Some(ErrorKind::ReadOnlyFilesystem)) => "the object store cannot be written: its file system is read-only",
        (_, Some(ErrorKind::PermissionDenied)) => "the object store cannot be written: check the owner of store.path",
        (Store::Unauthenticated { .. } | Store::PermissionDenied { .. }, _) => {
            "the object store refuses the credentials: check store.access_key_id and store.secret_access_key, and the bucket's policy"
        }
        (Store::NotFound { .. }, _) => "the bucket or folder is gone: check store.bucket or store.path",
        (_, Some(ErrorKind::NotFound | ErrorKind::NotADirectory)) => {
            "the folder of the object store cannot be made or found: check store.path"
        }
        _ => UNREACHABLE_STORE,
    };
    words.to_owned()
}

fn of_migration(error: &sqlx::migrate::MigrateError) -> String {
    use sqlx::migrate::MigrateError;
    match error {
        MigrateError::VersionMissing(version) => {
            format!(
                "the schema is newer than this program (it does not know migration {version}): install the newer version"
            )
        }
        MigrateError::VersionMismatch(version) => {
            format!(
                "migration {version} is another one than this program knows: this database belongs to another build of Carrel"
            )
        }
        MigrateError::Dirty(version) => half_done(*version),
        MigrateError::ExecuteMigration(_, version) => {
            format!(
                "migration {version} failed and was undone: mend what its cause says, then run `carrel admin migrate` again"
            )
        }
        _ => "the schema could not be migrated: mend what the cause says, then run `carrel admin migrate` again"
            .to_owned(),
    }
}

/// A migration that was begun and never finished.
pub(crate) fn half_done(version: i64) -> String {
    format!(
        "migration {version} stopped half-way: restore the backup made before it, then run `carrel admin migrate` again"
    )
}
