//! Putting jobs in, inside the transaction of the change that asked for them.

use super::{WAKE_CHANNEL, milliseconds};
use crate::{StorageError, Transaction};
use carrel_domain::job::JobSpec;
use carrel_domain::{Actor, JobId};
use sqlx::types::Json;
use std::collections::HashMap;
use uuid::Uuid;

type UniqueKey<'a> = (&'a str, &'a str);

/// Writes the jobs of `specs` and answers their ids in the same order.
///
/// A spec whose `unique_key` belongs to a job of its kind that has not ended answers that job's id instead. A job whose
/// needs are not all met is blocked; one that needs a discarded or cancelled job is cancelled at once. Workers are
/// woken when the transaction commits.
///
/// Fails when a needed job does not exist in the transaction's workspace.
pub async fn enqueue(tx: &mut Transaction, specs: &[JobSpec], created_by: &Actor) -> Result<Vec<JobId>, StorageError> {
    if specs.is_empty() {
        return Ok(Vec::new());
    }
    #[cfg(feature = "failpoints")]
    tx.has_enqueued();
    // Of several specs with one key, the first is the job.
    let mut by_key: HashMap<UniqueKey, Uuid> = HashMap::new();
    let mut rows: Vec<&JobSpec> = Vec::with_capacity(specs.len());
    for spec in specs {
        match &spec.unique_key {
            Some(key) if by_key.contains_key(&(spec.kind, key)) => {}
            Some(key) => {
                by_key.insert((spec.kind, key), spec.id.0);
                rows.push(spec);
            }
            None => rows.push(spec),
        }
    }
    // One order for everyone, so that two transactions cannot wait for each other's keys.
    rows.sort_by(|a, b| (a.kind, &a.unique_key).cmp(&(b.kind, &b.unique_key)));

    let added = insert(tx, &rows, created_by).await?;
    for (row, inserted) in rows.iter().zip(&added) {
        if let Some(key) = &row.unique_key {
            by_key.insert((row.kind, key), inserted.id);
        }
    }
    let id_of = |spec: &JobSpec| match &spec.unique_key {
        Some(key) => by_key.get(&(spec.kind, key.as_str())).copied().unwrap_or(spec.id.0),
        None => spec.id.0,
    };
    let final_ids: HashMap<Uuid, Uuid> = specs.iter().map(|spec| (spec.id.0, id_of(spec))).collect();

    let mut needs: Vec<(Uuid, Uuid)> = Vec::new();
    for (row, inserted) in rows.iter().zip(&added) {
        if inserted.is_new {
            let resolve = |needed: &JobId| final_ids.get(&needed.0).copied().unwrap_or(needed.0);
            needs.extend(row.needs.iter().map(|needed| (inserted.id, resolve(needed))));
        }
    }
    if !needs.is_empty() {
        connect(tx, &needs).await?;
    }
    Ok(specs.iter().map(|spec| JobId(id_of(spec))).collect())
}

struct Inserted {
    id: Uuid,
    is_new: bool,
}

