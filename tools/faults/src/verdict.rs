//! What a row has lost or doubled, from what the database holds and what the handlers noted.

use crate::events::{self, Start};
use crate::probe::EFFECT;
use crate::stage::{Expected, Injury, Stage};
use anyhow::{Context, Result};
use carrel_domain::JobId;
use carrel_domain::job::JobState;
use carrel_storage::jobs;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::FromRow;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

#[derive(Debug, FromRow)]
struct Row {
    id: Uuid,
    kind: String,
    state: String,
    error_code: Option<String>,
    attempt: i16,
    max_attempts: i16,
    crashes: i16,
}

/// An execution that ended without its job.
#[derive(Debug, FromRow)]
struct Broken {
    job_id: Uuid,
    worker_id: Option<Uuid>,
    started_at: DateTime<Utc>,
    ended_at: DateTime<Utc>,
    outcome: String,
}

/// Fills in the numbers and notes what is wrong with them.
pub async fn judge(stage: &mut Stage) -> Result<()> {
    let rows: Vec<Row> = sqlx::query_as(
        "select j.id, j.kind, j.state, j.error_code, j.attempt, j.max_attempts, j.crashes from carrel.job_all j",
    )
    .fetch_all(&stage.owner)
    .await
    .context("the jobs cannot be read")?;
    let effects: Vec<(Uuid, i64)> =
        sqlx::query_as("select e.subject, count(*) from carrel.audit_entry e where e.action = $1 group by e.subject")
            .bind(EFFECT)
            .fetch_all(&stage.owner)
            .await?;
    let broken: Vec<Broken> = sqlx::query_as(
        "select a.job_id, a.worker_id, a.started_at, a.ended_at, a.outcome
         from carrel.job_attempt a
         where a.outcome in ('crashed', 'released')",
    )
    .fetch_all(&stage.owner)
    .await?;
    let starts = events::read(&stage.folder)?;
    count(stage, &rows, &effects);
    bounds(stage, &rows);
    let mut runs: HashMap<JobId, usize> = HashMap::new();
    for start in &starts {
        *runs.entry(start.job).or_default() += 1;
    }
    stage.report.restarted = runs.values().map(|runs| runs - 1).sum();
    stage.report.stale = stage.crew.stale()?;
    stage.report.recovery_s = recovery(&stage.injuries, &starts, &broken).map(seconds);
    stage.report.pause_s = pause(&stage.injuries, &starts).map(seconds);
    if let (Some(measured), Some(allowed)) = (stage.report.recovery_s, stage.report.allowed_s) {
        stage.check(measured <= allowed, || format!("recovery took {measured:.2} s, allowed are {allowed:.2} s"));
    }
    invariants(stage).await
}

fn seconds(time: TimeDelta) -> f64 {
    time.num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6
}

/// I1, I2, I9: every committed job ended as it must, each effect is there once.
fn count(stage: &mut Stage, rows: &[Row], effects: &[(Uuid, i64)]) {
    let mut found: HashMap<JobId, &Row> = HashMap::with_capacity(rows.len());
    let mut doubled = 0;
    for row in rows {
        if found.insert(JobId(row.id), row).is_some() {
            doubled += 1;
        }
    }
    let effects: HashMap<JobId, i64> = effects.iter().map(|(id, count)| (JobId(*id), *count)).collect();
    let (mut lost, mut twice) = (Vec::new(), 0);
    for (id, expected) in &stage.expected {
        let row = found.get(id);
        let state = row.and_then(|row| state(&row.state));
        let written = effects.get(id).copied().unwrap_or(0);
        let wanted = i64::from(state == Some(JobState::Completed) && *expected != Expected::DoneQuietly);
        twice += usize::try_from((written - wanted).max(0)).unwrap_or(usize::MAX);
        let ended = state.is_some_and(|state| expected.allows(state, row.and_then(|row| row.error_code.as_deref())));
        if !ended || written < wanted {
            lost.push(row.map_or_else(
                || format!("{id} is gone"),
                |row| format!("{id} {} is {} {:?}, {written} effects", row.kind, row.state, row.error_code),
            ));
        }
    }
    let unknown = found.keys().filter(|id| !stage.expected.contains_key(*id)).count();
    stage.report.jobs = stage.expected.len();
    stage.report.lost = lost.len();
    stage.report.twice = twice;
    stage.check(lost.is_empty(), || format!("lost: {}", lost[..lost.len().min(3)].join("; ")));
    stage.check(twice == 0, || format!("{twice} effects too many"));
    stage.check(doubled == 0, || format!("{doubled} jobs stand in two tables"));
    stage.check(unknown == 0, || format!("{unknown} jobs that nobody enqueued"));
}

