//! Logs on standard error, traces to a collector.

mod collector;
mod lines;
mod propagation;

pub use propagation::{current_traceparent, span_with_parent};

use crate::config::{LogFormat, Telemetry};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::io::IsTerminal;
use std::time::Duration;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, filter::ParseError};

/// How long the last spans may take on their way out.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);
/// The trace exporter must not trace its own requests.
const TRACED: &str = "info,hyper=off,hyper_util=off,reqwest=off,h2=off,rustls=off,opentelemetry=off,\
                      opentelemetry_sdk=off,opentelemetry_otlp=off,opentelemetry_http=off";

/// Why logs or traces could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The log filter cannot be read.
    #[error("telemetry.log_filter cannot be read")]
    Filter(#[source] ParseError),
    /// Logs were set up before.
    #[error("logs are set up already in this process")]
    AlreadyInitialised(#[source] TryInitError),
    /// The collector's client cannot be built.
    #[error("the exporter for telemetry.otlp_endpoint cannot be built: {detail}")]
    Exporter {
        /// Why not.
        detail: String,
    },
}

/// Keeps telemetry running. Call [`Guard::shutdown`] before the program ends; dropping it flushes too, but blocks the
/// thread for up to 3 s.
#[derive(Debug)]
#[must_use = "dropping the guard ends the export of traces"]
pub struct Guard {
    provider: Option<SdkTracerProvider>,
}

/// Sets up logs, and traces where a collector is configured; once per process.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(service_name: &'static str, settings: &Telemetry) -> Result<Guard, TelemetryError> {
    let filter = EnvFilter::try_new(&settings.log_filter).map_err(TelemetryError::Filter)?;
    let logs = match settings.log_format {
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .event_format(lines::Traced::default())
            .with_writer(std::io::stderr)
            .boxed(),
        LogFormat::Text => tracing_subscriber::fmt::layer()
            .with_target(false)
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr)
            .boxed(),
    };
    let provider = match &settings.otlp_endpoint {
        Some(endpoint) => collector::provider(service_name, endpoint, settings.trace_sample_ratio)?,
        None => collector::ids_only(),
    };
    let traces =
        tracing_opentelemetry::layer().with_tracer(provider.tracer("carrel")).with_filter(EnvFilter::new(TRACED));
    tracing_subscriber::registry()
        .with(logs.with_filter(filter))
        .with(traces)
        .try_init()
        .map_err(TelemetryError::AlreadyInitialised)?;
    Ok(Guard { provider: Some(provider) })
}

impl Guard {
    /// Sends what is still waiting, for at most 3 s. Callable from any runtime: the waiting happens elsewhere.
    pub async fn shutdown(mut self) {
        if let Some(provider) = self.provider.take() {
            // Only a cancelled or panicked closure fails here, and neither leaves anything to do.
            let _ = tokio::task::spawn_blocking(move || close(&provider)).await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = self.provider.take() {
            close(&provider);
        }
    }
}

fn close(provider: &SdkTracerProvider) {
    if let Err(error) = provider.shutdown_with_timeout(FLUSH_LIMIT) {
        tracing::warn!(%error, "the last traces could not be sent");
    }
}
