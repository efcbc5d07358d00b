//! The audit trail: reading it, and chaining what was committed.

use crate::collections::micros;
use crate::{CursorKey, Listing, OperationError, Operations};
use carrel_bundle::chain;
use carrel_domain::{OperationContext, Scope, WorkspaceId};
use carrel_storage::After;
use carrel_storage::audit::{self, AuditFilter, AuditRow};
use chrono::DateTime;
use uuid::Uuid;

/// Entries that one seal covers at most.
const BATCH: u32 = 4_096;

impl Operations {
    /// Entries of the trail, newest first.
    pub async fn list_audit(
        &self,
        context: &OperationContext,
        filter: &AuditFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Listing<AuditRow>, OperationError> {
        context.require(Scope::AuditRead)?;
        let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        let time = |at: Option<DateTime<chrono::Utc>>| at.map(|at| at.to_rfc3339()).unwrap_or_default();
        let conditions = [
            text(filter.subject),
            text(filter.actor),
            filter.action.clone().unwrap_or_default(),
            time(filter.from),
            time(filter.before),
        ];
        let key = CursorKey::new("audit", &conditions.each_ref().map(String::as_str));
        // The list's order is a number, which travels in the place of an id.
        let below = cursor.map(|text| key.decode(text)).transpose()?;
        let below = below.and_then(|after| i64::try_from(after.id.as_u128()).ok());
        let limit = self.page_size(limit)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let mut rows = audit::list(&mut transaction, filter, below, limit + 1).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let last = rows.last().filter(|_| more).map(|row| Uuid::from_u128(u128::from(row.seq.unsigned_abs())));
        let next = last.map(|id| key.encode(After { at: DateTime::UNIX_EPOCH, id }));
        Ok(Listing { rows, next })
    }

    /// Seals what every workspace has committed; answers the number of entries. For the service that holds the key.
    pub async fn seal_all(&self) -> Result<u64, OperationError> {
        let mut sealed = 0;
        for workspace in audit::workspaces_to_seal(&self.database).await? {
            sealed += self.seal(workspace).await?;
        }
        Ok(sealed)
    }

    /// Seals what a workspace has committed up to now; answers the number of entries.
    pub async fn seal(&self, workspace: WorkspaceId) -> Result<u64, OperationError> {
        let mut sealed = 0;
        loop {
            let mut transaction = self.database.begin(workspace).await?;
            audit::lock_seals(&mut transaction).await?;
            let last = audit::last_seal(&mut transaction).await?;
            let found = audit::unsealed(&mut transaction, BATCH).await?;
            if found.entries.is_empty() {
                transaction.rollback().await?;
                return Ok(sealed);
            }
            let count = found.entries.len();
            let now = micros(self.clock.now());
            let tokens = self.tokens.clone();
            let (links, seal) = tokio::task::spawn_blocking(move || {
                let last = last.as_ref().map(|(seal, digest)| (seal, *digest));
                chain::seal(tokens.bundle_key(), workspace, last, &found.entries, now)
            })
            .await
            .map_err(|error| OperationError::Internal(error.to_string()))?
            .map_err(|error| OperationError::Internal(error.to_string()))?;
            audit::insert_seal(&mut transaction, &seal, &links, &found.horizon, now).await?;
            transaction.commit().await?;
            sealed += count as u64;
            // A log that leaves the machine is an anchor: whoever cuts the trail's end cannot cut it there.
            tracing::info!(
                %workspace, seal = seal.number, sha256 = %chain::text_digest(&seal.payload), entries = count,
                position = seal.last, "the audit trail was sealed"
            );
            if count < BATCH as usize {
                return Ok(sealed);
            }
        }
    }
}
