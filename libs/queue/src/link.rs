//! A connection to Redis: a single node, with or without TLS, or whichever node Sentinel names as the primary.
//!
//! Not Cluster: a queue is one list that many wait on, so it lives on one node whatever the cluster's size, and a blocking
//! pop over the keys of several queues would be refused across slots. What Cluster adds here is more ways to fail.

use crate::error::QueueError;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo,
    Pipeline, RedisError, RedisResult, TlsCertificates, TlsMode,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long an answer may take; longer than any blocking pop.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take to be made.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);
/// Where Sentinel listens unless told otherwise.
const SENTINEL_PORT: u16 = 26379;

/// How to reach Redis.
#[derive(Clone)]
pub struct RedisOptions {
    /// A single node: `redis://[user:password@]host[:port][/db]`, `rediss://…` for TLS, `redis+unix:///path`.
    /// Sentinel: `redis+sentinel://[user:password@]host[:port][,host[:port]…]/primary[/db]`, `rediss+sentinel://…` for TLS to
    /// both; user, password and db are the primary's.
    pub url: String,
    /// Put before every key, e.g. `carrel:`.
    pub prefix: String,
    /// The authority that signed the servers' certificates, PEM; `None` trusts the system's.
    pub authority: Option<String>,
    /// User and password of the sentinels themselves, where they ask for one.
    pub sentinel_login: Option<(String, String)>,
}

impl RedisOptions {
    /// Keys begin with `carrel:`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), prefix: "carrel:".to_owned(), authority: None, sentinel_login: None }
    }

    pub(crate) fn connect(&self) -> Result<Link, QueueError> {
        let certificates =
            || TlsCertificates { client_tls: None, root_cert: self.authority.clone().map(String::into_bytes) };
        if let Some(sentinels) = Sentinels::read(&self.url)? {
            let mut builder =
                SentinelClientBuilder::new(sentinels.addresses, &sentinels.primary, SentinelServerType::Master)
                    .map_err(QueueError::RedisAddress)?
                    .set_client_to_redis_db(sentinels.db);
            if let Some((user, password)) = &self.sentinel_login {
                if !user.is_empty() {
                    builder = builder.set_client_to_sentinel_username(user);
                }
                builder = builder.set_client_to_sentinel_password(password);
            }
            if let Some(user) = sentinels.user {
                builder = builder.set_client_to_redis_username(user);
            }
            if let Some(password) = sentinels.password {
                builder = builder.set_client_to_redis_password(password);
            }
            if sentinels.tls {
                builder = builder
                    .set_client_to_redis_tls_mode(TlsMode::Secure)
                    .set_client_to_sentinel_tls_mode(TlsMode::Secure)
                    .set_client_to_redis_certificates(certificates())
                    .set_client_to_sentinel_certificates(certificates());
            }
            let client = builder.build().map_err(QueueError::RedisAddress)?;
            return Ok(Link::Sentinel(Arc::new(Mutex::new(Primary { client, connection: None }))));
        }
        let client = if self.authority.is_some() {
            Client::build_with_tls(self.url.as_str(), certificates())
        } else {
            Client::open(self.url.as_str())
        };
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(CONNECTION_TIMEOUT))
            .set_min_delay(Duration::from_millis(50))
            .set_max_delay(Duration::from_millis(500))
            .set_number_of_retries(1);
        client
            .and_then(|client| ConnectionManager::new_lazy_with_config(client, config))
            .map(Link::Single)
            .map_err(QueueError::RedisAddress)
    }
}

impl std::fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The address may hold a password.
        f.debug_struct("RedisOptions").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// What a Sentinel address says.
struct Sentinels {
    addresses: Vec<ConnectionAddr>,
    primary: String,
    db: i64,
    user: Option<String>,
    password: Option<String>,
    tls: bool,
}

