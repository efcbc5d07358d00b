use super::{BASE, ConfigError, Settings, Sources, StoreKind};
use secrecy::ExposeSecret;
use std::path::Path;
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("folder");
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).expect("file");
    }
    folder
}

fn refusal(sources: &Sources) -> String {
    Settings::load(sources).expect_err("must be refused").to_string()
}

fn with_yaml(yaml: &str) -> (TempDir, Sources) {
    let folder = folder(&[("carrel.yaml", yaml)]);
    let sources = Sources::none().with_file(folder.path().join("carrel.yaml"));
    (folder, sources)
}

#[test]
fn the_defaults_hold_and_document_every_key() {
    let settings = Settings::defaults().expect("defaults");
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.server.upload_limit_bytes, 1 << 30);
    assert_eq!(settings.store.kind, StoreKind::Directory);
    assert_eq!(settings.jobs.queues["ingest"], 3);
    assert!(settings.database.url.is_none());
    assert_eq!(settings.inference.embedder.to_json(), serde_json::json!({"provider": "builtin"}));
    // Every line that sets a key stands below a comment, itself or its section's.
    let documented = BASE.lines().filter(|line| line.trim_start().starts_with('#')).count();
    assert!(documented > 50, "{documented} comment lines");
}

#[test]
fn each_layer_wins_over_the_one_before() {
    let folder = folder(&[
        ("production.yaml", "server: {body_limit_bytes: 4096, request_timeout_seconds: 5, upload_limit_bytes: 10}"),
        ("own.yaml", "server: {request_timeout_seconds: 6, upload_limit_bytes: 11}"),
        ("limit", "13\n"),
    ]);
    let mut sources = Sources::none().with_dir(folder.path());
    let loaded = Settings::load(&sources).expect("environment file");
    assert_eq!(loaded.server.body_limit_bytes, 4096);
    assert_eq!(loaded.server.request_timeout_seconds, 5);

    sources = sources.with_file(folder.path().join("own.yaml"));
    assert_eq!(Settings::load(&sources).expect("own file").server.request_timeout_seconds, 6);

    sources = sources.with_variable("CARREL__SERVER__UPLOAD_LIMIT_BYTES", "12");
    assert_eq!(Settings::load(&sources).expect("variable").server.upload_limit_bytes, 12);

    let limit = folder.path().join("limit").display().to_string();
    sources = sources.with_variable("CARREL__SERVER__UPLOAD_LIMIT_BYTES_FILE", limit);
    let loaded = Settings::load(&sources).expect("variable's file");
    assert_eq!(loaded.server.upload_limit_bytes, 13);
    assert_eq!(loaded.server.request_timeout_seconds, 6);
    assert_eq!(loaded.server.body_limit_bytes, 4096);
}

#[test]
fn a_named_environment_must_exist_and_the_default_need_not() {
    let folder = folder(&[]);
    let sources = Sources::none().with_dir(folder.path());
    assert!(Settings::load(&sources).is_ok());
    let named = sources.clone().with_environment("staging");
    assert!(matches!(Settings::load(&named), Err(ConfigError::Read { .. })));
    let outside = sources.with_environment("../etc/passwd");
    assert!(matches!(Settings::load(&outside), Err(ConfigError::Invalid { .. })));
}

#[test]
fn unknown_keys_are_refused_with_a_guess() {
    let (_folder, sources) = with_yaml("server:\n  lisen: 1.2.3.4:5\n");
    let message = refusal(&sources);
    assert!(message.contains("`server.lisen`"), "{message}");
    assert!(message.contains("carrel.yaml"), "{message}");
    assert!(message.contains("did you mean `server.listen`?"), "{message}");

    let message = refusal(&Sources::none().with_variable("CARREL__SEVRER__LISTEN", "x"));
    assert!(message.contains("the variable CARREL__SEVRER__LISTEN"), "{message}");
    assert!(message.contains("did you mean `CARREL__SERVER`?"), "{message}");

    let message = refusal(&Sources::none().with_variable("CARREL__JOBS__QUEUES__INJEST", "4"));
    assert!(message.contains("`CARREL__JOBS__QUEUES__INGEST`"), "{message}");

    let (_folder, sources) = with_yaml("server: {listen: {port: 1}}");
    assert!(refusal(&sources).contains("`server.listen.port`"));
    let (_folder, sources) = with_yaml("server: 8080");
    assert!(refusal(&sources).contains("is a section"));
    let (_folder, sources) = with_yaml("server: [");
    assert!(matches!(Settings::load(&sources), Err(ConfigError::Syntax { .. })));
}

