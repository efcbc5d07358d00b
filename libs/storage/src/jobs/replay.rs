//! Trying ended jobs again, together with what fell with them.

use super::WAKE_CHANNEL;
use super::enqueue::connect;
use crate::{StorageError, Transaction};
use carrel_domain::{Actor, JobId};
use sqlx::types::Json;
use std::collections::HashMap;
use uuid::Uuid;

/// A job that ended without completing, and the job that already stands for it.
#[derive(sqlx::FromRow)]
struct Broken {
    id: Uuid,
    stands_in: Option<Uuid>,
    needs: Vec<Uuid>,
}

/// Replays a discarded or cancelled job as `first`, with the jobs that were cancelled because of it and the broken jobs
/// that those need: the part of the graph that fell is set up again as it was. Answers the job that now stands for it,
/// which is an earlier replay if that has not failed too. The other new ids follow `first`.
pub(super) async fn replay(
    tx: &mut Transaction,
    id: JobId,
    first: JobId,
    actor: &Actor,
) -> Result<JobId, StorageError> {
    let broken: Vec<Broken> = sqlx::query_as(
        "with recursive broken (id) as (
             select $1::uuid
             union
             select n.id
             from broken b
             cross join lateral (
                 select j.id
                 from carrel.job_dep d
                 join carrel.job_all j on j.id = d.job_id
                 where d.needs_id = b.id and j.state = 'cancelled' and j.error_code = 'needed_job_ended'
                 union all
                 select j.id
                 from carrel.job_dep d
                 join carrel.job_all j on j.id = d.needs_id
                 where d.job_id = b.id and j.state in ('discarded', 'cancelled')
             ) n
         )
         select j.id,
                coalesce(
                    (select r.id
                     from carrel.job_all r
                     where r.replay_of = j.id and r.state not in ('discarded', 'cancelled')
                     order by r.id desc
                     limit 1),
                    (select u.id
                     from carrel.job u
                     where u.workspace_id = j.workspace_id and u.kind = j.kind and u.unique_key = j.unique_key
                       and u.state in ('blocked', 'available', 'running'))
                ) as stands_in,
                array(select d.needs_id from carrel.job_dep d where d.job_id = j.id) as needs
         from broken b
         join carrel.job_all j on j.id = b.id
         order by j.id <> $1, j.id",
    )
    .bind(id.0)
    .fetch_all(tx.connection())
    .await?;

    let mut replays: HashMap<Uuid, Uuid> = HashMap::with_capacity(broken.len());
    for (job, offset) in broken.iter().zip(0_u128..) {
        // Counting on from a random id keeps both its time and its uniqueness.
        let new = Uuid::from_u128(first.0.as_u128().wrapping_add(offset));
        replays.insert(job.id, job.stands_in.unwrap_or(new));
    }
    let fresh: Vec<&Broken> = broken.iter().filter(|job| job.stands_in.is_none()).collect();
    let needs: Vec<(Uuid, Uuid)> = fresh
        .iter()
        .flat_map(|job| job.needs.iter().map(|needed| (job.id, *needed)))
        .map(|(job, needed)| (replays[&job], replays.get(&needed).copied().unwrap_or(needed)))
        .collect();
    copy(tx, &fresh, &replays, actor).await?;
    if !needs.is_empty() {
        connect(tx, &needs).await?;
    }
    Ok(JobId(replays.get(&id.0).copied().unwrap_or(first.0)))
}

/// Replays up to `limit` dead letters, oldest first, of `kind` or of every kind, each with what fell with it, and answers
/// the replayed job and the one that now stands for it. One that was replayed before is left out. `new_id` makes ids.
pub async fn replay_dead(
    tx: &mut Transaction,
    kind: Option<&str>,
    limit: u32,
    actor: &Actor,
    mut new_id: impl FnMut() -> JobId,
) -> Result<Vec<(JobId, JobId)>, StorageError> {
    // One at a time: two would replay the same.
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1::text, 5504))")
        .bind(tx.workspace().0)
        .execute(tx.connection())
        .await?;
    let dead: Vec<Uuid> = sqlx::query_scalar(
        "select j.id
         from carrel.job_all j
         where j.state = 'discarded'
           and ($1::text is null or j.kind = $1)
           and not exists (select from carrel.job_all r where r.replay_of = j.id)
         order by j.id
         limit $2",
    )
    .bind(kind)
    .bind(i64::from(limit))
    .fetch_all(tx.connection())
    .await?;
    let mut replayed = Vec::with_capacity(dead.len());
    for id in dead {
        let replay = replay(tx, JobId(id), new_id(), actor).await?;
        replayed.push((JobId(id), replay));
    }
    Ok(replayed)
}

async fn copy(
    tx: &mut Transaction,
    fresh: &[&Broken],
    replays: &HashMap<Uuid, Uuid>,
    actor: &Actor,
) -> Result<(), StorageError> {
    sqlx::query(
        "with added as (
             insert into carrel.job (
                 id, workspace_id, kind, queue, state, priority, payload, payload_version, run_at, max_attempts,
                 timeout_ms, waits_for, unique_key, limit_key, parent_id, replay_of, traceparent, created_by, created_at
             )
             select n.id, o.workspace_id, o.kind, o.queue, case when n.needs > 0 then 'blocked' else 'available' end,
                    o.priority, o.payload, o.payload_version, now(), o.max_attempts, o.timeout_ms, n.needs, o.unique_key,
                    o.limit_key, o.parent_id, o.id, o.traceparent, $4, now()
             from unnest($1::uuid[], $2::uuid[], $3::smallint[]) n (old, id, needs)
             join carrel.job_all o on o.id = n.old
             returning queue
         )
         select pg_notify($5, a.queue)
         from (select distinct queue from added) a",
    )
    .bind(fresh.iter().map(|job| job.id).collect::<Vec<_>>())
    .bind(fresh.iter().map(|job| replays[&job.id]).collect::<Vec<_>>())
    .bind(fresh.iter().map(|job| i16::try_from(job.needs.len()).unwrap_or(i16::MAX)).collect::<Vec<_>>())
    .bind(Json(actor))
    .bind(WAKE_CHANNEL)
    .execute(tx.connection())
    .await?;
    Ok(())
}
