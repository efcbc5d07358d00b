//! The audit trail as a chain: reading entries, appending links and seals. Entries themselves are written by
//! [`crate::access::audit`], in the transaction of what they tell of.

use crate::{Admin, StorageError, Transaction};
use carrel_domain::WorkspaceId;
use carrel_domain::audit::{Entry, Link, Seal};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// An entry for people.
#[derive(Clone, Debug)]
pub struct AuditRow {
    /// Its number.
    pub seq: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: Value,
    /// What.
    pub action: String,
    /// To what.
    pub subject: Option<Uuid>,
    /// In which request.
    pub request: Uuid,
    /// With which particulars.
    pub details: Value,
    /// Its place in the chain, once it is sealed.
    pub position: Option<i64>,
    /// The seal that covers it.
    pub seal: Option<i64>,
    /// Digest of its link.
    pub digest: Option<Vec<u8>>,
}

/// Conditions of [`list`]; `None` does not restrict.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// About this.
    pub subject: Option<Uuid>,
    /// By the client or the job of this id.
    pub actor: Option<Uuid>,
    /// Of this name.
    pub action: Option<String>,
    /// Not before.
    pub from: Option<DateTime<Utc>>,
    /// Before.
    pub before: Option<DateTime<Utc>>,
}

/// Entries below number `below`, newest first.
pub async fn list(
    transaction: &mut Transaction,
    filter: &AuditFilter,
    below: Option<i64>,
    limit: u32,
) -> Result<Vec<AuditRow>, StorageError> {
    let rows = sqlx::query_as!(
        AuditRow,
        r#"select e.seq, e.at, e.actor, e.action, e.subject, e.request_id as request, e.details,
                  l.position as "position?", l.seal as "seal?", l.digest as "digest?"
           from carrel.audit_entry e
           left join carrel.audit_link l on l.workspace_id = e.workspace_id and l.seq = e.seq
           where ($1::bigint is null or e.seq < $1)
             and ($2::uuid is null or e.subject = $2)
             and ($3::text is null or e.actor ->> 'id' = $3)
             and ($4::text is null or e.action = $4)
             and ($5::timestamptz is null or e.at >= $5)
             and ($6::timestamptz is null or e.at < $6)
           order by e.seq desc
           limit $7"#,
        below,
        filter.subject,
        filter.actor.map(|id| id.to_string()),
        filter.action,
        filter.from,
        filter.before,
        i64::from(limit)
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows)
}

struct EntryRow {
    workspace_id: Uuid,
    seq: i64,
    transaction_id: i64,
    at: i64,
    actor: String,
    action: String,
    subject: Option<Uuid>,
    request_id: Uuid,
    details: String,
}

impl From<EntryRow> for Entry {
    fn from(row: EntryRow) -> Self {
        Self {
            workspace: WorkspaceId(row.workspace_id),
            seq: row.seq,
            transaction: row.transaction_id,
            at: row.at,
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            request: row.request_id,
            details: row.details,
        }
    }
}

struct SealRow {
    number: i64,
    first_position: i64,
    last_position: i64,
    payload: String,
    signature: String,
}

impl From<SealRow> for Seal {
    fn from(row: SealRow) -> Self {
        Self {
            number: row.number,
            first: row.first_position,
            last: row.last_position,
            payload: row.payload,
            signature: row.signature,
        }
    }
}

/// Workspaces with entries that no seal covers yet.
pub async fn workspaces_to_seal(database: &crate::Database) -> Result<Vec<WorkspaceId>, StorageError> {
    let ids = sqlx::query_scalar!(r#"select id as "id!" from carrel.workspaces_to_seal() as id"#)
        .fetch_all(database.app_pool())
        .await?;
    Ok(ids.into_iter().map(WorkspaceId).collect())
}

/// Takes the right to seal the workspace until the end of the transaction. Waits for whoever has it: a seal takes
/// milliseconds.
pub async fn lock_seals(transaction: &mut Transaction) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('seal:' || $1, 0))")
        .bind(workspace.to_string())
        .execute(transaction.connection())
        .await?;
    Ok(())
}

