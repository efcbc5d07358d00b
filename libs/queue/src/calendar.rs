//! Jobs by the calendar: reads cron expressions, decides ticks, and lets PostgreSQL make each of them one job.

use crate::error::{QueueError, chain};
use crate::failpoints::fail_point;
use crate::worker::Shared;
use carrel_domain::job::{CatchUp, Schedule};
use carrel_storage::StorageError;
use carrel_storage::jobs::{self, Decision, DueSchedule};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Longest time between two looks.
const PERIOD: Duration = Duration::from_secs(20);
/// How often new workspaces get their schedules.
const DEFINE_PERIOD: Duration = Duration::from_secs(60);
/// A tick that is later than this was missed.
const PUNCTUAL: chrono::Duration = chrono::Duration::seconds(60);
/// Missed ticks that one decision makes up for.
const CATCH_UP_BATCH: usize = 100;
/// Schedules looked at in one go.
const BATCH: u32 = 100;

/// A cron expression in its time zone.
#[derive(Clone, Debug)]
struct Calendar {
    cron: Cron,
    zone: Tz,
}

impl Calendar {
    fn read(spec: &str, time_zone: &str) -> Result<Self, String> {
        let cron = CronParser::builder()
            .seconds(Seconds::Optional)
            .build()
            .parse(spec)
            .map_err(|error| format!("{spec:?} is no cron expression: {error}"))?;
        let zone = time_zone.parse().map_err(|_| format!("{time_zone:?} is no IANA time zone"))?;
        Ok(Self { cron, zone })
    }

    /// The first tick after `time`; `None` when there is none.
    fn after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next = self.cron.find_next_occurrence(&time.with_timezone(&self.zone), false).ok()?;
        // Where clocks are put back, an hour comes twice; never go back with it.
        Some(next.with_timezone(&Utc)).filter(|next| *next > time)
    }

    /// The last tick up to `time`.
    fn up_to(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let last = self.cron.find_previous_occurrence(&time.with_timezone(&self.zone), true).ok()?;
        Some(last.with_timezone(&Utc)).filter(|last| *last <= time)
    }

    /// What is to happen at `now`, when every tick up to `decided` has been decided.
    fn decide(&self, catch_up: CatchUp, decided: DateTime<Utc>, now: DateTime<Utc>) -> Decision {
        let mut ticks = Vec::new();
        let mut decided_until = now.max(decided);
        match catch_up {
            CatchUp::All => {
                let mut from = decided;
                while let Some(tick) = self.after(from).filter(|tick| *tick <= now) {
                    ticks.push(tick);
                    from = tick;
                    if ticks.len() == CATCH_UP_BATCH {
                        // The rest is decided next time.
                        decided_until = tick;
                        break;
                    }
                }
            }
            CatchUp::One | CatchUp::Skip => {
                let last = self.up_to(now).filter(|tick| *tick > decided);
                ticks.extend(last.filter(|tick| catch_up == CatchUp::One || now - *tick <= PUNCTUAL));
            }
        }
        Decision { ticks, next: self.after(decided_until), decided_until }
    }
}

/// Refuses an expression or a time zone that cannot be read.
pub(crate) fn check(schedule: &Schedule) -> Result<(), QueueError> {
    Calendar::read(&schedule.spec, &schedule.time_zone)
        .map(|_| ())
        .map_err(|problem| QueueError::Schedule { name: schedule.name, problem })
}

