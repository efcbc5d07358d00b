//! A collector that is away costs spans, not time.

use carrel_runtime::config::{Settings, Sources};
use carrel_runtime::telemetry;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "current_thread")]
async fn shutdown_and_drop_end_without_a_collector() {
    // A listener that accepts nothing: connections wait in its backlog for ever.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let endpoint = format!("http://{}", silent.local_addr().expect("address"));
    let sources = Sources::none()
        .with_variable("CARREL__TELEMETRY__OTLP_ENDPOINT", endpoint)
        .with_variable("CARREL__TELEMETRY__LOG_FILTER", "off");
    let settings = Settings::load(&sources).expect("settings");
    let guard = telemetry::init("carrel-test", &settings.telemetry).expect("telemetry");
    tracing::info_span!("lost").in_scope(|| ());
    let begun = Instant::now();
    drop(guard);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    drop(silent);
}
