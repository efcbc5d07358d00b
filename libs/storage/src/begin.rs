//! Transactions that nobody's impatience leaves open.

use sqlx::{AssertSqlSafe, PgPool, Postgres};
use tracing::Instrument;

/// Starts a transaction with this statement, for example `begin`.
///
/// A caller who goes away before the answer (a timeout, a client that hung up) would leave the connection in the pool with a
/// transaction that nothing ends: sqlx 0.9.0 counts it only once the answer is there (sqlx issue 4385). So a task of its own
/// waits for the answer; a transaction that nobody takes from it is rolled back.
pub(crate) async fn begin(
    pool: &PgPool,
    statement: impl Into<String>,
) -> Result<sqlx::Transaction<'static, Postgres>, sqlx::Error> {
    let (pool, statement) = (pool.clone(), statement.into());
    let begun = tokio::spawn(async move { pool.begin_with(AssertSqlSafe(statement)).await }.in_current_span());
    match begun.await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that ends cancels it.
            Err(_) => Err(sqlx::Error::PoolClosed),
        },
    }
}
