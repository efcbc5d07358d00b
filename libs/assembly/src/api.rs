//! carrel-api: the REST API and the page.

use crate::error::{AssemblyError, io};
use crate::health::{FromRegistry, watch_model, watch_parts, watch_queue};
use crate::parts::{Parts, operations, remote_embedder, tokens};
use carrel_domain::RunId;
use carrel_operations::Operations;
use carrel_rest::{App, HttpLimits};
use carrel_runtime::config::Settings;
use carrel_runtime::health::Registry;
use carrel_runtime::{observe, telemetry};
use carrel_storage::Database;
use carrel_storage::research::RunSignals;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Runs carrel-api until `stop` is cancelled.
pub async fn run_api(settings: &Settings, stop: CancellationToken) -> Result<(), AssemblyError> {
    let parts = Parts::new(settings, "carrel-api")?;
    let health = Registry::new();
    watch_parts(&health, &parts);
    watch_queue(&health, None);
    let embedder = remote_embedder(settings).await?;
    watch_model(&health, Arc::clone(&embedder));
    let operations = operations(settings, &parts, embedder, tokens(settings)?)?;
    let metrics = serve_metrics(settings, &health, &stop).await?;
    let (_, served) = serve(settings, operations, health, stop.clone()).await?;
    let ended = served.await;
    parts.database.close().await;
    if let Some(metrics) = metrics {
        metrics.abort();
    }
    ended.unwrap_or(Ok(()))
}

/// The operators' listener, where there is one.
pub(crate) async fn serve_metrics(
    settings: &Settings,
    health: &Registry,
    stop: &CancellationToken,
) -> Result<Option<JoinHandle<()>>, AssemblyError> {
    let Some(address) = settings.server.metrics_listen else { return Ok(None) };
    let recorder = observe::install_recorder()
        .map_err(|error| AssemblyError::Setting { key: "server.metrics_listen", problem: error.to_string() })?;
    let listener = observe::Listener::bind(address)
        .await
        .map_err(io(format!("server.metrics_listen: {address} cannot be listened on")))?;
    Ok(Some(listener.serve(recorder, health.clone(), stop.clone())))
}

/// Listens for the API and the page; ends within the drain time after `stop`.
pub(crate) async fn serve(
    settings: &Settings,
    operations: Operations,
    health: Registry,
    stop: CancellationToken,
) -> Result<(SocketAddr, JoinHandle<Result<(), AssemblyError>>), AssemblyError> {
    let address = settings.server.listen;
    let listener =
        TcpListener::bind(address).await.map_err(io(format!("server.listen: {address} cannot be listened on")))?;
    let address = listener.local_addr().map_err(io("the listening address cannot be read"))?;
    let run_signals = broadcast::Sender::new(256);
    tokio::spawn(forward_signals(operations.database.clone(), run_signals.clone(), stop.clone()));
    let app = App {
        operations,
        readiness: Arc::new(FromRegistry(health.clone())),
        run_signals,
        traceparent: telemetry::current_traceparent,
        adopt_parent: |span, parent| {
            telemetry::span_with_parent(span.clone(), parent);
        },
        limits: HttpLimits {
            body_bytes: settings.server.body_limit_bytes,
            request: settings.server.request_timeout(),
            ..HttpLimits::default()
        },
        shutdown: stop.clone(),
    };
    let drain = settings.jobs.drain();
    tracing::info!(%address, "the API listens");
    let served = tokio::spawn(async move {
        let graceful = {
            let (stop, health) = (stop.clone(), health);
            async move {
                stop.cancelled().await;
                health.start_draining();
            }
        };
        let serving = axum::serve(listener, carrel_rest::router(app)).with_graceful_shutdown(graceful);
        tokio::select! {
            ended = serving.into_future() => ended.map_err(io("the API's listener has ended")),
            // A client that never reads its answer must not keep the process.
            () = async { stop.cancelled().await; tokio::time::sleep(drain).await } => Ok(()),
        }
    });
    Ok((address, served))
}

/// Passes the database's announcements on to those who watch runs, for as long as somebody does.
async fn forward_signals(database: Database, signals: broadcast::Sender<RunId>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if signals.receiver_count() > 0
            && let Ok(mut listener) = RunSignals::listen(&database).await
        {
            while signals.receiver_count() > 0 {
                let heard = tokio::select! {
                    heard = tokio::time::timeout(Duration::from_secs(5), listener.next()) => heard,
                    () = stop.cancelled() => return,
                };
                match heard {
                    Ok(Ok(run)) => {
                        // Nobody listening is no error.
                        let _ = signals.send(run);
                    }
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "announcements of research are interrupted");
                        break;
                    }
                    Err(_) => {}
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
            () = stop.cancelled() => return,
        }
    }
}
