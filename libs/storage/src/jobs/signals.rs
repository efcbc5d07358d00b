//! What PostgreSQL says when work arrives or is cancelled.

use super::effect::EFFECT_CHANNEL;
use super::{CANCEL_CHANNEL, WAKE_CHANNEL};
use crate::{Database, StorageError};
use carrel_domain::JobId;
use carrel_domain::job::QueueName;
use sqlx::postgres::{PgListener, PgPoolOptions};
use std::time::Duration;

/// One announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The queue may have work.
    Wake(QueueName),
    /// Someone asked for the running job to be cancelled.
    Cancel(JobId),
    /// There are effects to send.
    Effects,
    /// The connection was lost and is back: anything may have been missed.
    Missed,
}

/// A connection that listens. A signal is a hint: it may be lost, so look now and then without one.
#[derive(Debug)]
pub struct Signals {
    listener: PgListener,
}

impl Signals {
    /// Connects and listens.
    pub async fn connect(database: &Database) -> Result<Self, StorageError> {
        let options = database.queue_pool().connect_options();
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(5))
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(options.as_ref().clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen_all([WAKE_CHANNEL, CANCEL_CHANNEL, EFFECT_CHANNEL]).await?;
        Ok(Self { listener })
    }

    /// Waits for the next announcement.
    pub async fn next(&mut self) -> Result<Signal, StorageError> {
        loop {
            let Some(notification) = self.listener.try_recv().await? else { return Ok(Signal::Missed) };
            let payload = notification.payload();
            let signal = match notification.channel() {
                WAKE_CHANNEL => payload.parse().ok().map(Signal::Wake),
                CANCEL_CHANNEL => payload.parse().ok().map(Signal::Cancel),
                EFFECT_CHANNEL => Some(Signal::Effects),
                _ => None,
            };
            // A queue of a newer release is none of ours.
            if let Some(signal) = signal {
                return Ok(signal);
            }
        }
    }
}

/// Wakes the workers of a queue.
pub async fn wake(database: &Database, queue: QueueName) -> Result<(), StorageError> {
    sqlx::query("select pg_notify($1, $2)")
        .bind(WAKE_CHANNEL)
        .bind(queue.as_str())
        .execute(database.queue_pool())
        .await?;
    Ok(())
}