impl Sentinels {
    /// `None` when the address is no Sentinel address.
    fn read(url: &str) -> Result<Option<Self>, QueueError> {
        let (rest, tls) = match (url.strip_prefix("redis+sentinel://"), url.strip_prefix("rediss+sentinel://")) {
            (Some(rest), _) => (rest, false),
            (_, Some(rest)) => (rest, true),
            (None, None) => return Ok(None),
        };
        let wrong = |problem: &'static str| {
            QueueError::RedisAddress(RedisError::from((ErrorKind::InvalidClientConfig, problem)))
        };
        let (authority, path) =
            rest.split_once('/').ok_or_else(|| wrong("a Sentinel address ends with the primary's name"))?;
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (format!("{login}@"), hosts),
            None => (String::new(), authority),
        };
        let (primary, db) = path.split_once('/').unwrap_or((path, "0"));
        if primary.is_empty() {
            return Err(wrong("a Sentinel address ends with the primary's name"));
        }
        let db = db.parse().map_err(|_| wrong("the database of a Sentinel address is no number"))?;
        let mut addresses = Vec::new();
        let mut info: Option<ConnectionInfo> = None;
        for host in hosts.split(',') {
            let host = if host.rsplit(']').next().is_some_and(|tail| tail.contains(':')) {
                host.to_owned()
            } else {
                format!("{host}:{SENTINEL_PORT}")
            };
            let scheme = if tls { "rediss" } else { "redis" };
            // Decodes what is escaped, as in any other address.
            let node = format!("{scheme}://{login}{host}").into_connection_info().map_err(QueueError::RedisAddress)?;
            addresses.push(node.addr().clone());
            info = Some(node);
        }
        let settings = info.as_ref().map(ConnectionInfo::redis_settings);
        Ok(Some(Self {
            addresses,
            primary: primary.to_owned(),
            db,
            user: settings.and_then(|settings| settings.username()).map(str::to_owned),
            password: settings.and_then(|settings| settings.password()).map(str::to_owned),
            tls,
        }))
    }
}

/// The node that Sentinel named last.
pub(crate) struct Primary {
    client: SentinelClient,
    connection: Option<MultiplexedConnection>,
}

impl Primary {
    async fn connection(&mut self) -> RedisResult<MultiplexedConnection> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(CONNECTION_TIMEOUT));
        let asked = self.client.get_async_connection_with_config(&config);
        let connection = tokio::time::timeout(RESPONSE_TIMEOUT, asked)
            .await
            .map_err(|_| RedisError::from((ErrorKind::Io, "no sentinel answered in time")))??;
        Ok(self.connection.insert(connection).clone())
    }
}

/// A connection that is made again when it breaks.
#[derive(Clone)]
pub(crate) enum Link {
    Single(ConnectionManager),
    Sentinel(Arc<Mutex<Primary>>),
}

impl Link {
    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Single(manager) => command.query_async(&mut manager.clone()).await,
            Self::Sentinel(primary) => {
                let mut connection = primary.lock().await.connection().await?;
                let answer = command.query_async(&mut connection).await;
                Self::judge(primary, answer).await
            }
        }
    }

    pub(crate) async fn run<T: FromRedisValue>(&self, pipeline: &Pipeline) -> RedisResult<T> {
        match self {
            Self::Single(manager) => pipeline.query_async(&mut manager.clone()).await,
            Self::Sentinel(primary) => {
                let mut connection = primary.lock().await.connection().await?;
                let answer = pipeline.query_async(&mut connection).await;
                Self::judge(primary, answer).await
            }
        }
    }

    /// After any error the primary may be another one: a node that was demoted refuses writes, and one that vanished does
    /// not answer.
    async fn judge<T>(primary: &Mutex<Primary>, answer: RedisResult<T>) -> RedisResult<T> {
        if answer.is_err() {
            primary.lock().await.connection = None;
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Option<Sentinels> {
        Sentinels::read(url).unwrap()
    }

    #[test]
    fn sentinel_addresses_are_read() {
        let found = read("redis+sentinel://me:p%40ss@one,two:5000,[::1]:7/main/3").unwrap();
        let addresses: Vec<String> = found.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["one:26379", "two:5000", "::1:7"]);
        assert_eq!((found.primary.as_str(), found.db, found.tls), ("main", 3, false));
        assert_eq!((found.user.as_deref(), found.password.as_deref()), (Some("me"), Some("p@ss")));
        let found = read("rediss+sentinel://one/main").unwrap();
        assert_eq!((found.db, found.tls, found.user), (0, true, None));
        assert!(read("redis://one").is_none());
    }

    #[test]
    fn wrong_sentinel_addresses_are_refused() {
        for wrong in ["redis+sentinel://one", "redis+sentinel://one/", "redis+sentinel://one/main/x"] {
            assert!(Sentinels::read(wrong).is_err(), "{wrong}");
        }
    }
}
