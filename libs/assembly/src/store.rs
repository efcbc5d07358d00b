//! The store of originals, as configured or as an address names it.

use crate::error::AssemblyError;
use carrel_runtime::config::{Settings, Store, StoreKind};
use carrel_storage::{OriginalStore, StorageError};
use object_store::ObjectStore;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use secrecy::{ExposeSecret, SecretString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The store of the settings, with the one before where a move is under way.
pub fn configured(settings: &Settings) -> Result<OriginalStore, AssemblyError> {
    let store = &settings.store;
    let now = match store.kind {
        StoreKind::Directory => {
            let path = store.path.clone().unwrap_or_else(|| carrel_postgres::data_dir().join("objects"));
            directory(&path)?
        }
        StoreKind::S3 => {
            let bucket = Bucket {
                name: store.bucket.clone().unwrap_or_default(),
                endpoint: store.endpoint.clone(),
                region: store.region.clone(),
                allow_http: store.allow_http,
            };
            bucket.open(store)?
        }
    };
    match &store.previous {
        Some(address) => Ok(now.with_previous(store_at(settings, address)?)),
        None => Ok(now),
    }
}

fn directory(path: &Path) -> Result<OriginalStore, AssemblyError> {
    OriginalStore::directory(path).map_err(|error| AssemblyError::Setting {
        key: "store.path",
        problem: format!("{} cannot be used: {}", path.display(), error.remedy()),
    })
}

/// The store at an address: `file:///folder`, an absolute folder, or `s3://bucket?endpoint=…&region=…`. A bucket is opened
/// with the settings' credentials, else with those of the environment (AWS_ variables, instance role).
pub fn store_at(settings: &Settings, address: &str) -> Result<OriginalStore, AssemblyError> {
    let wrong =
        |problem: &str| AssemblyError::Setting { key: "store address", problem: format!("{address}: {problem}") };
    if let Some(folder) = folder(address) {
        return directory(&folder);
    }
    let Some(rest) = address.strip_prefix("s3://") else {
        return Err(wrong("must be file:///folder or s3://bucket?endpoint=…"));
    };
    let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
    let name = name.trim_end_matches('/');
    if name.is_empty() || name.contains('/') {
        return Err(wrong("must name a bucket and nothing below it"));
    }
    Bucket::at(settings, name, query).map_err(wrong)?.open(&settings.store)
}

/// Where backups go: `file:///folder`, an absolute folder, or `s3://bucket/prefix?endpoint=…&region=…`, with the credentials of
/// `backup`, else those of the environment.
pub(crate) fn objects_at(settings: &Settings, address: &str) -> Result<Arc<dyn ObjectStore>, AssemblyError> {
    let wrong = |problem: String| AssemblyError::Setting { key: "backup.destination", problem };
    if let Some(folder) = folder(address) {
        std::fs::create_dir_all(&folder)
            .map_err(|error| wrong(format!("{} cannot be made: {error}", folder.display())))?;
        let local = LocalFileSystem::new_with_prefix(&folder).map_err(StorageError::from)?;
        return Ok(Arc::new(local.with_fsync(true).with_automatic_cleanup(true)));
    }
    let (place, query) = address.split_once('?').unwrap_or((address, ""));
    let (bucket, prefix) = place.strip_prefix("s3://").unwrap_or_default().split_once('/').unwrap_or((place, ""));
    let bucket = Bucket::at(settings, bucket.trim_start_matches("s3://"), query)
        .map_err(|problem| wrong(format!("{address}: {problem}")))?;
    let chosen = &settings.backup;
    let objects = bucket.objects(chosen.access_key_id.as_ref().zip(chosen.secret_access_key.as_ref()))?;
    Ok(match prefix.trim_matches('/') {
        "" => Arc::new(objects),
        prefix => Arc::new(PrefixStore::new(objects, prefix)),
    })
}

/// The settings that make the store at `address` the configured one, for people to copy.
pub fn settings_for(address: &str) -> String {
    if let Some(folder) = folder(address) {
        return format!("store:\n  kind: directory\n  path: {}\n", folder.display());
    }
    let (name, query) = address.trim_start_matches("s3://").split_once('?').unwrap_or((address, ""));
    let mut text =
        format!("store:\n  kind: s3\n  bucket: {}\n", name.trim_start_matches("s3://").trim_end_matches('/'));
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        text.extend(["  ", key, ": ", value, "\n"]);
    }
    text
}

fn folder(address: &str) -> Option<PathBuf> {
    let path = Path::new(address.strip_prefix("file://").unwrap_or(address));
    path.is_absolute().then(|| path.to_path_buf())
}

struct Bucket {
    name: String,
    endpoint: Option<String>,
    region: String,
    allow_http: bool,
}

impl Bucket {
    /// The bucket of an address.
    fn at(settings: &Settings, name: &str, query: &str) -> Result<Self, &'static str> {
        let region = settings.store.region.clone();
        let mut bucket = Self { name: name.to_owned(), endpoint: None, region, allow_http: settings.store.allow_http };
        if name.is_empty() {
            return Err("must name a bucket");
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("endpoint", value)) => bucket.endpoint = Some(value.to_owned()),
                Some(("region", value)) => value.clone_into(&mut bucket.region),
                Some(("allow_http", "true")) => bucket.allow_http = true,
                _ => return Err("knows endpoint=…, region=… and allow_http=true"),
            }
        }
        if bucket.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://")) && !bucket.allow_http {
            return Err("the endpoint has no TLS; add allow_http=true to accept that");
        }
        Ok(bucket)
    }

    fn open(self, store: &Store) -> Result<OriginalStore, AssemblyError> {
        let login = store.access_key_id.as_ref().zip(store.secret_access_key.as_ref());
        Ok(OriginalStore::new(Arc::new(self.objects(login)?)))
    }

    fn objects(self, login: Option<(&SecretString, &SecretString)>) -> Result<AmazonS3, AssemblyError> {
        let mut builder = AmazonS3Builder::from_env()
            .with_region(&self.region)
            .with_allow_http(self.allow_http)
            .with_bucket_name(&self.name);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some((id, secret)) = login {
            builder = builder.with_access_key_id(id.expose_secret()).with_secret_access_key(secret.expose_secret());
        }
        Ok(builder.build().map_err(StorageError::from)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{settings_for, store_at};
    use carrel_runtime::config::Settings;

    #[test]
    fn addresses_name_stores() {
        let settings = Settings::defaults().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        for good in [
            path.clone(),
            format!("file://{path}"),
            "s3://originals".to_owned(),
            "s3://originals?endpoint=https://s3.example&region=eu-1".to_owned(),
            "s3://originals?endpoint=http://127.0.0.1:9000&allow_http=true".to_owned(),
        ] {
            assert!(store_at(&settings, &good).is_ok(), "{good}");
        }
        for bad in [
            "objects",
            "ftp://host/x",
            "s3://",
            "s3://bucket/folder",
            "s3://bucket?colour=red",
            "s3://bucket?endpoint=http://127.0.0.1:9000",
        ] {
            assert!(store_at(&settings, bad).is_err(), "{bad}");
        }
        assert_eq!(settings_for("file:///srv/objects"), "store:\n  kind: directory\n  path: /srv/objects\n");
        assert_eq!(
            settings_for("s3://originals?endpoint=https://s3.example"),
            "store:\n  kind: s3\n  bucket: originals\n  endpoint: https://s3.example\n"
        );
    }
}
