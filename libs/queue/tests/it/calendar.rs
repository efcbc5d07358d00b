//! Jobs by the calendar, over several workers.

use crate::support::{Act, Bench, Carry, Probe, until};
use carrel_domain::WorkspaceId;
use carrel_domain::job::{CatchUp, Schedule};
use carrel_queue::QueueError;
use uuid::Uuid;

fn every_second(catch_up: CatchUp) -> Schedule {
    let mut schedule = Schedule::new("probe.tick", "* * * * * *", &Act::Complete).unwrap();
    schedule.time_zone = "Asia/Kathmandu".to_owned();
    schedule.catch_up = catch_up;
    schedule
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_is_one_job_over_all_workers_in_each_workspace() {
    let bench = Bench::new(Carry::Postgres).await;
    let other = WorkspaceId(Uuid::now_v7());
    bench.add_workspace(other).await;
    let probe = Probe::new();
    for _ in 0..3 {
        bench.run(bench.builder(&probe).schedule(every_second(CatchUp::All)));
    }
    until("three ticks have run in both workspaces", async || {
        let ticks = bench.number("select coalesce(min(n), 0) from (select count(*) as n from carrel.cron_tick t join carrel.job_all j on j.id = t.job_id where j.state = 'completed' group by t.workspace_id having count(*) > 0) w").await;
        let workspaces = bench.number("select count(distinct workspace_id) from carrel.cron_tick").await;
        (workspaces == 2 && ticks >= 3).then_some(())
    })
    .await;
    // No tick twice, none left out.
    assert_eq!(
        bench.number("select count(*) - count(distinct (workspace_id, tick_at)) from carrel.cron_tick").await,
        0
    );
    assert_eq!(
        bench
            .number(
                "select count(*) from (select tick_at - lag(tick_at) over (partition by workspace_id order by tick_at) as gap
                 from carrel.cron_tick) g where g.gap <> interval '1 second'"
            )
            .await,
        0
    );
    // In one snapshot, because ticks go on.
    assert_eq!(
        bench.number("select (select count(*) from carrel.job_all) - (select count(*) from carrel.cron_tick)").await,
        0
    );
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missed_ticks_are_made_up_for_as_the_schedule_says() {
    for (catch_up, fewest, most) in [(CatchUp::Skip, 0, 3), (CatchUp::One, 1, 4), (CatchUp::All, 600, 640)] {
        let bench = Bench::new(Carry::Postgres).await;
        let probe = Probe::new();
        let schedule = Schedule { spec: "*/10 * * * * *".to_owned(), ..every_second(catch_up) };
        Bench::start(bench.builder(&probe).schedule(schedule.clone())).stop().await;
        until("the schedule is there", async || {
            let there = bench.number("select count(*) from carrel.schedule").await == 1;
            if !there {
                Bench::start(bench.builder(&probe).schedule(schedule.clone())).stop().await;
            }
            there.then_some(())
        })
        .await;
        // As if nobody had been there for a hundred minutes.
        sqlx::query("update carrel.schedule set decided_until = now() - interval '6000 seconds', next_at = null")
            .execute(&bench.owner)
            .await
            .unwrap();
        sqlx::query("delete from carrel.cron_tick").execute(&bench.owner).await.unwrap();
        bench.run(bench.builder(&probe).schedule(schedule));
        until("everything is decided", async || {
            (bench.number("select count(*) from carrel.schedule where decided_until > now() - interval '9 seconds' and next_at > now()").await == 1).then_some(())
        })
        .await;
        let ticks = bench.number("select count(*) from carrel.cron_tick").await;
        assert!((fewest..=most).contains(&ticks), "{catch_up:?}: {ticks}");
        bench.finish().await;
    }
}

#[tokio::test]
async fn a_schedule_that_cannot_be_read_stops_the_start() {
    let bench = Bench::new(Carry::Postgres).await;
    let schedule = Schedule { spec: "at dawn".to_owned(), ..every_second(CatchUp::One) };
    let refused = bench.builder(&Probe::new()).schedule(schedule).build();
    assert!(matches!(refused.err(), Some(QueueError::Schedule { name: "probe.tick", .. })));
    bench.finish().await;
}
