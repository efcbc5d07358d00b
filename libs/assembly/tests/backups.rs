//! Backups against a real PostgreSQL: made, checked, damaged, restored, compared.

#![expect(clippy::disallowed_methods, reason = "tests make ids and take the time")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use bytes::Bytes;
use carrel_assembly::{Backups, FilledStore, Restored, Restoring, Target, configured_store, prune_backups, restore};
use carrel_backup::{Choice, Damaged, Kind, Method, Trust, new_identity, verify};
use carrel_domain::WorkspaceId;
use carrel_operations::TokenIssuer;
use carrel_postgres::{Installation, SUPERUSER, Server, ServerConfig};
use carrel_runtime::config::{BackupMethod, Settings};
use carrel_storage::Admin;
use carrel_testkit::TestDatabase;
use chrono::Utc;
use secrecy::ExposeSecret;
use sqlx::{Connection, Executor, PgConnection};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use uuid::Uuid;

/// A folder that a server's account may enter.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    folder
}

fn settings(folder: &Path) -> Settings {
    let mut settings = Settings::defaults().unwrap();
    let (identity, recipient) = new_identity();
    settings.store.path = Some(folder.join("objects"));
    settings.database.embedded.data_dir = Some(folder.join("postgres"));
    settings.auth.signing_key = Some(TokenIssuer::generate_key().into());
    settings.backup.destination = Some(format!("file://{}", folder.join("backups").display()));
    settings.backup.recipient = Some(recipient);
    settings.backup.identity = Some(identity);
    settings
}

/// Settings for a database of the test server, dumped.
fn dumped(folder: &Path, database: &TestDatabase) -> Settings {
    let mut settings = settings(folder);
    settings.database.admin_url = Some(database.owner_url.clone().into());
    settings.database.url = Some(database.service_url.clone().into());
    settings.backup.database = BackupMethod::Dump;
    settings
}

/// An original of `size` bytes with its row, as an upload leaves them.
async fn put(settings: &Settings, owner: &mut PgConnection, workspace: WorkspaceId, size: usize) -> Vec<u8> {
    let seed = Uuid::now_v7();
    let bytes: Vec<u8> = blake3_stream(seed, size);
    let store = configured_store(settings).unwrap();
    let parts = bytes.chunks(1 << 20).map(|part| Ok::<_, std::io::Error>(Bytes::copy_from_slice(part)));
    let parts: Vec<_> = parts.collect();
    let staged = store.stage(Uuid::now_v7(), 1 << 30, futures::stream::iter(parts)).await.unwrap();
    store.keep(workspace, &staged).await.unwrap();
    store.discard(&staged).await.unwrap();
    sqlx::query(
        "insert into carrel.original (workspace_id, sha256, blake3, size, created_at) values ($1, $2, $3, $4, now())",
    )
    .bind(workspace.0)
    .bind(&staged.digests.sha256.0[..])
    .bind(&staged.digests.blake3.0[..])
    .bind(size as i64)
    .execute(owner)
    .await
    .unwrap();
    bytes
}

