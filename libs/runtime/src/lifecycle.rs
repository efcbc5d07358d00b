//! Ending in order.

use std::io::Write;
use std::process::ExitCode;
#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a program ended by a second signal reports: 128 and SIGINT's number, as shells do.
const ENDED_BY_SIGNAL: i32 = 130;

/// What a program reports that cannot run as it is set up: sysexits(3)'s EX_CONFIG. A unit with
/// `RestartPreventExitStatus=78` does not start it again and again.
const MISCONFIGURED: u8 = 78;

/// Says in one line why a program could not run, and what it reports to whoever started it.
///
/// ```
/// # use carrel_runtime::lifecycle::failed;
/// let error = std::io::Error::other("server.listen: port 80 cannot be listened on");
/// let _code = failed("carrel-api", &error);
/// ```
pub fn failed(program: &str, error: &(dyn std::error::Error + 'static)) -> ExitCode {
    let mut line = format!("{program}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        // A cause that its error repeats adds nothing.
        if !line.ends_with(&words) {
            line.push_str(": ");
            line.push_str(&words);
        }
        source = cause.source();
    }
    let line = line.replace(['\n', '\r'], " ");
    // The reason for ending must not depend on a log filter. A standard error that is closed has no reader.
    let _ = writeln!(std::io::stderr(), "{line}");
    ExitCode::from(MISCONFIGURED)
}

/// A token that SIGTERM and SIGINT (elsewhere than on Unix: Ctrl-C) cancel. A second signal ends the process at once.
///
/// # Errors
/// The operating system's, if the signals cannot be watched.
pub fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let mut signals = Signals::watch()?;
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        let name = signals.next().await;
        tracing::info!(signal = name, "stopping; a second signal ends the program at once");
        cancelled.cancel();
        let name = signals.next().await;
        tracing::warn!(signal = name, "ending at once");
        std::process::exit(ENDED_BY_SIGNAL);
    });
    Ok(stop)
}

/// The signals that ask a program to end.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn watch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one; answers its name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn watch() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) -> &'static str {
        let _ = self.0.recv().await;
        "Ctrl-C"
    }
}