/// Fires ticks until `stop`.
pub(crate) async fn keep(shared: &Shared, stop: &CancellationToken) {
    let mut defined: Option<Instant> = None;
    let mut failing = false;
    loop {
        let mut result = Ok(());
        if defined.is_none_or(|at| at.elapsed() >= DEFINE_PERIOD) {
            result = define(shared).await;
            if result.is_ok() {
                defined = Some(Instant::now());
            }
        }
        let mut wait = PERIOD;
        if result.is_ok() {
            match fire(shared).await {
                Ok(next) => wait = next.min(PERIOD),
                Err(error) => result = Err(error),
            }
        }
        match result {
            Ok(()) => failing = false,
            Err(error) => {
                if !failing {
                    tracing::warn!(error = %chain(&error), "schedules cannot be kept; trying on");
                }
                failing = true;
                wait = Duration::from_secs(1);
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn define(shared: &Shared) -> Result<(), StorageError> {
    for schedule in &shared.schedules {
        let workspaces = jobs::define_schedule(&shared.database, schedule).await?;
        if workspaces > 0 {
            tracing::info!(schedule = schedule.name, spec = schedule.spec, workspaces, "a schedule was set up");
        }
    }
    Ok(())
}

/// Fires what has come, and answers how long until the next tick.
async fn fire(shared: &Shared) -> Result<Duration, StorageError> {
    let due = jobs::due_schedules(&shared.database, BATCH).await?;
    for schedule in &due {
        let decision = decide(schedule);
        fail_point!("schedule.before_fire");
        let fired = jobs::fire_schedule(&shared.database, schedule, &decision).await?;
        if !fired.is_empty() {
            metrics::counter!("carrel_schedule_ticks_total", "schedule" => schedule.name.clone())
                .increment(fired.len() as u64);
            tracing::debug!(schedule = schedule.name, workspace = %schedule.workspace, jobs = fired.len(), "a tick became a job");
        }
    }
    Ok(jobs::next_schedule(&shared.database).await?.unwrap_or(PERIOD))
}

fn decide(schedule: &DueSchedule) -> Decision {
    match Calendar::read(&schedule.spec, &schedule.time_zone) {
        Ok(calendar) => calendar.decide(schedule.catch_up, schedule.decided_until, schedule.now),
        Err(problem) => {
            tracing::error!(schedule = schedule.name, workspace = %schedule.workspace, problem, "a schedule cannot be read; it rests for an hour");
            let next = schedule.now + chrono::Duration::hours(1);
            Decision { ticks: Vec::new(), decided_until: schedule.decided_until, next: Some(next) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn berlin(spec: &str) -> Calendar {
        Calendar::read(spec, "Europe/Berlin").unwrap()
    }

    #[test]
    fn ticks_follow_the_clock_of_their_zone() {
        let nightly = berlin("30 2 * * *");
        // Winter, then summer.
        assert_eq!(nightly.after(at("2026-01-10T00:00:00Z")), Some(at("2026-01-10T01:30:00Z")));
        assert_eq!(nightly.after(at("2026-07-10T00:00:00Z")), Some(at("2026-07-10T00:30:00Z")));
    }

    #[test]
    fn a_clock_change_neither_loses_nor_doubles_a_day() {
        let nightly = berlin("30 2 * * *");
        for (from, to) in
            [("2026-03-27T12:00:00Z", "2026-03-31T12:00:00Z"), ("2026-10-23T12:00:00Z", "2026-10-27T12:00:00Z")]
        {
            let decision = nightly.decide(CatchUp::All, at(from), at(to));
            let days: Vec<_> =
                decision.ticks.iter().map(|tick| tick.with_timezone(&nightly.zone).date_naive()).collect();
            assert_eq!(days.len(), 4, "{days:?}");
            assert!(days.windows(2).all(|pair| pair[0] < pair[1]), "{days:?}");
        }
    }

    #[test]
    fn missed_ticks_run_not_at_all_once_or_all() {
        let hourly = Calendar::read("0 * * * *", "UTC").unwrap();
        let (from, now) = (at("2026-05-01T00:30:00Z"), at("2026-05-01T04:10:00Z"));
        let decide = |catch_up| hourly.decide(catch_up, from, now);
        assert!(decide(CatchUp::Skip).ticks.is_empty());
        assert_eq!(decide(CatchUp::One).ticks, [at("2026-05-01T04:00:00Z")]);
        assert_eq!(decide(CatchUp::All).ticks.len(), 4);
        for catch_up in [CatchUp::Skip, CatchUp::One, CatchUp::All] {
            let decision = decide(catch_up);
            assert_eq!((decision.decided_until, decision.next), (now, Some(at("2026-05-01T05:00:00Z"))));
        }
        // On time, all three fire.
        let punctual = at("2026-05-01T04:00:01Z");
        for catch_up in [CatchUp::Skip, CatchUp::One, CatchUp::All] {
            let decision = hourly.decide(catch_up, at("2026-05-01T03:00:00Z"), punctual);
            assert_eq!(decision.ticks, [at("2026-05-01T04:00:00Z")]);
            // Decided once, a tick does not come again.
            assert!(hourly.decide(catch_up, decision.decided_until, punctual).ticks.is_empty());
        }
    }

    #[test]
    fn many_missed_ticks_come_in_batches() {
        let busy = Calendar::read("* * * * * *", "UTC").unwrap();
        let (mut decided, now) = (at("2026-05-01T00:00:00Z"), at("2026-05-01T00:04:10Z"));
        let mut sizes = Vec::new();
        while decided < now {
            let decision = busy.decide(CatchUp::All, decided, now);
            sizes.push(decision.ticks.len());
            decided = decision.decided_until;
        }
        assert_eq!(sizes, [100, 100, 50]);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (spec, zone) in [("61 * * * *", "UTC"), ("nightly", "UTC"), ("0 3 * * *", "Europe/Atlantis")] {
            assert!(Calendar::read(spec, zone).is_err(), "{spec} {zone}");
        }
    }
}
