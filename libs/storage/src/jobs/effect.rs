//! Effects: written in the transaction that decided them, sent afterwards by whoever gets to them.

use super::{inconsistent, milliseconds};
use crate::{Database, StorageError, Transaction};
use carrel_domain::job::EffectSpec;
use carrel_domain::{ClaimToken, EffectId, JobId, WorkerId, WorkspaceId};
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

/// Channel on which committed effects are announced; the payload is the kind.
pub(crate) const EFFECT_CHANNEL: &str = "carrel_effects";
/// How much longer than its timeout an attempt is left alone.
const OVERTIME: Duration = Duration::from_secs(15);
/// Rows per statement.
const BATCH: i64 = 500;

/// Writes effects and answers their ids in the same order. A key that was used before answers the effect that there is,
/// sent or not. `job` is the job in whose completion they were decided.
pub async fn record_effects(
    tx: &mut Transaction,
    specs: &[EffectSpec],
    job: Option<JobId>,
) -> Result<Vec<EffectId>, StorageError> {
    if specs.is_empty() {
        return Ok(Vec::new());
    }
    // What is sent cannot be taken back, so its decision must be on the disk before it is seen.
    sqlx::query("set local synchronous_commit to default").execute(tx.connection()).await?;
    let mut rows: Vec<&EffectSpec> = specs.iter().collect();
    // One order for everyone, so that two transactions cannot wait for each other's keys; of equal ones, the first.
    rows.sort_by(|a, b| (a.kind, &a.key).cmp(&(b.kind, &b.key)));
    rows.dedup_by(|later, first| (later.kind, &later.key) == (first.kind, &first.key));
    let found: Vec<(Uuid, String, String)> = sqlx::query_as(
        "with added as (
             insert into carrel.outbox_effect as e (
                 id, workspace_id, kind, key, payload, run_at, max_attempts, timeout_ms, job_id, traceparent, created_at
             )
             select s.id, $1, s.kind, s.key, s.payload, greatest(coalesce(s.run_at, now()), now()), s.max_attempts,
                    s.timeout_ms, $2, s.traceparent, now()
             from unnest($3::uuid[], $4::text[], $5::text[], $6::jsonb[], $7::timestamptz[], $8::smallint[],
                         $9::integer[], $10::text[]) with ordinality
                  as s (id, kind, key, payload, run_at, max_attempts, timeout_ms, traceparent, place)
             order by s.place
             on conflict (workspace_id, kind, key) do nothing
             returning e.id, e.kind, e.key
         ),
         told as (
             select pg_notify($11, k.kind) from (select distinct a.kind from added a) k
         )
         select a.id, a.kind, a.key from added a cross join (select count(*) from told) t",
    )
    .bind(tx.workspace().0)
    .bind(job.map(|job| job.0))
    .bind(rows.iter().map(|spec| spec.id.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|spec| spec.kind).collect::<Vec<_>>())
    .bind(rows.iter().map(|spec| spec.key.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|spec| &spec.payload).collect::<Vec<_>>())
    .bind(rows.iter().map(|spec| spec.run_at).collect::<Vec<_>>())
    .bind(rows.iter().map(|spec| i16::try_from(spec.max_attempts.max(1)).unwrap_or(i16::MAX)).collect::<Vec<_>>())
    .bind(rows.iter().map(|spec| milliseconds(spec.timeout).max(1)).collect::<Vec<_>>())
    .bind(rows.iter().map(|spec| spec.traceparent.as_deref()).collect::<Vec<_>>())
    .bind(EFFECT_CHANNEL)
    .fetch_all(tx.connection())
    .await?;
    let mut ids: HashMap<(String, String), Uuid> = found.into_iter().map(|(id, kind, key)| ((kind, key), id)).collect();
    if ids.len() < rows.len() {
        // A later statement: it sees what a neighbour committed while the insertion waited for the key.
        let known: Vec<(Uuid, String, String)> = sqlx::query_as(
            "select e.id, e.kind, e.key
             from unnest($1::text[], $2::text[]) s (kind, key)
             join carrel.outbox_effect e on e.workspace_id = $3 and e.kind = s.kind and e.key = s.key",
        )
        .bind(rows.iter().map(|spec| spec.kind).collect::<Vec<_>>())
        .bind(rows.iter().map(|spec| spec.key.as_str()).collect::<Vec<_>>())
        .bind(tx.workspace().0)
        .fetch_all(tx.connection())
        .await?;
        ids.extend(known.into_iter().map(|(id, kind, key)| ((kind, key), id)));
    }
    Ok(specs
        .iter()
        .map(|spec| EffectId(ids.get(&(spec.kind.to_owned(), spec.key.clone())).copied().unwrap_or(spec.id.0)))
        .collect())
}

