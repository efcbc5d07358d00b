//! Hearing of runs in which something happened.

use crate::StorageError;
use carrel_domain::RunId;

/// Hears of runs in which something happened. Signals can be lost while the connection is; a watcher looks again by itself.
#[derive(Debug)]
pub struct RunSignals(sqlx::postgres::PgListener);

impl RunSignals {
    /// Listens on a connection of its own.
    pub async fn listen(database: &crate::Database) -> Result<Self, StorageError> {
        let mut listener = sqlx::postgres::PgListener::connect_with(database.app_pool()).await?;
        listener.listen("carrel_research").await?;
        Ok(Self(listener))
    }

    /// The next run in which something happened.
    pub async fn next(&mut self) -> Result<RunId, StorageError> {
        loop {
            if let Ok(id) = self.0.recv().await?.payload().parse() {
                return Ok(id);
            }
        }
    }
}
