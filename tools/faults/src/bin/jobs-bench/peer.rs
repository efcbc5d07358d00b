//! Raw apalis-redis with its defaults: the queue that we would have without PostgreSQL.

use anyhow::{Result, anyhow};
use apalis::layers::WorkerBuilderExt;
use apalis::prelude::{BoxDynError, TaskSink, WorkerBuilder};
use apalis_core::worker::ext::parallelize::ParallelizeExt;
use apalis_redis::{Config, RedisStorage};
use serde::{Deserialize, Serialize};

/// Its queue.
pub(crate) const QUEUE: &str = "bench";
/// Jobs at once, as in our worker.
pub(crate) const CONCURRENCY: usize = 32;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Noop {
    id: u64,
}

async fn handle(_: Noop) -> Result<(), BoxDynError> {
    Ok(())
}

fn config() -> Config {
    Config::default().queue(QUEUE)
}

/// Works until it is killed.
pub(crate) async fn work(url: &str) -> Result<()> {
    let connection = apalis_redis::connect(url).await?;
    let storage = RedisStorage::<Noop>::new(connection).with_config(config());
    let worker = WorkerBuilder::new(format!("bench-{}", std::process::id()))
        .backend(storage)
        .concurrency(CONCURRENCY)
        .parallelize(tokio::spawn)
        .catch_panic()
        .build(handle);
    worker.run().await.map_err(|error| anyhow!("the peer's worker ended: {error}"))
}

/// Puts `count` jobs in.
pub(crate) async fn fill(url: &str, count: usize) -> Result<()> {
    let connection = apalis_redis::connect(url).await?;
    let mut storage = RedisStorage::<Noop>::new(connection).with_config(config());
    let mut left = count;
    while left > 0 {
        let batch = left.min(500);
        let jobs: Vec<Noop> = (0..batch).map(|id| Noop { id: id as u64 }).collect();
        storage.push_bulk(jobs).await.map_err(|error| anyhow!("the peer takes no jobs: {error}"))?;
        left -= batch;
    }
    Ok(())
}
