//! Values that have the right type and still cannot be meant.

use super::Settings;
use super::error::ConfigError;
use super::sections::{
    Ai, Auth, Backup, BackupMethod, Database, Embedder, Extract, Fixity, Jobs, Ocr, Redis, Screening, Search, Server,
    Store, StoreKind, Telemetry,
};
use secrecy::ExposeSecret;
use std::ops::RangeInclusive;

impl Settings {
    /// Checks every section; the error names the key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.server.validate()?;
        self.database.validate()?;
        self.redis.validate()?;
        self.store.validate()?;
        self.backup.validate()?;
        self.auth.validate()?;
        self.fixity.validate()?;
        self.inference.embedder.validate("inference.embedder")?;
        if self.inference.embedder.provider.is_none() {
            return Err(ConfigError::invalid("inference.embedder.provider", "is needed"));
        }
        self.inference.next.validate("inference.next")?;
        self.ai.validate()?;
        self.jobs.validate()?;
        self.extract.validate()?;
        self.screening.validate()?;
        self.search.validate()?;
        self.telemetry.validate()
    }
}

impl Server {
    fn validate(&self) -> Result<(), ConfigError> {
        if let Some(url) = &self.public_url {
            web_address("server.public_url", url)?;
        }
        within("server.body_limit_bytes", self.body_limit_bytes as u64, 1024..=1 << 30)?;
        within("server.request_timeout_seconds", self.request_timeout_seconds, 1..=3600)?;
        within("server.upload_limit_bytes", self.upload_limit_bytes, 1..=1 << 40)?;
        within("server.linger_seconds", self.linger_seconds, 0..=600)?;
        if self.metrics_listen == Some(self.listen) && self.listen.port() != 0 {
            return Err(ConfigError::invalid("server.metrics_listen", "must differ from server.listen"));
        }
        Ok(())
    }
}

impl Database {
    fn validate(&self) -> Result<(), ConfigError> {
        for (key, url) in [
            ("database.url", &self.url),
            ("database.read_url", &self.read_url),
            ("database.admin_url", &self.admin_url),
        ] {
            if let Some(url) = url {
                scheme(key, url.expose_secret(), &["postgres", "postgresql"])?;
            }
        }
        within("database.pool_size", u64::from(self.pool_size), 1..=1000)?;
        within("database.queue_pool_size", u64::from(self.queue_pool_size), 1..=1000)?;
        // Positions are compared every second.
        within("database.read_max_lag_ms", self.read_max_lag_ms, 2_000..=3_600_000)?;
        within("database.statement_timeout_ms", self.statement_timeout_ms, 100..=3_600_000)
    }
}

impl Redis {
    fn validate(&self) -> Result<(), ConfigError> {
        match &self.url {
            Some(url) => scheme(
                "redis.url",
                url.expose_secret(),
                &["redis", "rediss", "redis+unix", "unix", "redis+sentinel", "rediss+sentinel"],
            ),
            None => Ok(()),
        }
    }
}

impl Store {
    fn validate(&self) -> Result<(), ConfigError> {
        if self.kind == StoreKind::S3 && self.bucket.is_none() {
            return Err(ConfigError::invalid("store.bucket", "is needed because store.kind is s3"));
        }
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            return Err(ConfigError::invalid(
                "store.access_key_id",
                "and store.secret_access_key must be set together",
            ));
        }
        if let Some(endpoint) = &self.endpoint {
            web_address("store.endpoint", endpoint)?;
            if endpoint.starts_with("http://") && !self.allow_http {
                return Err(ConfigError::invalid("store.endpoint", "has no TLS; set store.allow_http to accept that"));
            }
        }
        if let Some(previous) = &self.previous {
            scheme("store.previous", previous, &["file", "s3"])?;
        }
        cron("store.orphan_schedule", &self.orphan_schedule)?;
        // An upload may take an hour, and must never lose what it has staged.
        within("store.orphan_grace_hours", self.orphan_grace_hours, 2..=8760)
    }
}