/// An effect that this worker is to send.
#[derive(Clone, Debug)]
pub struct ClaimedEffect {
    /// Its id.
    pub id: EffectId,
    /// The token of this attempt.
    pub claim: ClaimToken,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// Its kind.
    pub kind: String,
    /// What the receiver knows it by, whichever attempt this is.
    pub key: String,
    /// The payload as JSON.
    pub payload: Value,
    /// This attempt, from 1.
    pub attempt: u16,
    /// Attempts before it is dead.
    pub max_attempts: u16,
    /// Wall-clock limit of this attempt.
    pub timeout: Duration,
    /// The job in whose completion it was decided.
    pub job: Option<JobId>,
    /// W3C trace context of the request that asked for it.
    pub traceparent: Option<String>,
}

#[derive(sqlx::FromRow)]
struct EffectRow {
    id: Uuid,
    claim: Uuid,
    workspace_id: Uuid,
    kind: String,
    key: String,
    payload: Value,
    attempt: i16,
    max_attempts: i16,
    timeout_ms: i32,
    job_id: Option<Uuid>,
    traceparent: Option<String>,
}

/// Takes up to `limit` due effects of these kinds, oldest first. An attempt whose worker vanished is taken again when its
/// time is over.
pub async fn claim_effects(
    database: &Database,
    worker: WorkerId,
    kinds: &[&str],
    limit: usize,
) -> Result<Vec<ClaimedEffect>, StorageError> {
    let rows: Vec<EffectRow> = sqlx::query_as(
        "with seen as (
             select d.id, d.run_at
             from unnest($1::text[]) k (kind)
             cross join lateral (
                 select e.id, e.run_at
                 from carrel.outbox_effect e
                 where e.kind = k.kind
                   and e.state = 'pending'
                   and e.run_at <= clock_timestamp()
                   and e.attempt < e.max_attempts
                   and (e.lease_until is null or e.lease_until < clock_timestamp())
                 order by e.run_at, e.id
                 -- More than asked for, so that a neighbour who takes the first ones does not leave us empty-handed.
                 limit $2 * 2
             ) d
         ),
         due as (
             select e.id
             from seen s
             join carrel.outbox_effect e on e.id = s.id
             where e.state = 'pending' and (e.lease_until is null or e.lease_until < clock_timestamp())
             order by s.run_at, s.id
             limit $2
             for no key update of e skip locked
         )
         update carrel.outbox_effect e
         set claim = gen_random_uuid(),
             worker_id = $3,
             attempt = e.attempt + 1,
             lease_until = clock_timestamp() + make_interval(secs => e.timeout_ms / 1000.0 + $4)
         from due d
         where e.id = d.id
         returning e.id, e.claim, e.workspace_id, e.kind, e.key, e.payload, e.attempt, e.max_attempts, e.timeout_ms,
                   e.job_id, e.traceparent",
    )
    .bind(kinds)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .bind(worker.0)
    .bind(OVERTIME.as_secs_f64())
    .fetch_all(database.queue_pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(ClaimedEffect {
                id: EffectId(row.id),
                claim: ClaimToken(row.claim),
                workspace: WorkspaceId(row.workspace_id),
                kind: row.kind,
                key: row.key,
                payload: row.payload,
                attempt: u16::try_from(row.attempt).map_err(|error| inconsistent("attempt", row.id, error))?,
                max_attempts: row.max_attempts.unsigned_abs(),
                timeout: Duration::from_millis(row.timeout_ms.unsigned_abs().into()),
                job: row.job_id.map(JobId),
                traceparent: row.traceparent,
            })
        })
        .collect()
}