fn state(text: &str) -> Option<JobState> {
    Some(match text {
        "completed" => JobState::Completed,
        "discarded" => JobState::Discarded,
        "cancelled" => JobState::Cancelled,
        "running" => JobState::Running,
        "blocked" => JobState::Blocked,
        "available" => JobState::Available,
        _ => return None,
    })
}

/// I5, I7: attempts and crashes are bounded, nothing is left running.
fn bounds(stage: &mut Stage, rows: &[Row]) {
    let beyond = rows.iter().filter(|row| row.attempt > row.max_attempts || row.crashes > 3).count();
    let running = rows.iter().filter(|row| row.state == "running").count();
    stage.check(beyond == 0, || format!("{beyond} jobs beyond their attempts or three crashes"));
    stage.check(running == 0, || format!("{running} jobs are left running"));
    let mut seen = HashSet::new();
    let unknown: Vec<&str> =
        rows.iter().map(|row| row.state.as_str()).filter(|name| state(name).is_none() && seen.insert(*name)).collect();
    stage.check(unknown.is_empty(), || format!("unknown states {unknown:?}"));
}

/// The rest: I4 for needs, I8, the product's own audit.
async fn invariants(stage: &mut Stage) -> Result<()> {
    let early: i64 = sqlx::query_scalar(
        "select count(*)
         from carrel.job_dep d
         join carrel.job_all j on j.id = d.job_id
         join carrel.job_all n on n.id = d.needs_id
         where j.started_at is not null and (n.finished_at is null or j.started_at < n.finished_at)",
    )
    .fetch_one(&stage.owner)
    .await?;
    stage.check(early == 0, || format!("{early} jobs began before what they need had completed"));
    let over: i64 = sqlx::query_scalar(
        "select count(*)
         from carrel.job_limit l
         where exists (
             select from carrel.job_all a
             where a.limit_key = l.key and a.started_at is not null
               and (select count(*) from carrel.job_all b
                    where b.limit_key = l.key and b.started_at <= a.started_at
                      and coalesce(b.finished_at, 'infinity') > a.started_at) > l.max
         )",
    )
    .fetch_one(&stage.owner)
    .await?;
    stage.check(over == 0, || format!("{over} limits were exceeded"));
    for check in jobs::audit(&stage.database, stage.hire.lease).await? {
        stage.check(check.ok(), || {
            format!("{} ({}): {} rows, as {:?}", check.invariant, check.statement, check.violations, check.samples)
        });
    }
    Ok(())
}

fn recovery(injuries: &[Injury], starts: &[Start], broken: &[Broken]) -> Option<TimeDelta> {
    let mut by_job: HashMap<JobId, Vec<DateTime<Utc>>> = HashMap::new();
    for start in starts {
        by_job.entry(start.job).or_default().push(start.at);
    }
    let again = |broken: &Broken| {
        let times = by_job.get(&JobId(broken.job_id))?;
        times.iter().find(|at| **at > broken.started_at).copied()
    };
    let mut longest = None;
    for injury in injuries {
        let times: Vec<TimeDelta> = match injury.worker {
            Some(worker) => broken
                .iter()
                .filter(|broken| broken.worker_id == Some(worker.0))
                .filter_map(|broken| {
                    let from = if broken.outcome == "released" { broken.ended_at } else { injury.ended };
                    Some(again(broken)? - from)
                })
                .collect(),
            None => {
                let next = starts.iter().find(|start| start.at >= injury.ended);
                next.map(|next| next.at - injury.ended).into_iter().collect()
            }
        };
        longest = longest.max(times.into_iter().max());
    }
    longest
}

/// Of injuries to servers only: what a killed worker held has to wait for its lease, whether there is more to do or not.
fn pause(injuries: &[Injury], starts: &[Start]) -> Option<TimeDelta> {
    if injuries.iter().any(|injury| injury.worker.is_some()) {
        return None;
    }
    let first = injuries.iter().map(|injury| injury.begun).min()?;
    let times = starts.iter().map(|start| start.at).filter(|at| *at >= first);
    let (mut last, mut longest) = (first, TimeDelta::zero());
    for at in times {
        longest = longest.max(at - last);
        last = at;
    }
    Some(longest)
}
