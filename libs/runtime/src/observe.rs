//! Metrics and health for operators, on a listener of their own.

use crate::{catalogue, health, process};
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, header};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Histograms whose name ends in `_seconds`, from one millisecond to five minutes. The bounds that alerts compare with are
/// among them: 0.2 s for reads, 300 s for the wait of a job.
const SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];
/// Histograms whose name ends in `_bytes`, from a kilobyte to a gigabyte.
const BYTES: [f64; 6] = [1e3, 1e4, 1e5, 1e6, 1e7, 1e9];
/// Histograms keep their samples until they are folded; scrapes may never come.
const UPKEEP: Duration = Duration::from_secs(15);

/// The commit that this program was built from, where the build said so.
const REVISION: &str = match option_env!("BUILD_SHA") {
    Some(revision) => revision,
    None => "unknown",
};

type Sampler = Arc<dyn Fn() + Send + Sync>;

/// Renders what the `metrics` macros recorded.
#[derive(Clone)]
pub struct Recorder {
    handle: PrometheusHandle,
    samplers: Vec<Sampler>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Recorder")
    }
}

/// Makes the `metrics` macros record into this process's recorder; once per process.
///
/// # Errors
/// If a recorder is installed already.
pub fn install_recorder() -> Result<Recorder, BuildError> {
    let handle = builder()?.install_recorder()?;
    catalogue::describe();
    metrics::gauge!("carrel_build_info", "version" => env!("CARGO_PKG_VERSION"), "revision" => REVISION).set(1.0);
    Ok(Recorder { handle, samplers: Vec::new() })
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES)
}

impl Recorder {
    /// Has `sample` run before every rendering, to set gauges of what is only known by looking. It must not wait.
    #[must_use]
    pub fn sampled(mut self, sample: impl Fn() + Send + Sync + 'static) -> Self {
        self.samplers.push(Arc::new(sample));
        self
    }

    /// Everything recorded and what the process uses, as Prometheus exposition text.
    pub fn render(&self) -> String {
        for sample in &self.samplers {
            sample();
        }
        let mut text = self.handle.render();
        text.push_str(&process::exposition());
        text
    }
}

/// The operators' listener, bound and not yet served.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
}

impl Listener {
    /// Binds; port 0 takes a free one.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await? })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The operating system's.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves `/metrics`, `/health/live` and `/health/ready` until `stop` is cancelled.
    pub fn serve(self, recorder: Recorder, health: health::Registry, stop: CancellationToken) -> JoinHandle<()> {
        let app = health_routes(health).merge(
            Router::new()
                .route("/metrics", get(async |State(recorder): State<Recorder>| render(&recorder)))
                .with_state(recorder.clone()),
        );
        tokio::spawn(async move {
            let upkeep = tokio::spawn(async move {
                let mut ticks = tokio::time::interval(UPKEEP);
                loop {
                    ticks.tick().await;
                    recorder.handle.run_upkeep();
                }
            });
            let served = axum::serve(self.listener, app).with_graceful_shutdown(stop.cancelled_owned()).await;
            upkeep.abort();
            if let Err(error) = served {
                tracing::error!(%error, "the operators' listener has ended");
            }
        })
    }
}

/// `/health/live` (200 while the program answers at all) and `/health/ready` (503 while a check fails or the program
/// is ending), also for the main listener of a service.
pub fn health_routes<S>(health: health::Registry) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Router::new()
        .route("/health/live", get(async || "alive\n"))
        .route("/health/ready", get(async |State(health): State<health::Registry>| ready(&health).await))
        .with_state(health)
}

async fn ready(health: &health::Registry) -> impl IntoResponse + use<> {
    let report = health.report().await;
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(report))
}

fn render(recorder: &Recorder) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn metrics_and_health_are_served_until_stopped() {
        let sample = || metrics::gauge!("carrel_jobs_depth", "queue" => "ai").set(7.0);
        let recorder = install_recorder().expect("recorder").sampled(sample);
        metrics::counter!("carrel_test_total", "queue" => "ingest").increment(3);
        metrics::histogram!("carrel_test_seconds").record(0.02);
        let health = health::Registry::new();
        let stop = CancellationToken::new();
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("bind");
        let base = format!("http://{}", listener.local_addr().expect("address"));
        let served = listener.serve(recorder, health.clone(), stop.clone());

        let get = async |path: &str| {
            let response = reqwest::get(format!("{base}{path}")).await.expect("response");
            (response.status().as_u16(), response.text().await.expect("text"))
        };
        let (status, text) = get("/metrics").await;
        assert_eq!(status, 200);
        assert!(text.contains("carrel_test_total{queue=\"ingest\"} 3"), "{text}");
        assert!(text.contains("carrel_test_seconds_bucket{le=\"0.025\"} 1"), "{text}");
        assert!(text.contains("process_resident_memory_bytes "), "{text}");
        assert!(text.contains("carrel_build_info{version="), "{text}");
        assert!(text.contains("carrel_jobs_depth{queue=\"ai\"} 7"), "{text}");
        assert!(text.contains("# HELP carrel_jobs_depth Jobs of all workspaces"), "{text}");
        assert_eq!(get("/health/live").await.0, 200);
        assert_eq!(get("/health/ready").await.0, 200);
        health.start_draining();
        let (status, text) = get("/health/ready").await;
        assert_eq!(status, 503);
        assert!(text.contains("\"draining\":true"), "{text}");

        stop.cancel();
        served.await.expect("ends");
    }
}
