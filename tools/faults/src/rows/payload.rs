//! Jobs that nobody can run, and jobs that take their worker with them.

use super::PATIENCE;
use crate::probe::{self, Effect, Fall, Grown, GrownOld, Newcomer, Release, Spin, Stranger};
use crate::stage::{Expected, Stage};
use anyhow::Result;
use chrono::Utc;
use std::path::Path;
use std::time::Duration;

/// Unknown kinds, payloads of a later release and payloads that cannot be read, among jobs that can be run.
pub(super) async fn unreadable(stage: &mut Stage) -> Result<()> {
    stage.hire.release = Release::Old;
    stage.hire.unservable = Duration::from_secs(1);
    stage.hire_all()?;
    for _ in 0..10 {
        stage.enqueue(vec![probe::spec(&Stranger {})?], Expected::Dead("unknown_kind")).await?;
        stage.enqueue(vec![probe::spec(&Grown { more: None })?], Expected::Dead("payload_too_new")).await?;
        let mut broken = probe::spec(&Effect::after(1))?;
        broken.payload = serde_json::json!({ "ms": "many" });
        stage.enqueue(vec![broken], Expected::Dead("payload_unreadable")).await?;
        stage.effects(20, 5).await?;
    }
    stage.injured();
    stage.settle(PATIENCE).await?;
    stage.all_stayed_alive();
    Ok(())
}

pub(super) async fn panic(stage: &mut Stage) -> Result<()> {
    stage.hire_all()?;
    for _ in 0..10 {
        stage.enqueue(vec![probe::spec(&Fall::Panic)?], Expected::Dead("panicked")).await?;
        stage.effects(20, 5).await?;
    }
    stage.injured();
    stage.settle(PATIENCE).await?;
    stage.all_stayed_alive();
    Ok(())
}

/// A job that ends its process; a service manager starts the worker again each time.
async fn poison(stage: &mut Stage, fall: Fall) -> Result<()> {
    stage.crew.restarts = true;
    stage.hire_all()?;
    stage.effects(200, 20).await?;
    stage.enqueue(vec![probe::spec(&fall)?], Expected::Dead("poison")).await?;
    stage.injured();
    stage.effects(100, 20).await?;
    stage.settle(PATIENCE).await?;
    // Three crashes condemn it, and the last must have met it alone: those in company beyond the second do not count.
    let fallen = stage.crew.fallen;
    stage.check((3..=6).contains(&fallen), || format!("the job took {fallen} workers with it"));
    stage.note(format!("{fallen} workers fell"));
    Ok(())
}

pub(super) async fn abort(stage: &mut Stage) -> Result<()> {
    poison(stage, Fall::Abort).await
}

pub(super) async fn overflow(stage: &mut Stage) -> Result<()> {
    poison(stage, Fall::Overflow).await
}

pub(super) async fn memory(stage: &mut Stage) -> Result<()> {
    stage.hire.memory = Some(2 << 30);
    poison(stage, Fall::Memory).await
}

/// Several such jobs among many that are innocent.
pub(super) async fn poisons(stage: &mut Stage) -> Result<()> {
    stage.crew.restarts = true;
    stage.hire_all()?;
    let bad = stage.size(8, 3);
    for _ in 0..bad {
        stage.effects(40, 200).await?;
        stage.enqueue(vec![probe::spec(&Fall::Abort)?], Expected::Dead("poison")).await?;
        stage.injured();
    }
    stage.settle(PATIENCE * 2).await?;
    let fallen = stage.crew.fallen;
    stage.note(format!("{bad} poisonous jobs, {fallen} workers fell"));
    Ok(())
}

/// Handlers that hold every thread of the runtime for longer than the lease.
pub(super) async fn busy(stage: &mut Stage) -> Result<()> {
    stage.hire.lease = Duration::from_secs(2);
    stage.hire_all()?;
    for _ in 0..stage.size(6, 2) {
        stage.enqueue(vec![probe::spec(&Spin { ms: 5000 })?], Expected::Done).await?;
        stage.effects(10, 5).await?;
    }
    stage.injured();
    stage.settle(PATIENCE).await?;
    let restarted = stage.report.restarted;
    stage.check(restarted == 0, || format!("{restarted} jobs lost their lease while they worked"));
    stage.all_stayed_alive();
    Ok(())
}

const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// Clocks of workers ten minutes ahead and behind.
pub(super) async fn clock(stage: &mut Stage) -> Result<()> {
    if !Path::new(FAKETIME).exists() {
        stage.skip("needs libfaketime (apt-get install libfaketime)");
        return Ok(());
    }
    for offset in ["+10m", "-10m"] {
        stage.hire.environment = vec![
            ("LD_PRELOAD", FAKETIME.to_owned()),
            ("FAKETIME", offset.to_owned()),
            // Time must pass as usual.
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        stage.hire_one()?;
        stage.hire.environment.clear();
        while stage.crew.len() < stage.plan.workers {
            stage.hire_one()?;
        }
        let mut specs = Vec::new();
        for _ in 0..stage.size(300, 100) {
            specs.push(probe::spec(&Effect { fails: 1, ..Effect::after(10) })?);
        }
        for spec in specs.iter_mut().step_by(3) {
            spec.run_at = Some(Utc::now() + Duration::from_secs(3));
        }
        stage.enqueue(specs, Expected::Done).await?;
        stage.injured();
        stage.until_left(0, PATIENCE).await?;
        if stage.plan.workers == 1 {
            let grace = stage.hire.drain + Duration::from_secs(3);
            stage.crew.dismiss(0, grace).await?;
        }
    }
    stage.settle(PATIENCE).await?;
    stage.all_stayed_alive();
    let crashed: i64 = sqlx::query_scalar("select count(*) from carrel.job_attempt a where a.outcome = 'crashed'")
        .fetch_one(&stage.owner)
        .await?;
    stage.check(crashed == 0, || format!("{crashed} leases were taken for expired"));
    Ok(())
}

/// Workers of one release are replaced by those of the next, one by one, while both releases enqueue.
pub(super) async fn rolling(stage: &mut Stage) -> Result<()> {
    stage.hire.release = Release::Old;
    // As long as an upgrade may take.
    stage.hire.unservable = Duration::from_secs(60);
    stage.hire_all()?;
    stage.hire.release = Release::New;
    for _ in 0..stage.plan.workers {
        for _ in 0..10 {
            let old = (0..5).map(|_| probe::spec(&GrownOld {})).collect::<Result<Vec<_>>>()?;
            let new = (0..5).map(|_| probe::spec(&Grown { more: None })).collect::<Result<Vec<_>>>()?;
            stage.enqueue(old, Expected::Done).await?;
            stage.enqueue(new, Expected::Done).await?;
            stage.enqueue(vec![probe::spec(&Newcomer {})?], Expected::Done).await?;
            stage.effects(10, 20).await?;
        }
        stage.pause(300, 1200).await;
        let next = stage.hire_one()?;
        stage.until_announced(next).await?;
        stage.injured();
        let grace = stage.hire.drain + Duration::from_secs(3);
        let took = stage.crew.dismiss(0, grace).await?;
        stage.check(took.is_some(), || "an old worker did not end in time".to_owned());
    }
    stage.settle(PATIENCE).await?;
    stage.all_stayed_alive();
    Ok(())
}
