//! Redis as a carrier of job ids. Losing, repeating or reordering them is harmless.

use crate::error::QueueError;
use crate::link::{Link, RedisOptions};
use carrel_domain::JobId;
use carrel_domain::job::QueueName;
use redis::{InfoDict, RedisResult};
use std::collections::HashMap;

/// Longest wait of one pop. Shorter than the response timeout, or every idle pop would look like a stalled Redis.
const POP_WAIT: f64 = 2.0;

/// What Redis holds of a queue.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) waiting: usize,
    /// Redis has lost ids since [`Carrier::remember`], or may have: it was emptied, or is another process now.
    pub(crate) forgot: bool,
    /// The process that answered.
    run: String,
}

/// A worker's connections: one that blocks per queue, and one for the rest.
pub(crate) struct Carrier {
    prefix: String,
    shared: Link,
    blocking: HashMap<QueueName, Link>,
}

impl Carrier {
    /// Prepares; connects on first use.
    pub(crate) fn new(options: &RedisOptions, queues: &[QueueName]) -> Result<Self, QueueError> {
        let shared = options.connect()?;
        let blocking =
            queues.iter().map(|queue| Ok((*queue, options.connect()?))).collect::<Result<_, QueueError>>()?;
        Ok(Self { prefix: options.prefix.clone(), shared, blocking })
    }

    fn ids(&self, queue: QueueName) -> String {
        format!("{}jobs:{queue}", self.prefix)
    }

    fn epoch(&self, queue: QueueName) -> String {
        format!("{}epoch:{queue}", self.prefix)
    }

    /// Waits up to two seconds for ids of the queue and takes up to `limit`.
    pub(crate) async fn pop(&self, queue: QueueName, limit: usize) -> RedisResult<Vec<JobId>> {
        let link = self.blocking.get(&queue).unwrap_or(&self.shared);
        let mut command = redis::cmd("BLMPOP");
        command.arg(POP_WAIT).arg(1).arg(self.ids(queue)).arg("LEFT").arg("COUNT").arg(limit.max(1));
        let answer: Option<(String, Vec<Vec<u8>>)> = link.query(&command).await?;
        let Some((_, values)) = answer else { return Ok(Vec::new()) };
        let ids: Vec<JobId> = values.iter().filter_map(|value| std::str::from_utf8(value).ok()?.parse().ok()).collect();
        if ids.len() < values.len() {
            tracing::warn!(%queue, messages = values.len() - ids.len(), "dropped messages that are no job ids");
        }
        Ok(ids)
    }

    pub(crate) async fn push(&self, queue: QueueName, ids: &[JobId]) -> RedisResult<()> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let mut command = redis::cmd("RPUSH");
        command.arg(self.ids(queue)).arg(ids);
        self.shared.query(&command).await
    }

    /// Answers how many ids wait, and whether Redis has forgotten the queue since [`Carrier::remember`].
    pub(crate) async fn look(&self, queue: QueueName) -> RedisResult<Look> {
        let mut pipeline = redis::pipe();
        pipeline.llen(self.ids(queue)).get(self.epoch(queue)).cmd("INFO").arg("server");
        let (waiting, epoch, info): (usize, Option<String>, InfoDict) = self.shared.run(&pipeline).await?;
        // Ids that were popped or pushed last may be missing after any restart, however Redis keeps its data.
        let run = info.get::<String>("run_id").unwrap_or_default();
        Ok(Look { waiting, forgot: epoch.as_ref() != Some(&run), run })
    }

    /// Leaves a mark that vanishes with the ids and names the process that held them.
    pub(crate) async fn remember(&self, queue: QueueName, seen: &Look) -> RedisResult<()> {
        let mut command = redis::cmd("SET");
        command.arg(self.epoch(queue)).arg(&seen.run);
        self.shared.query(&command).await
    }
}

impl std::fmt::Debug for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carrier").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