impl Backup {
    fn validate(&self) -> Result<(), ConfigError> {
        if let Some(destination) = &self.destination {
            scheme("backup.destination", destination, &["file", "s3"])?;
        }
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            let problem = "and backup.secret_access_key must be set together";
            return Err(ConfigError::invalid("backup.access_key_id", problem));
        }
        if self.passphrase.is_some() && (self.recipient.is_some() || self.identity.is_some()) {
            return Err(ConfigError::invalid(
                "backup.passphrase",
                "takes the place of recipient and identity: set one",
            ));
        }
        if self.passphrase.as_ref().is_some_and(|passphrase| passphrase.expose_secret().len() < 12) {
            return Err(ConfigError::invalid("backup.passphrase", "must have at least 12 characters"));
        }
        let plain =
            |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        match &self.stanza {
            Some(stanza) if !plain(stanza) => {
                return Err(ConfigError::invalid("backup.stanza", "may have letters, digits, `-`, `_` and `.` only"));
            }
            None if self.database == BackupMethod::PgBackRest => {
                let problem = "must name pgBackRest's stanza when backup.database is pgbackrest";
                return Err(ConfigError::invalid("backup.stanza", problem));
            }
            _ => {}
        }
        within("backup.full_hours", self.full_hours, 1..=168)?;
        within("backup.incremental_minutes", self.incremental_minutes.unwrap_or(15), 1..=10_080)?;
        within("backup.keep_hours", self.keep_hours, 1..=8760)?;
        within("backup.keep_days", self.keep_days, 1..=3650)
    }
}

impl Auth {
    fn validate(&self) -> Result<(), ConfigError> {
        if let Some(key) = &self.signing_key
            && !key.expose_secret().contains("-----BEGIN")
        {
            return Err(ConfigError::invalid(
                "auth.signing_key",
                "must be the key itself in PEM; name a file in auth.signing_key_file",
            ));
        }
        within("auth.token_lifetime_seconds", self.token_lifetime_seconds, 30..=86_400)
    }
}

impl Embedder {
    fn validate(&self, section: &str) -> Result<(), ConfigError> {
        const PROVIDERS: [&str; 4] = ["builtin", "ollama", "openai", "hashing"];
        if self.provider.as_deref().is_some_and(|provider| !PROVIDERS.contains(&provider)) {
            let reason = format!("must be one of {}", PROVIDERS.join(", "));
            return Err(ConfigError::invalid(&format!("{section}.provider"), reason));
        }
        if let Some(url) = &self.url {
            web_address(&format!("{section}.url"), url)?;
        }
        if let Some(dimension) = self.dimension {
            // halfvec, pgvector's widest indexed type.
            within(&format!("{section}.dimension"), dimension as u64, 8..=4000)?;
        }
        if let Some(threads) = self.threads {
            within(&format!("{section}.threads"), threads as u64, 1..=1024)?;
        }
        Ok(())
    }
}

impl Fixity {
    fn validate(&self) -> Result<(), ConfigError> {
        cron("fixity.schedule", &self.schedule)?;
        within("fixity.period_days", self.period_days, 1..=3650)?;
        // Slower than this, one large original would take longer than a job may.
        within("fixity.bytes_per_second", self.bytes_per_second, 1 << 20..=1 << 40)
    }
}

impl Ai {
    fn validate(&self) -> Result<(), ConfigError> {
        match &self.url {
            Some(url) => web_address("ai.url", url),
            None => Ok(()),
        }
    }
}

impl Jobs {
    fn validate(&self) -> Result<(), ConfigError> {
        within("jobs.lease_seconds", self.lease_seconds, 5..=3600)?;
        within("jobs.drain_seconds", self.drain_seconds, 0..=3600)?;
        within("jobs.keep_finished_days", self.keep_finished_days, 1..=3650)?;
        within("jobs.effects_at_once", self.effects_at_once as u64, 1..=1000)?;
        for (queue, concurrency) in &self.queues {
            within(&format!("jobs.queues.{queue}"), *concurrency as u64, 0..=1000)?;
        }
        Ok(())
    }
}

impl Extract {
    fn validate(&self) -> Result<(), ConfigError> {
        within("extract.wall_seconds", self.wall_seconds, 1..=86_400)?;
        within("extract.cpu_seconds", self.cpu_seconds, 1..=86_400)?;
        within("extract.memory_bytes", self.memory_bytes, 64 << 20..=1 << 40)?;
        within("extract.output_bytes", self.output_bytes, 1 << 10..=1 << 32)?;
        within("extract.input_bytes", self.input_bytes, 1..=1 << 40)?;
        within("extract.depth", u64::from(self.depth), 0..=32)?;
        within("extract.children", u64::from(self.children), 0..=1_000_000)?;
        within("extract.children_bytes", self.children_bytes, 0..=1 << 40)?;
        within("extract.descendants", u64::from(self.descendants), 0..=10_000_000)?;
        within("extract.archive_entries", self.archive_entries, 1..=10_000_000)?;
        within("extract.archive_member_bytes", self.archive_member_bytes, 1..=1 << 40)?;
        within("extract.archive_ratio", self.archive_ratio, 1..=100_000)?;
        within("extract.pages", u64::from(self.pages), 1..=10_000_000)?;
        within("extract.columns", u64::from(self.columns), 1..=1_000_000)?;
        within("extract.mail_parts", u64::from(self.mail_parts), 1..=1_000_000)?;
        self.ocr.validate()
    }
}

