//! Whether what the job system promises holds on a live database.

use crate::begin::begin;
use crate::{Database, StorageError};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// Ids shown per violated invariant.
const SAMPLES: i64 = 5;

/// What one invariant says and what contradicts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// `I1` to `I10`.
    pub invariant: &'static str,
    /// What must hold.
    pub statement: &'static str,
    /// Rows that contradict it.
    pub violations: u64,
    /// Up to five of them: ids of jobs, of effects for I2.
    pub samples: Vec<Uuid>,
}

impl Check {
    /// True when nothing contradicts the invariant.
    pub fn ok(&self) -> bool {
        self.violations == 0
    }
}

struct Invariant {
    name: &'static str,
    statement: &'static str,
    /// Selects the offending ids; `$1` is the grace in seconds.
    offenders: &'static str,
}

const INVARIANTS: [Invariant; 10] = [
    Invariant {
        name: "I1",
        statement: "every job is in one place, and either has ended or can still go on",
        offenders: "
            select j.id from carrel.job j
            where exists (select from carrel.job_history h where h.workspace_id = j.workspace_id and h.id = j.id)
            union all
            select h.id from carrel.job_history h group by h.workspace_id, h.id having count(*) > 1
            union all
            select j.id from carrel.job j where j.state = 'available' and j.attempt >= j.max_attempts
            union all
            select j.id from carrel.job j
            where j.state = 'blocked'
              and j.waits_for <> (select count(*) from carrel.job_dep d
                                  left join carrel.job_all n on n.id = d.needs_id
                                  where d.job_id = j.id and n.state is distinct from 'completed')
            union all
            select j.id from carrel.job j
            where j.state = 'blocked'
              and exists (select from carrel.job_dep d
                          join carrel.job_all n on n.id = d.needs_id
                          where d.job_id = j.id and n.state in ('discarded', 'cancelled'))",
    },
    Invariant {
        name: "I2",
        statement: "an effect belongs to a job that completed, and there is one per key",
        offenders: "
            select e.id from carrel.outbox_effect e
            join carrel.job_all j on j.id = e.job_id
            where j.state <> 'completed'
            union all
            select min(e.id::text)::uuid from carrel.outbox_effect e
            group by e.workspace_id, e.kind, e.key
            having count(*) > 1",
    },
    Invariant {
        name: "I3",
        statement: "an execution that was refused is not the one that completed its job",
        offenders: "
            select r.job_id from carrel.job_refusal r
            join carrel.job_all j on j.id = r.job_id and j.claim = r.claim
            where j.state = 'completed'",
    },
    Invariant {
        name: "I4",
        statement: "nothing starts before its time, while blocked, or after its queue was paused or its cancellation asked for",
        offenders: "
            select j.id from carrel.job_all j
            where j.state in ('running', 'completed') and j.started_at < j.run_at
            union all
            select j.id from carrel.job j where j.state = 'running' and j.waits_for > 0
            union all
            select j.id from carrel.job j where j.state = 'running' and j.started_at > j.cancel_requested_at
            union all
            -- A claim may be under way at the moment of the pause.
            select j.id from carrel.job j
            join carrel.queue q on q.name = j.queue
            where j.state = 'running' and j.started_at > q.paused_at + interval '1 second'",
    },
    Invariant {
        name: "I5",
        statement: "no job had more attempts than it may, or more than three crashes",
        offenders: "select j.id from carrel.job_all j where j.attempt > j.max_attempts or j.crashes > 3",
    },
    Invariant {
        name: "I6",
        statement: "no due job waits for a message that was lost",
        offenders: "
            select j.id from carrel.job j
            join carrel_jobs.dispatched d on d.job_id = j.id
            where j.state = 'available'
              and d.at < clock_timestamp() - interval '5 minutes'
              and not exists (select from carrel.queue q where q.name = j.queue and q.paused_at is not null)
              and exists (select from carrel.worker w
                          where w.last_seen > clock_timestamp() - interval '1 minute' and not w.draining
                            and w.queues ? j.queue and j.payload_version <= (w.kinds ->> j.kind)::smallint)",
    },
    Invariant {
        name: "I7",
        statement: "no job runs on a lease that ran out longer ago than a sweep takes",
        offenders: "
            select j.id from carrel.job j
            where j.state = 'running' and j.lease_until < clock_timestamp() - make_interval(secs => $1)",
    },
    Invariant {
        name: "I8",
        statement: "no more jobs run under a limit than it allows",
        offenders: "
            select min(j.id::text)::uuid from carrel.job j
            join carrel.job_limit l on l.key = j.limit_key
            where j.state = 'running'
            group by l.key, l.max
            having count(*) > l.max",
    },
    Invariant {
        name: "I9",
        statement: "every dead letter says why",
        offenders: "select j.id from carrel.job_all j where j.state = 'discarded' and j.error_code is null",
    },
    Invariant {
        name: "I10",
        statement: "every tick of a schedule is one job of its own",
        offenders: "
            select t.job_id from carrel.cron_tick t group by t.job_id having count(*) > 1
            union all
            select t.job_id from carrel.cron_tick t
            where t.fired_at > clock_timestamp() - interval '12 hours'
              and not exists (select from carrel.job_all j where j.id = t.job_id and j.workspace_id = t.workspace_id)",
    },
];

/// Checks every invariant, on one snapshot, over all workspaces. `grace` is how long after its end a lease may stay
/// unswept: a third of the lease, and some seconds. Reads every job that is kept, so it takes a while on a large database.
pub async fn audit(database: &Database, grace: Duration) -> Result<Vec<Check>, StorageError> {
    let mut tx = begin(database.queue_pool(), "begin").await?;
    sqlx::query("set transaction isolation level repeatable read read only").execute(&mut *tx).await?;
    sqlx::query("set local statement_timeout = '15min'").execute(&mut *tx).await?;
    let mut checks = Vec::with_capacity(INVARIANTS.len());
    for invariant in &INVARIANTS {
        let statement = format!(
            "with offender (id) as ({})
             select (select count(*) from offender), array(select o.id from offender o limit {SAMPLES})
             where $1 >= 0.0",
            invariant.offenders
        );
        let (violations, samples): (i64, Vec<Uuid>) =
            sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(grace.as_secs_f64()).fetch_one(&mut *tx).await?;
        checks.push(Check {
            invariant: invariant.name,
            statement: invariant.statement,
            violations: violations.unsigned_abs(),
            samples,
        });
    }
    tx.rollback().await?;
    Ok(checks)
}

/// How many jobs of all workspaces are in each stored state (`blocked`, `available`, `running`, `completed`, `discarded`,
/// `cancelled`), ended ones as long as they are kept.
pub async fn census(database: &Database) -> Result<BTreeMap<String, u64>, StorageError> {
    let rows: Vec<(String, i64)> = sqlx::query_as("select j.state, count(*) from carrel.job_all j group by j.state")
        .fetch_all(database.queue_pool())
        .await?;
    Ok(rows.into_iter().map(|(state, jobs)| (state, jobs.unsigned_abs())).collect())
}

/// How many executions were refused at their end because they had lost their claim.
pub async fn refusals(database: &Database) -> Result<u64, StorageError> {
    let count: i64 =
        sqlx::query_scalar("select count(*) from carrel.job_refusal").fetch_one(database.queue_pool()).await?;
    Ok(count.unsigned_abs())
}
