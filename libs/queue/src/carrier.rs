//! Redis as a carrier of job ids. Losing, repeating or reordering them is harmless.

use crate::error::QueueError;
use carrel_domain::JobId;
use carrel_domain::job::QueueName;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client, Direction, RedisResult};
use std::collections::HashMap;
use std::time::Duration;

/// Longest wait of one pop. Shorter than the response timeout, or every idle pop would look like a stalled Redis.
const POP_WAIT: f64 = 2.0;
/// How long an answer may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a nudge may take.
const NUDGE_TIMEOUT: Duration = Duration::from_millis(250);

/// How to reach Redis.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// `redis://…` or `rediss://…`.
    pub url: String,
    /// Put before every key, e.g. `carrel:`.
    pub prefix: String,
}

impl RedisOptions {
    /// Keys begin with `carrel:`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), prefix: "carrel:".to_owned() }
    }

    fn ids(&self, queue: QueueName) -> String {
        format!("{}jobs:{queue}", self.prefix)
    }

    fn nudges(&self, queue: QueueName) -> String {
        format!("{}nudge:{queue}", self.prefix)
    }

    fn epoch(&self, queue: QueueName) -> String {
        format!("{}epoch:{queue}", self.prefix)
    }

    fn connect(&self) -> Result<ConnectionManager, QueueError> {
        let client = Client::open(self.url.as_str()).map_err(QueueError::RedisAddress)?;
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_min_delay(Duration::from_millis(50))
            .set_max_delay(Duration::from_millis(500))
            .set_number_of_retries(1);
        ConnectionManager::new_lazy_with_config(client, config).map_err(QueueError::RedisAddress)
    }
}

/// What one pop brought.
#[derive(Debug, Default)]
pub(crate) struct Popped {
    pub(crate) ids: Vec<JobId>,
    /// Someone says that PostgreSQL has more.
    pub(crate) nudged: bool,
}

/// What Redis holds of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) waiting: usize,
    pub(crate) forgot: bool,
}

/// A worker's connections: one that blocks per queue, and one for the rest.
pub(crate) struct Carrier {
    options: RedisOptions,
    shared: ConnectionManager,
    blocking: HashMap<QueueName, ConnectionManager>,
}

impl Carrier {
    /// Prepares; connects on first use.
    pub(crate) fn new(options: RedisOptions, queues: &[QueueName]) -> Result<Self, QueueError> {
        let shared = options.connect()?;
        let blocking =
            queues.iter().map(|queue| Ok((*queue, options.connect()?))).collect::<Result<_, QueueError>>()?;
        Ok(Self { options, shared, blocking })
    }

    /// Waits up to two seconds for ids of the queue and takes up to `limit`.
    pub(crate) async fn pop(&self, queue: QueueName, limit: usize) -> RedisResult<Popped> {
        let mut connection = self.blocking.get(&queue).unwrap_or(&self.shared).clone();
        let (ids, nudges) = (self.options.ids(queue), self.options.nudges(queue));
        let answer: Option<(String, Vec<Vec<u8>>)> = redis::cmd("BLMPOP")
            .arg(POP_WAIT)
            .arg(2)
            .arg(&ids)
            .arg(&nudges)
            .arg(Direction::Left)
            .arg("COUNT")
            .arg(limit.max(1))
            .query_async(&mut connection)
            .await?;
        let Some((key, values)) = answer else { return Ok(Popped::default()) };
        if key == nudges {
            return Ok(Popped { ids: Vec::new(), nudged: true });
        }
        let ids: Vec<JobId> = values.iter().filter_map(|value| std::str::from_utf8(value).ok()?.parse().ok()).collect();
        if ids.len() < values.len() {
            tracing::warn!(%queue, messages = values.len() - ids.len(), "dropped messages that are no job ids");
        }
        Ok(Popped { ids, nudged: false })
    }

    pub(crate) async fn push(&self, queue: QueueName, ids: &[JobId]) -> RedisResult<()> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        self.shared.clone().rpush(self.options.ids(queue), ids).await
    }

    /// Answers how many ids wait, and whether Redis has forgotten the queue since [`Carrier::remember`].
    pub(crate) async fn look(&self, queue: QueueName) -> RedisResult<Look> {
        let mut pipeline = redis::pipe();
        pipeline.llen(self.options.ids(queue)).exists(self.options.epoch(queue));
        let (waiting, known): (usize, bool) = pipeline.query_async(&mut self.shared.clone()).await?;
        Ok(Look { waiting, forgot: !known })
    }

    /// Leaves a mark that vanishes with the ids.
    pub(crate) async fn remember(&self, queue: QueueName) -> RedisResult<()> {
        self.shared.clone().set(self.options.epoch(queue), 1).await
    }
}

impl std::fmt::Debug for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carrier").field("prefix", &self.options.prefix).finish_non_exhaustive()
    }
}

/// Tells workers through Redis that a queue has new jobs. Workers that hear PostgreSQL's announcements know already.
#[derive(Clone)]
pub struct Nudge {
    options: RedisOptions,
    connection: ConnectionManager,
}

impl Nudge {
    /// Prepares; connects on first use. Needs a running tokio runtime.
    pub fn new(options: RedisOptions) -> Result<Self, QueueError> {
        let connection = options.connect()?;
        Ok(Self { options, connection })
    }

    /// Call it after the commit. Best effort: a lost nudge costs a few seconds at most, so this never fails and never
    /// takes longer than a quarter of a second.
    pub async fn nudge(&self, queue: QueueName) {
        let key = self.options.nudges(queue);
        let mut connection = self.connection.clone();
        let mut pipeline = redis::pipe();
        // One waiting nudge says as much as many.
        pipeline.lpush(&key, 1).ignore().ltrim(&key, 0, 0).ignore();
        match tokio::time::timeout(NUDGE_TIMEOUT, pipeline.exec_async(&mut connection)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%queue, %error, "workers were not nudged through Redis"),
            Err(_) => tracing::debug!(%queue, "workers were not nudged through Redis in time"),
        }
    }
}

impl std::fmt::Debug for Nudge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nudge").field("prefix", &self.options.prefix).finish_non_exhaustive()
    }
}