/// Bytes that nothing compresses.
fn blake3_stream(seed: Uuid, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn target(choice: Choice) -> Target {
    Target { choice, signed_by: Vec::new(), cluster: None, parts: Restoring::All, filled_store: FilledStore::Refuse }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

async fn make(settings: &Settings, kind: Kind) -> carrel_backup::Signed {
    let url = settings.database.admin_url.as_ref().unwrap().expose_secret().to_owned();
    let owner = Admin::connect(&url).await.unwrap();
    let made = Backups::new(settings, None).unwrap().make(&owner, &url, kind).await;
    owner.close().await;
    made.unwrap()
}

async fn refused(settings: &Settings, target: &Target) -> String {
    restore(settings, &Backups::new(settings, None).unwrap(), target).await.unwrap_err().to_string()
}

async fn faults(settings: &Settings) -> Vec<String> {
    let repository = Backups::new(settings, None).unwrap().open().await.unwrap();
    verify(&repository, None, Damaged::Keep).await.unwrap().faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_and_its_originals_come_back_and_only_what_is_new_is_stored() {
    let (folder, database) = (folder(), TestDatabase::create().await);
    let settings = dumped(folder.path(), &database);
    let mut owner = PgConnection::connect(&database.owner_url).await.unwrap();
    let workspace = database.workspace().await;
    // One that is more than one piece, and one that is empty.
    for size in [20 << 20, 4_000, 0] {
        put(&settings, &mut owner, workspace, size).await;
    }
    let full = make(&settings, Kind::Incremental).await;
    // There was nothing to go on from.
    assert_eq!(full.manifest.kind, Kind::Full);
    assert_eq!(full.manifest.originals.count, 3);
    let database_part = full.manifest.database.as_ref().unwrap();
    assert_eq!(database_part.method, Method::Dump);
    assert!(database_part.tables.iter().any(|table| table.name == "carrel.original" && table.rows == 3));
    put(&settings, &mut owner, workspace, 5_000).await;
    let second = make(&settings, Kind::Incremental).await;
    assert_eq!((second.manifest.kind, second.manifest.originals.count), (Kind::Incremental, 4));
    assert!(second.manifest.new_bytes < full.manifest.new_bytes / 4, "{}", second.manifest.new_bytes);
    assert_eq!(faults(&settings).await, Vec::<String>::new());

    // To another database and an empty store.
    let other = TestDatabase::create().await;
    other.owner.execute("drop schema carrel, carrel_jobs cascade; drop table public._sqlx_migrations").await.unwrap();
    let place = self::folder();
    let mut restoring = dumped(place.path(), &other);
    restoring.backup = settings.backup.clone();
    restoring.auth = settings.auth.clone();
    let backups = Backups::new(&restoring, None).unwrap();
    let restored: Restored = restore(&restoring, &backups, &target(Choice::Newest)).await.unwrap();
    assert!(restored.rows.unwrap() > 4);
    assert_eq!(restored.originals.unwrap().restored, 4);
    let bytes = |settings: &Settings| -> Vec<(PathBuf, Vec<u8>)> {
        let root = settings.store.path.clone().unwrap();
        let all = files(&root.join("originals"));
        all.into_iter()
            .map(|path| (path.strip_prefix(&root).unwrap().to_owned(), std::fs::read(&path).unwrap()))
            .collect()
    };
    assert_eq!(bytes(&settings), bytes(&restoring));
    // Walls and grants are those of the first one.
    let catalogue = "select coalesce(string_agg(format('%s %s %s', c.relname, c.relrowsecurity, c.relacl), ';' order by c.relname), '')
                     from pg_class c where c.relnamespace = 'carrel'::regnamespace and c.relkind in ('r', 'p')";
    let walls: String = sqlx::query_scalar(catalogue).fetch_one(&mut owner).await.unwrap();
    let again: String = sqlx::query_scalar(catalogue).fetch_one(&other.owner).await.unwrap();
    assert_eq!(walls, again);
    // Once more: neither is empty now.
    assert!(refused(&restoring, &target(Choice::Newest)).await.contains("the store of originals is not empty"));
    let complete = Target { filled_store: FilledStore::Complete, ..target(Choice::Newest) };
    assert!(refused(&restoring, &complete).await.contains("the database is not empty"));
    let originals = Target { parts: Restoring::Originals, ..complete };
    let done = restore(&restoring, &backups, &originals).await.unwrap().originals.unwrap();
    assert_eq!((done.restored, done.present), (0, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flipped_bit_a_missing_file_and_a_short_one_are_found() {
    let (folder, database) = (folder(), TestDatabase::create().await);
    let settings = dumped(folder.path(), &database);
    let mut owner = PgConnection::connect(&database.owner_url).await.unwrap();
    let workspace = database.workspace().await;
    for _ in 0..6 {
        put(&settings, &mut owner, workspace, 3_000).await;
    }
    make(&settings, Kind::Full).await;
    let files = files(&folder.path().join("backups"));
    assert!(files.len() > 8);
    for (number, file) in files.iter().enumerate() {
        let sound = std::fs::read(file).unwrap();
        let mut damaged = sound.clone();
        let bit = (number * 7_919) % (sound.len() * 8);
        damaged[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(file, &damaged).unwrap();
        let found = faults(&settings).await;
        assert!(!found.is_empty(), "bit {bit} of {} is not found", file.display());
        std::fs::write(file, &sound[..sound.len() - 1]).unwrap();
        assert!(!faults(&settings).await.is_empty(), "{} cut off is not found", file.display());
        std::fs::write(file, &sound).unwrap();
        // A backup that is gone altogether misses nothing; its age tells.
        if file.extension().is_none() {
            std::fs::remove_file(file).unwrap();
            assert!(faults(&settings).await.iter().any(|fault| fault.contains("missing")), "{}", file.display());
            std::fs::write(file, &sound).unwrap();
        }
    }
    assert_eq!(faults(&settings).await, Vec::<String>::new());
    // Without the key, as on the machine that makes backups.
    let mut blind = settings.clone();
    blind.backup.identity = None;
    assert_eq!(faults(&blind).await, Vec::<String>::new());
    let chunk = files.iter().find(|file| file.extension().is_none()).unwrap();
    let sound = std::fs::read(chunk).unwrap();
    std::fs::write(chunk, b"short").unwrap();
    assert!(faults(&blind).await[0].contains("SHA-256 differs"));
    // Removed, the next backup stores it again from what is still there.
    let repository = Backups::new(&blind, None).unwrap().open().await.unwrap();
    verify(&repository, None, Damaged::Drop).await.unwrap();
    assert!(!chunk.exists());
    drop(sound);
    let made = make(&settings, Kind::Full).await;
    let newest = Backups::new(&settings, None).unwrap().open().await.unwrap();
    let checked = verify(&newest, None, Damaged::Keep).await.unwrap();
    assert_eq!(checked.backups, 2);
    // The older one stays unsound if the chunk was of its dump, which no later dump repeats.
    assert!(!checked.unsound.contains(&made.manifest.id), "{:?}", checked.faults);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_keys_foreign_signatures_and_newer_schemas_are_named() {
    let (folder, database) = (folder(), TestDatabase::create().await);
    let settings = dumped(folder.path(), &database);
    make(&settings, Kind::Full).await;
    let place = self::folder();
    let other = TestDatabase::create().await;
    let elsewhere = || {
        let mut elsewhere = dumped(place.path(), &other);
        elsewhere.backup = settings.backup.clone();
        elsewhere.auth = settings.auth.clone();
        elsewhere
    };
    let newest = target(Choice::Newest);
    let mut wrong = elsewhere();
    let (identity, recipient) = new_identity();
    (wrong.backup.identity, wrong.backup.recipient) = (Some(identity), Some(recipient));
    other.owner.execute("drop schema carrel, carrel_jobs cascade; drop table public._sqlx_migrations").await.unwrap();
    let said = refused(&wrong, &newest).await;
    assert!(said.contains("the backup was made for another key: name the identity of the recipient"), "{said}");
    let mut none = elsewhere();
    none.backup.identity = None;
    assert!(refused(&none, &newest).await.contains("set backup.identity_file or backup.passphrase_file"));
    let mut stranger = elsewhere();
    stranger.auth.signing_key = Some(TokenIssuer::generate_key().into());
    let said = refused(&stranger, &newest).await;
    assert!(said.contains("a key that this machine does not have") && said.contains("--signed-by"), "{said}");
    let mut nothing = elsewhere();
    nothing.backup.destination = Some(format!("file://{}", place.path().join("nothing").display()));
    assert!(refused(&nothing, &newest).await.contains("there is no backup at this destination"));
    let early = target(Choice::Moment(Utc::now() - chrono::Duration::days(1)));
    assert!(refused(&elsewhere(), &early).await.contains("no backup reaches back to"));
    database
        .owner
        .execute(
            "insert into public._sqlx_migrations (version, description, success, checksum, execution_time)
             values (9999, 'later', true, '', 0)",
        )
        .await
        .unwrap();
    make(&settings, Kind::Full).await;
    let said = refused(&elsewhere(), &newest).await;
    assert!(said.contains("(migration 9999) is newer than this program's"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passphrase_locks_and_opens() {
    let (folder, database) = (folder(), TestDatabase::create().await);
    let mut settings = dumped(folder.path(), &database);
    (settings.backup.recipient, settings.backup.identity) = (None, None);
    settings.backup.passphrase = Some("correct horse battery".to_owned().into());
    make(&settings, Kind::Full).await;
    assert_eq!(faults(&settings).await, Vec::<String>::new());
    settings.backup.passphrase = Some("wrong horse battery".to_owned().into());
    let said = Backups::new(&settings, None).unwrap().open().await.unwrap_err().to_string();
    assert!(said.contains("backup.passphrase is not the one"), "{said}");
    (settings.backup.passphrase, settings.backup.recipient) = (None, Some("age1nonsense".to_owned()));
    let said = Backups::new(&settings, None).unwrap().open().await.unwrap_err().to_string();
    assert!(said.contains("is no age recipient"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_backups_go_with_what_only_they_needed() {
    let (folder, database) = (folder(), TestDatabase::create().await);
    let mut settings = dumped(folder.path(), &database);
    let mut owner = PgConnection::connect(&database.owner_url).await.unwrap();
    let workspace = database.workspace().await;
    put(&settings, &mut owner, workspace, 9_000).await;
    let first = make(&settings, Kind::Full).await;
    let store = settings.store.path.clone().unwrap();
    // The original goes, and with the first backup its copy.
    owner.execute("delete from carrel.original").await.unwrap();
    std::fs::remove_dir_all(store.join("originals")).unwrap();
    let folder_of = folder.path().join("backups/backups");
    let old = folder_of.join(format!("{}.jws", first.manifest.id));
    make(&settings, Kind::Incremental).await;
    settings.backup.keep_hours = 1;
    let backups = Backups::new(&settings, None).unwrap();
    let admin = Admin::connect(&database.owner_url).await.unwrap();
    let pruned = prune_backups(&backups, &admin).await.unwrap();
    assert_eq!((pruned.kept, pruned.removed), (2, 0));
    // Another one at work keeps this one from removing.
    let lock = admin.lock_backups().await.unwrap().unwrap();
    let second = Admin::connect(&database.owner_url).await.unwrap();
    assert!(prune_backups(&backups, &second).await.unwrap_err().to_string().contains("another backup or prune"));
    lock.release().await.unwrap();
    std::fs::remove_file(old).unwrap();
    let pruned = prune_backups(&backups, &admin).await.unwrap();
    assert_eq!(pruned.kept, 1);
    assert!(pruned.chunks >= 1);
    assert_eq!(faults(&settings).await, Vec::<String>::new());
}

/// A private server with a schema, as `carrel up` makes it.
async fn private(settings: &Settings) -> (Server, Admin, String) {
    let installation = Installation::discover(None).unwrap();
    let folder = settings.database.embedded.data_dir.clone().unwrap();
    let server = Server::start(ServerConfig::new(installation, folder)).await.unwrap();
    Admin::ensure_database(&server.url(SUPERUSER, "postgres"), "carrel").await.unwrap();
    let url = server.url(SUPERUSER, "carrel");
    let admin = Admin::connect(&url).await.unwrap();
    admin.migrate().await.unwrap();
    (server, admin, url)
}

async fn names(url: &str) -> Vec<String> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar("select name from carrel.workspace order by name").fetch_all(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_and_its_log_come_back_at_any_moment() {
    let folder = folder();
    let settings = settings(folder.path());
    let (server, admin, url) = private(&settings).await;
    let backups = Backups::new(&settings, None).unwrap();
    assert_eq!(backups.method(), Method::Base);
    let name = async |name: &str| {
        admin.ensure_workspace(name, WorkspaceId(Uuid::now_v7()), Utc::now()).await.unwrap();
    };
    name("a").await;
    let full = backups.make(&admin, &url, Kind::Full).await.unwrap();
    name("b").await;
    let between = admin.server_facts().await.unwrap().now;
    name("c").await;
    let second = backups.make(&admin, &url, Kind::Incremental).await.unwrap();
    let part = second.manifest.database.as_ref().unwrap();
    assert_eq!(second.manifest.kind, Kind::Incremental);
    assert_eq!(part.base_segment, full.manifest.database.as_ref().unwrap().base_segment);
    assert!(part.log.len() > full.manifest.database.as_ref().unwrap().log.len());
    name("d").await;
    admin.close().await;
    server.stop().await.unwrap();

    for (choice, expected) in [
        (Choice::Newest, vec!["a", "b", "c"]),
        (Choice::Moment(between), vec!["a", "b"]),
        (Choice::Id(full.manifest.id.clone()), vec!["a"]),
    ] {
        let place = self::folder();
        let mut restoring = self::settings(place.path());
        restoring.backup = settings.backup.clone();
        restoring.auth = settings.auth.clone();
        let backups = Backups::new(&restoring, None).unwrap();
        let restored = restore(&restoring, &backups, &target(choice)).await.unwrap();
        let server = restored.server.unwrap();
        assert_eq!(names(&server.url(SUPERUSER, "carrel")).await, expected);
        // It takes writes, and backs up anew: another timeline has begun.
        let url = server.url(SUPERUSER, "carrel");
        let admin = Admin::connect(&url).await.unwrap();
        admin.ensure_workspace("later", WorkspaceId(Uuid::now_v7()), Utc::now()).await.unwrap();
        restoring.backup.destination = Some(format!("file://{}", place.path().join("own").display()));
        let own = Backups::new(&restoring, None).unwrap().make(&admin, &url, Kind::Incremental).await.unwrap();
        assert_eq!(own.manifest.kind, Kind::Full);
        admin.close().await;
        server.stop().await.unwrap();
        assert!(
            refused(&restoring, &Target { parts: Restoring::Database, ..target(Choice::Newest) })
                .await
                .contains("a restore overwrites nothing")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_holds_backups_as_well() {
    let (folder, database) = (folder(), TestDatabase::create().await);
    let mut settings = dumped(folder.path(), &database);
    let url = std::env::var("CARREL_TEST_S3_URL").expect("CARREL_TEST_S3_URL must be set: see CONTRIBUTING.md");
    let name = format!("carrel-{}", Uuid::now_v7().simple());
    let made = reqwest::Client::new().put(format!("{}/{name}", url.trim_end_matches('/'))).send().await.unwrap();
    assert!(made.status().is_success(), "{}", made.status());
    settings.backup.destination = Some(format!("s3://{name}/below/here?endpoint={url}&allow_http=true"));
    settings.backup.access_key_id = Some("test".to_owned().into());
    settings.backup.secret_access_key = Some("test".to_owned().into());
    let mut owner = PgConnection::connect(&database.owner_url).await.unwrap();
    put(&settings, &mut owner, database.workspace().await, 9 << 20).await;
    make(&settings, Kind::Full).await;
    let second = make(&settings, Kind::Incremental).await;
    assert_eq!(faults(&settings).await, Vec::<String>::new());
    let trust = Trust { keys: vec![second.signed_by] };
    let repository = Backups::new(&settings, None).unwrap().open().await.unwrap();
    let checked = verify(&repository, Some(&trust), Damaged::Keep).await.unwrap();
    assert_eq!((checked.backups, checked.originals, checked.faults.len()), (2, 1, 0));
}
