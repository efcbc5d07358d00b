//! Ending in order.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a program ended by a second signal reports: 128 and SIGINT's number, as shells do.
const ENDED_BY_SIGNAL: i32 = 130;

/// A token that SIGTERM and SIGINT cancel. A second signal ends the process at once.
///
/// # Errors
/// The operating system's, if the signals cannot be watched.
pub fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let name = next().await;
        tracing::info!(signal = name, "stopping; a second signal ends the program at once");
        cancelled.cancel();
        let name = next().await;
        tracing::warn!(signal = name, "ending at once");
        std::process::exit(ENDED_BY_SIGNAL);
    });
    Ok(stop)
}