impl Ocr {
    fn validate(&self) -> Result<(), ConfigError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+');
        if self.languages.as_deref().is_some_and(|languages| !languages.chars().all(plain)) {
            return Err(ConfigError::invalid("extract.ocr.languages", "must be names such as eng+deu"));
        }
        if self.program.as_deref().is_some_and(|program| !program.is_absolute()) {
            return Err(ConfigError::invalid("extract.ocr.program", "must be an absolute path"));
        }
        within("extract.ocr.seconds", self.seconds, 1..=86_400)
    }
}

impl Screening {
    fn validate(&self) -> Result<(), ConfigError> {
        if self.digest_key.as_ref().is_some_and(|key| key.expose_secret().trim().len() < 32) {
            return Err(ConfigError::invalid("screening.digest_key", "must have at least 32 characters"));
        }
        let breaches = &self.breaches;
        web_address("screening.breaches.range_url", &breaches.range_url)?;
        web_address("screening.breaches.account_url", &breaches.account_url)?;
        if breaches.accounts && breaches.key.is_none() {
            return Err(ConfigError::invalid("screening.breaches.key", "is needed because accounts are looked up"));
        }
        within("screening.breaches.accounts_per_minute", u64::from(breaches.accounts_per_minute), 1..=60_000)?;
        within("screening.breaches.passwords_per_document", breaches.passwords_per_document, 1..=3_000)?;
        // They share the minutes of one job.
        within("screening.breaches.accounts_per_document", breaches.accounts_per_document as u64, 1..=1_000)?;
        within("screening.breaches.timeout_seconds", breaches.timeout_seconds, 1..=60)?;
        within("screening.breaches.keep_hours", breaches.keep_hours, 1..=8_760)
    }
}

impl Search {
    fn validate(&self) -> Result<(), ConfigError> {
        for (key, weight) in
            [("search.lexical_weight", self.lexical_weight), ("search.vector_weight", self.vector_weight)]
        {
            if !(0.0..=1000.0).contains(&weight) {
                return Err(ConfigError::invalid(key, "must be between 0 and 1000"));
            }
        }
        if self.lexical_weight + self.vector_weight <= 0.0 {
            return Err(ConfigError::invalid("search.vector_weight", "and search.lexical_weight cannot both be 0"));
        }
        within("search.candidates", u64::from(self.candidates), 10..=10_000)
    }
}

impl Telemetry {
    fn validate(&self) -> Result<(), ConfigError> {
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&self.log_filter) {
            return Err(ConfigError::invalid("telemetry.log_filter", format!("cannot be read: {error}")));
        }
        if let Some(endpoint) = &self.otlp_endpoint {
            web_address("telemetry.otlp_endpoint", endpoint)?;
        }
        if !(0.0..=1.0).contains(&self.trace_sample_ratio) {
            return Err(ConfigError::invalid("telemetry.trace_sample_ratio", "must be between 0 and 1"));
        }
        Ok(())
    }
}

/// Five or six fields; what they may hold is said by the calendar when a worker starts.
fn cron(key: &str, text: &str) -> Result<(), ConfigError> {
    if matches!(text.split_whitespace().count(), 5 | 6) {
        return Ok(());
    }
    Err(ConfigError::invalid(key, "must be a cron expression of five fields, such as 41 1 * * *"))
}

fn within(key: &str, value: u64, range: RangeInclusive<u64>) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    let reason = format!("is {value}, but must be between {} and {}", range.start(), range.end());
    Err(ConfigError::invalid(key, reason))
}

fn web_address(key: &str, url: &str) -> Result<(), ConfigError> {
    scheme(key, url, &["http", "https"])?;
    let host = url.split_once("://").map_or("", |(_, rest)| rest);
    if host.is_empty() || host.starts_with('/') || url.contains(char::is_whitespace) {
        return Err(ConfigError::invalid(key, "must name a host"));
    }
    Ok(())
}

/// The address itself may hold a password, so the message does not repeat it.
fn scheme(key: &str, url: &str, schemes: &[&str]) -> Result<(), ConfigError> {
    let found = url.split_once("://").map(|(scheme, _)| scheme);
    if found.is_some_and(|found| schemes.contains(&found)) {
        return Ok(());
    }
    Err(ConfigError::invalid(key, format!("must start with {}", schemes.join(":// or ") + "://")))
}