/// How an attempt to send ended.
#[derive(Clone, Debug, PartialEq)]
pub enum EffectEnd {
    /// The receiver took it.
    Sent {
        /// What it answered.
        receipt: Value,
    },
    /// Tried again while attempts are left, else dead.
    Retry {
        /// Stable code.
        code: String,
        /// For people; cut at 2,000 characters.
        message: String,
        /// Wait before the next attempt; `None` draws a random time up to `base * 2^(attempt - 1)`, at most an hour.
        after: Option<Duration>,
        /// The base of that backoff.
        base: Duration,
    },
    /// The receiver will never take it.
    Dead {
        /// Stable code.
        code: String,
        /// For people; cut at 2,000 characters.
        message: String,
    },
}

/// What an effect is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectState {
    /// Waits for an attempt.
    Pending,
    /// The receiver took it.
    Sent,
    /// Given up.
    Dead,
}

/// Records how an attempt ended; `None` when the claim was no longer held.
pub async fn settle_effect(
    database: &Database,
    id: EffectId,
    claim: ClaimToken,
    end: &EffectEnd,
) -> Result<Option<EffectState>, StorageError> {
    let (outcome, receipt, code, message, wait, base) = match end {
        EffectEnd::Sent { receipt } => ("sent", Some(receipt), None, None, None, Duration::ZERO),
        EffectEnd::Retry { code, message, after, base } => ("retry", None, Some(code), Some(message), *after, *base),
        EffectEnd::Dead { code, message } => ("dead", None, Some(code), Some(message), None, Duration::ZERO),
    };
    let state: Option<String> = sqlx::query_scalar(
        "update carrel.outbox_effect e
         set state = n.state,
             receipt = $4,
             error_code = $5,
             error_message = left($6, 2000),
             run_at = case when n.state = 'pending'
                           then clock_timestamp()
                                + make_interval(secs => coalesce($7, random() * least(3600, $8 * power(2, e.attempt - 1))))
                           else e.run_at end,
             settled_at = case when n.state <> 'pending' then clock_timestamp() end,
             lease_until = null
         from (
             select h.id,
                    case when $3 <> 'retry' then $3 when h.attempt >= h.max_attempts then 'dead' else 'pending' end as state
             from carrel.outbox_effect h
             where h.id = $1 and h.claim = $2 and h.state = 'pending' and h.lease_until is not null
             for no key update
         ) n
         where e.id = n.id
         returning e.state",
    )
    .bind(id.0)
    .bind(claim.0)
    .bind(outcome)
    .bind(receipt)
    .bind(code)
    .bind(message)
    .bind(wait.map(|wait| wait.as_secs_f64()))
    .bind(base.as_secs_f64())
    .fetch_optional(database.queue_pool())
    .await?;
    state
        .map(|state| match state.as_str() {
            "pending" => Ok(EffectState::Pending),
            "sent" => Ok(EffectState::Sent),
            "dead" => Ok(EffectState::Dead),
            other => Err(inconsistent("state", id.0, format!("{other:?} is no state of an effect"))),
        })
        .transpose()
}

