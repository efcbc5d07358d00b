//! Keeps the leases alive, on a thread of its own: neither a blocked runtime nor a busy pool may cost a claim.

use crate::claims::Stop;
use crate::error::chain;
use crate::worker::Shared;
use carrel_storage::jobs::LeaseConnection;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

/// Starts the thread; it ends after `stop`.
pub(crate) fn start(shared: Arc<Shared>, stop: CancellationToken) -> std::io::Result<std::thread::JoinHandle<()>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("carrel-keeper".to_owned()).spawn(move || runtime.block_on(keep(&shared, &stop)))
}

async fn keep(shared: &Shared, stop: &CancellationToken) {
    let period = shared.identity.lease / 3;
    let retry = (shared.identity.lease / 10).min(Duration::from_secs(1));
    let mut connection = LeaseConnection::new(&shared.database);
    let mut failing = false;
    loop {
        let asked = shared.claims.to_renew();
        let renewal = tokio::time::timeout(period, connection.renew(&shared.identity, &asked)).await;
        let pause = match renewal {
            Ok(Ok(renewals)) => {
                let renewed: HashSet<_> = renewals.iter().map(|renewal| renewal.claim).collect();
                for renewal in renewals.iter().filter(|renewal| renewal.cancel_requested) {
                    shared.claims.stop(renewal.claim, Stop::Requested);
                }
                let lost = shared.claims.lose(&asked, &renewed);
                if lost > 0 {
                    tracing::warn!(claims = lost, "claims were lost; their executions are stopped");
                }
                if failing {
                    tracing::info!("leases are renewed again");
                }
                failing = false;
                shared.vitals.renewed();
                period
            }
            Ok(Err(error)) => {
                if !failing {
                    tracing::warn!(error = %chain(&error), "leases cannot be renewed; trying on");
                }
                failing = true;
                retry
            }
            Err(_) => {
                // The statement may hang in a dead connection; dropping the future has dropped that.
                failing = true;
                tracing::warn!(after_ms = period.as_millis(), "renewing the leases got no answer; trying on");
                Duration::ZERO
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    connection.close().await;
}