/// The newest seal with the digest of its last link.
pub async fn last_seal(transaction: &mut Transaction) -> Result<Option<(Seal, [u8; 32])>, StorageError> {
    let row = sqlx::query!(
        "select s.number, s.first_position, s.last_position, s.payload, s.signature, l.digest
         from carrel.audit_seal s
         join carrel.audit_link l on l.workspace_id = s.workspace_id and l.position = s.last_position
         order by s.number desc
         limit 1"
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.map(|row| {
        let digest = fixed("digest", row.last_position, &row.digest)?;
        let seal = Seal {
            number: row.number,
            first: row.first_position,
            last: row.last_position,
            payload: row.payload,
            signature: row.signature,
        };
        Ok((seal, digest))
    })
    .transpose()
}

fn fixed(column: &'static str, row: i64, bytes: &[u8]) -> Result<[u8; 32], StorageError> {
    bytes.try_into().map_err(|_| StorageError::Inconsistent {
        table: "audit_link",
        column,
        row: row.to_string(),
        problem: "not 32 bytes".to_owned(),
    })
}

/// Entries that no link names.
#[derive(Clone, Debug)]
pub struct Unsealed {
    /// In the order of their numbers.
    pub entries: Vec<Entry>,
    /// What the seal must remember: where to look from the next time.
    pub horizon: String,
}

/// Committed entries that no link names, at most `limit`.
pub async fn unsealed(transaction: &mut Transaction, limit: u32) -> Result<Unsealed, StorageError> {
    // Read first: whatever has ended by now shows in the next statement, and nothing older can appear after it.
    let horizon = sqlx::query!(
        r#"select pg_snapshot_xmin(pg_current_snapshot())::text as "now!",
                  (select case when s.horizon <= pg_snapshot_xmin(pg_current_snapshot()) then s.horizon::text end
                   from carrel.audit_seal s order by s.number desc limit 1) as "before?""#
    )
    .fetch_one(transaction.connection())
    .await?;
    let rows = sqlx::query_as!(
        EntryRow,
        r#"select e.workspace_id, e.seq, e.transaction_id::text::bigint as "transaction_id!",
                  (extract(epoch from e.at) * 1000000)::bigint as "at!", e.actor::text as "actor!", e.action, e.subject,
                  e.request_id, e.details::text as "details!"
           from carrel.audit_entry e
           where ($1::text is null or e.transaction_id >= $1::text::xid8)
             and not exists (select from carrel.audit_link l where l.workspace_id = e.workspace_id and l.seq = e.seq)
           order by e.seq
           limit $2"#,
        horizon.before,
        i64::from(limit)
    )
    .fetch_all(transaction.connection())
    .await?;
    // What did not fit must be found again.
    let all = rows.len() < limit as usize;
    let horizon = if all { horizon.now } else { horizon.before.unwrap_or_else(|| "0".to_owned()) };
    Ok(Unsealed { entries: rows.into_iter().map(Entry::from).collect(), horizon })
}

/// Appends a seal with its links.
pub async fn insert_seal(
    transaction: &mut Transaction,
    seal: &Seal,
    links: &[Link],
    horizon: &str,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    sqlx::query!(
        "insert into carrel.audit_seal
             (workspace_id, number, first_position, last_position, payload, signature, horizon, sealed_at)
         values ($1, $2, $3, $4, $5, $6, $7::text::xid8, $8)",
        workspace.0,
        seal.number,
        seal.first,
        seal.last,
        seal.payload,
        seal.signature,
        horizon,
        now
    )
    .execute(transaction.connection())
    .await?;
    let positions: Vec<i64> = links.iter().map(|link| link.position).collect();
    let seqs: Vec<i64> = links.iter().map(|link| link.seq).collect();
    let previous: Vec<&[u8]> = links.iter().map(|link| &link.previous[..]).collect();
    let digests: Vec<&[u8]> = links.iter().map(|link| &link.digest[..]).collect();
    sqlx::query!(
        "insert into carrel.audit_link (workspace_id, position, seq, previous, digest, seal)
         select $1, l.position, l.seq, l.previous, l.digest, $2
         from unnest($3::bigint[], $4::bigint[], $5::bytea[], $6::bytea[]) as l (position, seq, previous, digest)",
        workspace.0,
        seal.number,
        &positions,
        &seqs,
        &previous as &[&[u8]],
        &digests as &[&[u8]]
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// The newest sealed entries about any of `subjects`, at most `limit`, by number.
pub async fn entries_about(
    transaction: &mut Transaction,
    subjects: &[Uuid],
    limit: u32,
) -> Result<Vec<Entry>, StorageError> {
    let rows = sqlx::query_as!(
        EntryRow,
        r#"select e.workspace_id, e.seq, e.transaction_id::text::bigint as "transaction_id!",
                  (extract(epoch from e.at) * 1000000)::bigint as "at!", e.actor::text as "actor!", e.action, e.subject,
                  e.request_id, e.details::text as "details!"
           from carrel.audit_entry e
           join carrel.audit_link l on l.workspace_id = e.workspace_id and l.seq = e.seq
           where e.subject = any($1)
           order by e.seq desc
           limit $2"#,
        subjects,
        i64::from(limit)
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows.into_iter().rev().map(Entry::from).collect())
}

/// The seals that cover the entries of these numbers, oldest first.
pub async fn seals_of(transaction: &mut Transaction, seqs: &[i64]) -> Result<Vec<Seal>, StorageError> {
    let rows = sqlx::query_as!(
        SealRow,
        "select s.number, s.first_position, s.last_position, s.payload, s.signature
         from carrel.audit_seal s
         where s.number in (select l.seal from carrel.audit_link l where l.seq = any($1))
         order by s.number",
        seqs
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows.into_iter().map(Seal::from).collect())
}

/// The links of a seal, in their order.
pub async fn links(transaction: &mut Transaction, seal: &Seal) -> Result<Vec<Link>, StorageError> {
    let workspace = transaction.workspace();
    let rows = chain_part(transaction.connection(), workspace, seal).await?;
    Ok(rows.into_iter().map(|(link, _)| link).collect())
}

/// The links of a seal with their entries, in the order of their positions.
async fn chain_part(
    connection: &mut PgConnection,
    workspace: WorkspaceId,
    seal: &Seal,
) -> Result<Vec<(Link, Option<Entry>)>, StorageError> {
    let rows = sqlx::query!(
        r#"select l.position, l.seq, l.previous, l.digest, l.seal,
                  e.workspace_id as "workspace_id?", e.transaction_id::text::bigint as transaction_id,
                  (extract(epoch from e.at) * 1000000)::bigint as at, e.actor::text as actor, e.action as "action?",
                  e.subject as "subject?", e.request_id as "request_id?", e.details::text as details
           from carrel.audit_link l
           left join carrel.audit_entry e on e.workspace_id = l.workspace_id and e.seq = l.seq
           where l.workspace_id = $1 and l.position between $2 and $3
           order by l.position"#,
        workspace.0,
        seal.first,
        seal.last
    )
    .fetch_all(connection)
    .await?;
    let part = rows.into_iter().map(|row| {
        let link = Link {
            position: row.position,
            seq: row.seq,
            previous: fixed("previous", row.position, &row.previous)?,
            digest: fixed("digest", row.position, &row.digest)?,
            seal: row.seal,
        };
        let entry = row.workspace_id.zip(row.request_id).map(|(workspace, request)| Entry {
            workspace: WorkspaceId(workspace),
            seq: row.seq,
            transaction: row.transaction_id.unwrap_or_default(),
            at: row.at.unwrap_or_default(),
            actor: row.actor.unwrap_or_default(),
            action: row.action.unwrap_or_default(),
            subject: row.subject,
            request,
            details: row.details.unwrap_or_default(),
        });
        Ok((link, entry))
    });
    part.collect()
}

/// Seals that one read answers.
const SEALS: i64 = 100;

impl Admin {
    /// Every workspace with its name.
    pub async fn workspaces(&self) -> Result<Vec<(WorkspaceId, String)>, StorageError> {
        let rows = sqlx::query!("select id, name from carrel.workspace order by name").fetch_all(self.pool()).await?;
        Ok(rows.into_iter().map(|row| (WorkspaceId(row.id), row.name)).collect())
    }

    /// Seals after number `after`, oldest first, at most a hundred.
    pub async fn seals(&self, workspace: WorkspaceId, after: i64) -> Result<Vec<Seal>, StorageError> {
        let rows = sqlx::query_as!(
            SealRow,
            "select number, first_position, last_position, payload, signature
             from carrel.audit_seal
             where workspace_id = $1 and number > $2
             order by number
             limit $3",
            workspace.0,
            after,
            SEALS
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows.into_iter().map(Seal::from).collect())
    }

    /// The links of a seal with their entries, in the order of their positions.
    pub async fn chain_part(
        &self,
        workspace: WorkspaceId,
        seal: &Seal,
    ) -> Result<Vec<(Link, Option<Entry>)>, StorageError> {
        let mut connection = self.pool().acquire().await?;
        chain_part(&mut connection, workspace, seal).await
    }

    /// Links behind every seal, which nobody has signed.
    pub async fn links_beyond(&self, workspace: WorkspaceId, position: i64) -> Result<Vec<i64>, StorageError> {
        let rows = sqlx::query_scalar!(
            "select position from carrel.audit_link where workspace_id = $1 and position > $2 order by position limit 1000",
            workspace.0,
            position
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows)
    }

    /// Entries that no link names, oldest first, at most a thousand.
    pub async fn unsealed(&self, workspace: WorkspaceId) -> Result<Vec<Entry>, StorageError> {
        let rows = sqlx::query_as!(
            EntryRow,
            r#"select e.workspace_id, e.seq, e.transaction_id::text::bigint as "transaction_id!",
                      (extract(epoch from e.at) * 1000000)::bigint as "at!", e.actor::text as "actor!", e.action,
                      e.subject, e.request_id, e.details::text as "details!"
               from carrel.audit_entry e
               where e.workspace_id = $1
                 and not exists (select from carrel.audit_link l where l.workspace_id = e.workspace_id and l.seq = e.seq)
               order by e.seq
               limit 1000"#,
            workspace.0
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows.into_iter().map(Entry::from).collect())
    }
}
