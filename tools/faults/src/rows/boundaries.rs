//! Workers that end between two steps, at every place that has a name.

use super::PATIENCE;
use super::outbox::until_sent;
use crate::probe::{self, Mailing};
use crate::stage::{Expected, Stage};
use anyhow::Result;
use rand::RngExt;

/// Ends workers at `place` a few times; each is started again.
pub(super) async fn crash(stage: &mut Stage, place: &'static str) -> Result<()> {
    if !cfg!(feature = "failpoints") {
        stage.skip("built without the feature failpoints");
        return Ok(());
    }
    stage.report.allowed_s = Some(stage.hire.lease.as_secs_f64() + 10.0);
    let crashes = stage.size(6, 2);
    stage.crew.restarts = true;
    stage.crew.calm_after = crashes;
    // Some work is done before, never the same.
    let skipped = stage.rng.random_range(0..4);
    stage.hire.environment = vec![("FAILPOINTS", format!("{place}={skipped}*off->1*panic"))];
    stage.hire_all()?;
    stage.hire.environment.clear();
    for _ in 0..crashes {
        let count = stage.size(150, 60);
        stage.effects(count, 10).await?;
        stage.graphs(5, 3, 5).await?;
        let mailings = (0..10).map(|_| probe::spec(&Mailing {})).collect::<Result<Vec<_>>>()?;
        stage.enqueue(mailings, Expected::DoneQuietly).await?;
        stage.injured();
        stage.pause(300, 700).await;
    }
    until_sent(stage).await?;
    stage.settle(PATIENCE).await?;
    super::outbox::count(stage).await?;
    let fallen = stage.crew.fallen;
    stage.check(fallen > 0, || format!("nobody came past {place}"));
    stage.note(format!("{fallen} workers ended there"));
    Ok(())
}