#[test]
fn wrong_values_name_their_key_and_origin() {
    for (key, value, part) in [
        ("CARREL__SERVER__LISTEN", "nowhere", "listen"),
        ("CARREL__DATABASE__POOL_SIZE", "0", "database.pool_size"),
        ("CARREL__DATABASE__POOL_SIZE", "many", "pool_size"),
        ("CARREL__STORE__KIND", "s3", "store.bucket"),
        ("CARREL__STORE__KIND", "tape", "kind"),
        ("CARREL__AUTH__SIGNING_KEY", "/etc/key.pem", "auth.signing_key_file"),
        ("CARREL__TELEMETRY__LOG_FILTER", "a=b=c", "telemetry.log_filter"),
        ("CARREL__TELEMETRY__TRACE_SAMPLE_RATIO", "2", "telemetry.trace_sample_ratio"),
        ("CARREL__INFERENCE__EMBEDDER__PROVIDER", "oracle", "inference.embedder.provider"),
        ("CARREL__JOBS__QUEUES__AI", "99999", "jobs.queues.ai"),
        ("CARREL__SERVER__PUBLIC_URL", "example.org", "server.public_url"),
        ("CARREL__BACKUP__DATABASE", "pgbackrest", "backup.stanza"),
        ("CARREL__BACKUP__STANZA", "--repo1-path=/", "backup.stanza"),
    ] {
        let message = refusal(&Sources::none().with_variable(key, value));
        assert!(message.contains(part), "{key}={value}: {message}");
    }
}

#[test]
fn variables_reach_every_type_and_empty_ones_do_not_count() {
    let sources = Sources::none()
        .with_variable("CARREL__STORE__ALLOW_HTTP", "true")
        .with_variable("CARREL__SEARCH__LEXICAL_WEIGHT", "0.7")
        .with_variable("CARREL__INFERENCE__EMBEDDER__PROVIDER", "openai")
        .with_variable("CARREL__INFERENCE__EMBEDDER__URL", "http://localhost:1234")
        .with_variable("CARREL__INFERENCE__EMBEDDER__DIMENSION", "384")
        .with_variable("CARREL__INFERENCE__EMBEDDER__LANGUAGES", "en, de")
        .with_variable("CARREL__REDIS__URL", "");
    let settings = Settings::load(&sources).expect("settings");
    assert!(settings.store.allow_http);
    assert!((settings.search.lexical_weight - 0.7).abs() < 1e-6);
    assert!(settings.redis.url.is_none());
    assert_eq!(
        settings.inference.embedder.to_json(),
        serde_json::json!({"provider": "openai", "url": "http://localhost:1234", "dimension": 384, "languages": ["en", "de"]})
    );
}

#[test]
fn secrets_come_from_files_and_are_never_shown() {
    let folder = folder(&[
        ("url", "postgres://carrel:s3cret@db/carrel?password=s3cret&sslmode=require\n"),
        ("key.pem", "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n"),
    ]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let yaml = folder.path().join("own.yaml");
    std::fs::write(&yaml, format!("auth: {{signing_key_file: {}}}", path("key.pem"))).expect("file");
    let sources = Sources::none()
        .with_file(&yaml)
        .with_variable("CARREL__DATABASE__URL_FILE", path("url"))
        .with_variable("CARREL__REDIS__URL", "rediss://:s3cret@cache:6379/1")
        .with_variable("CARREL__INFERENCE__EMBEDDER__API_KEY", "s3cret");
    let settings = Settings::load(&sources).expect("settings");
    let url = settings.database.url.as_ref().expect("url").expose_secret();
    assert!(url.ends_with("sslmode=require"), "the line break must go");

    let shown = settings.redacted_yaml();
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(!format!("{settings:?}").contains("s3cret"));
    assert!(shown.contains("postgres://carrel:***@db/carrel?password=***&sslmode=require"), "{shown}");
    assert!(shown.contains("named by the variable CARREL__DATABASE__URL_FILE"), "{shown}");
    assert!(shown.contains("listen: \"127.0.0.1:8080\"\n"), "{shown}");

    let message = refusal(&Sources::none().with_variable("CARREL__REDIS__URL", "s3cret"));
    assert!(!message.contains("s3cret"), "{message}");
    let missing = Sources::none().with_variable("CARREL__REDIS__URL_FILE", "/nonexistent/secret");
    assert!(refusal(&missing).contains("CARREL__REDIS__URL_FILE"));
    assert!(!refusal(&missing).contains("carrel setup"));
    let package = Sources::none().with_variable("CARREL__REDIS__URL_FILE", "/etc/carrel/secrets/no-such-file");
    assert!(refusal(&package).ends_with("this machine has not been set up yet: run `carrel setup` as root"));
}

#[test]
fn what_is_shown_can_be_read_back() {
    let settings = Settings::defaults().expect("defaults");
    let (_folder, sources) = with_yaml(&settings.redacted_yaml());
    let again = Settings::load(&sources).expect("read back");
    assert_eq!(again.server.listen, settings.server.listen);
}

#[test]
fn every_shipped_file_is_valid() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let mut seen = 0;
    for entry in std::fs::read_dir(&dir).expect("config") {
        let path = entry.expect("entry").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            Settings::load(&Sources::none().with_file(&path))
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            seen += 1;
        }
    }
    assert!(seen >= 2);
}