/// How long until an effect of these kinds is due, by the database's clock; `None` when none waits.
pub async fn next_effect(database: &Database, kinds: &[&str]) -> Result<Option<Duration>, StorageError> {
    let wait: Option<f64> = sqlx::query_scalar(
        "select extract(epoch from min(f.due) - clock_timestamp())::float8
         from unnest($1::text[]) k (kind)
         cross join lateral (
             select greatest(e.run_at, coalesce(e.lease_until, e.run_at)) as due
             from carrel.outbox_effect e
             where e.kind = k.kind and e.state = 'pending' and e.attempt < e.max_attempts
             order by e.run_at
             limit 100
         ) f",
    )
    .bind(kinds)
    .fetch_one(database.queue_pool())
    .await?;
    Ok(wait.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)))
}

/// Gives up effects whose last attempt ended with its worker; answers how many.
pub async fn sweep_effects(database: &Database) -> Result<u64, StorageError> {
    let done = sqlx::query(
        "update carrel.outbox_effect e
         set state = 'dead',
             error_code = 'crashed',
             error_message = 'the worker vanished while it sent this, at the last attempt',
             settled_at = clock_timestamp(),
             lease_until = null
         where e.id in (
             select d.id
             from carrel.outbox_effect d
             where d.state = 'pending' and d.attempt >= d.max_attempts and d.lease_until < clock_timestamp()
             limit $1
             for no key update skip locked
         )",
    )
    .bind(BATCH)
    .execute(database.queue_pool())
    .await?;
    Ok(done.rows_affected())
}

/// Tries dead effects again: the one with `id`, or all of `kind`, or all. Answers how many.
pub async fn replay_effects(
    tx: &mut Transaction,
    id: Option<EffectId>,
    kind: Option<&str>,
) -> Result<u64, StorageError> {
    let revived: i64 = sqlx::query_scalar(
        "with revived as (
             update carrel.outbox_effect e
             set state = 'pending', attempt = 0, run_at = clock_timestamp(), settled_at = null
             where e.state = 'dead' and ($1::uuid is null or e.id = $1) and ($2::text is null or e.kind = $2)
             returning e.kind
         ),
         told as (
             select pg_notify($3, k.kind) from (select distinct r.kind from revived r) k
         )
         select count(*) + 0 * (select count(*) from told) from revived",
    )
    .bind(id.map(|id| id.0))
    .bind(kind)
    .bind(EFFECT_CHANNEL)
    .fetch_one(tx.connection())
    .await?;
    Ok(revived.unsigned_abs())
}

/// Deletes effects that were settled longer ago than `keep`, a batch per call; answers how many. After that, their keys
/// could be used again.
pub async fn delete_settled(database: &Database, keep: Duration) -> Result<u64, StorageError> {
    let done = sqlx::query(
        "delete from carrel.outbox_effect e
         where e.id in (
             select o.id
             from carrel.outbox_effect o
             where o.state <> 'pending' and o.settled_at < clock_timestamp() - make_interval(secs => $1)
             limit $2
         )",
    )
    .bind(keep.as_secs_f64())
    .bind(BATCH)
    .execute(database.queue_pool())
    .await?;
    Ok(done.rows_affected())
}

/// Effects of one kind in one state, over all workspaces.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectDepth {
    /// The kind.
    pub kind: String,
    /// `pending` or `dead`.
    pub state: String,
    /// How many.
    pub effects: u64,
    /// How long the oldest has been due.
    pub oldest: Duration,
}

/// Counts what was not sent.
pub async fn effect_depths(database: &Database) -> Result<Vec<EffectDepth>, StorageError> {
    let rows: Vec<(String, String, i64, f64)> = sqlx::query_as(
        "select e.kind, e.state, count(*), greatest(extract(epoch from clock_timestamp() - min(e.run_at)), 0)::float8
         from carrel.outbox_effect e
         where e.state = 'pending' or e.state = 'dead'
         group by e.kind, e.state",
    )
    .fetch_all(database.queue_pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|(kind, state, effects, oldest)| EffectDepth {
            kind,
            state,
            effects: effects.unsigned_abs(),
            oldest: Duration::try_from_secs_f64(oldest).unwrap_or_default(),
        })
        .collect())
}