async fn insert(tx: &mut Transaction, rows: &[&JobSpec], created_by: &Actor) -> Result<Vec<Inserted>, StorageError> {
    let workspace = tx.workspace().0;
    let column = |value: fn(&JobSpec) -> Option<String>| rows.iter().map(|spec| value(spec)).collect::<Vec<_>>();
    let returned: Vec<(Uuid, String, Option<String>, bool)> = sqlx::query_as(
        "with added as (
             insert into carrel.job as j (
                 id, workspace_id, kind, queue, state, priority, payload, payload_version, run_at, max_attempts,
                 timeout_ms, waits_for, unique_key, limit_key, parent_id, traceparent, created_by, created_at
             )
             select s.id, $1, s.kind, s.queue, case when s.needs > 0 then 'blocked' else 'available' end, s.priority,
                    s.payload, s.payload_version, greatest(coalesce(s.run_at, now()), now()), s.max_attempts,
                    s.timeout_ms, s.needs, s.unique_key, s.limit_key, s.parent_id, s.traceparent, $2, now()
             from unnest($3::uuid[], $4::text[], $5::text[], $6::smallint[], $7::jsonb[], $8::smallint[],
                         $9::timestamptz[], $10::smallint[], $11::integer[], $12::smallint[], $13::text[],
                         $14::text[], $15::uuid[], $16::text[]) with ordinality
                  as s (id, kind, queue, priority, payload, payload_version, run_at, max_attempts, timeout_ms, needs,
                        unique_key, limit_key, parent_id, traceparent, place)
             order by s.place
             -- An update in name only: it locks the existing job, so that it cannot end before we commit.
             on conflict (workspace_id, kind, unique_key)
                 where unique_key is not null and state in ('blocked', 'available', 'running')
                 do update set unique_key = excluded.unique_key
             returning j.id, j.kind, j.unique_key, j.queue, j.state, j.run_at, j.xmax = 0 as is_new
         ),
         told as (
             select pg_notify($17, q.queue)
             from (select distinct a.queue
                   from added a
                   where a.is_new and a.state = 'available' and a.run_at <= now()) q
         )
         select a.id, a.kind, a.unique_key, a.is_new
         from added a
         cross join (select count(*) from told) t",
    )
    .bind(workspace)
    .bind(Json(created_by))
    .bind(rows.iter().map(|spec| spec.id.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|spec| spec.kind).collect::<Vec<_>>())
    .bind(rows.iter().map(|spec| spec.queue.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|spec| spec.priority).collect::<Vec<_>>())
    .bind(rows.iter().map(|spec| spec.payload.clone()).collect::<Vec<_>>())
    .bind(rows.iter().map(|spec| spec.payload_version).collect::<Vec<_>>())
    .bind(rows.iter().map(|spec| spec.run_at).collect::<Vec<_>>())
    .bind(rows.iter().map(|spec| small(spec.max_attempts.max(1))).collect::<Vec<_>>())
    .bind(rows.iter().map(|spec| milliseconds(spec.timeout).max(1)).collect::<Vec<_>>())
    .bind(rows.iter().map(|spec| small(distinct_needs(spec))).collect::<Vec<_>>())
    .bind(column(|spec| spec.unique_key.clone()))
    .bind(column(|spec| spec.limit_key.clone()))
    .bind(rows.iter().map(|spec| spec.parent.map(|parent| parent.0)).collect::<Vec<_>>())
    .bind(column(|spec| spec.traceparent.clone()))
    .bind(WAKE_CHANNEL)
    .fetch_all(tx.connection())
    .await?;

    let existing: HashMap<UniqueKey, (Uuid, bool)> = returned
        .iter()
        .filter_map(|(id, kind, key, is_new)| Some(((kind.as_str(), key.as_deref()?), (*id, *is_new))))
        .collect();
    Ok(rows
        .iter()
        .map(|spec| {
            let found = spec.unique_key.as_deref().and_then(|key| existing.get(&(spec.kind, key)));
            found.map_or(Inserted { id: spec.id.0, is_new: true }, |(id, is_new)| Inserted { id: *id, is_new: *is_new })
        })
        .collect())
}

fn small(count: u16) -> i16 {
    i16::try_from(count).unwrap_or(i16::MAX)
}

fn distinct_needs(spec: &JobSpec) -> u16 {
    let mut needs = spec.needs.clone();
    needs.sort_unstable();
    needs.dedup();
    u16::try_from(needs.len()).unwrap_or(u16::MAX)
}

/// Writes who needs whom and settles what is already decided.
pub(super) async fn connect(tx: &mut Transaction, needs: &[(Uuid, Uuid)]) -> Result<(), StorageError> {
    let workspace = tx.workspace().0;
    let (jobs, needed): (Vec<Uuid>, Vec<Uuid>) = needs.iter().copied().unzip();
    // Locks the needed jobs before reading their state: none of them can end unseen until we commit.
    sqlx::query(
        "with held as (
             select j.id
             from carrel.job j
             where j.id = any ($1)
             order by j.id
             for no key update
         )
         update carrel.job j
         set has_dependents = true
         from held
         where j.id = held.id",
    )
    .bind(&needed)
    .execute(tx.connection())
    .await?;
    sqlx::query(
        "insert into carrel.job_dep (job_id, needs_id, workspace_id)
         select d.job_id, d.needs_id, $3
         from (select distinct * from unnest($1::uuid[], $2::uuid[]) as n (job_id, needs_id)) d",
    )
    .bind(&jobs)
    .bind(&needed)
    .bind(workspace)
    .execute(tx.connection())
    .await?;
    // What a needed job's end would have done, for those that had ended before.
    sqlx::query(
        "with standing as (
             select d.job_id, count(*) filter (where n.state <> 'completed') as waits,
                    min(n.id::text) filter (where n.state in ('discarded', 'cancelled')) as broken
             from carrel.job_dep d
             join carrel.job_all n on n.id = d.needs_id
             where d.job_id = any ($1)
             group by d.job_id
         ),
         moved as (
             update carrel.job j
             set state = case when s.broken is not null then 'cancelled' when s.waits = 0 then 'available' else 'blocked' end,
                 waits_for = s.waits,
                 error_code = case when s.broken is not null then 'needed_job_ended' end,
                 error_message = 'job ' || s.broken || ', which this one needs, did not complete',
                 finished_at = case when s.broken is not null then now() end
             from standing s
             where j.id = s.job_id and j.state = 'blocked' and (s.broken is not null or s.waits <> j.waits_for)
             returning j.queue, j.state
         )
         select pg_notify($2, m.queue)
         from (select distinct queue from moved where state = 'available') m",
    )
    .bind(&jobs)
    .bind(WAKE_CHANNEL)
    .execute(tx.connection())
    .await?;
    Ok(())
}
