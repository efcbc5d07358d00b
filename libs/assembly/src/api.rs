//! carrel-api: the REST API and the page.

use crate::error::{AssemblyError, io};
use crate::health::{FromRegistry, watch_models, watch_parts, watch_queue};
use crate::parts::{Embedders, Parts, operations, tokens};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Version, header};
use axum::middleware::{self, Next};
use carrel_domain::RunId;
use carrel_operations::Operations;
use carrel_rest::{App, HttpLimits};
use carrel_runtime::config::Settings;
use carrel_runtime::health::Registry;
use carrel_runtime::{build, observe, telemetry};
use carrel_storage::Database;
use carrel_storage::research::RunSignals;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long an entry of the audit trail may lie without a seal.
const SEAL_EVERY: Duration = Duration::from_secs(5);

/// Runs carrel-api until `stop` is cancelled.
pub async fn run_api(settings: &Settings, stop: CancellationToken) -> Result<(), AssemblyError> {
    let parts = Parts::new(settings, "carrel-api")?;
    let health = Registry::new();
    watch_parts(&health, &parts);
    watch_queue(&health, None);
    let embedders = Embedders::remote(settings).await?;
    watch_models(&health, &parts.database, &embedders);
    let operations = operations(settings, &parts, embedders, tokens(settings)?)?;
    let metrics = serve_metrics(settings, &parts, &health, &stop).await?;
    let (_, served) = serve(settings, operations, health, stop.clone()).await?;
    let ended = served.await;
    parts.database.close().await;
    if let Some(metrics) = metrics {
        metrics.abort();
    }
    ended.unwrap_or(Ok(()))
}

/// Watches the checks, and opens the operators' listener where there is one.
pub(crate) async fn serve_metrics(
    settings: &Settings,
    parts: &Parts,
    health: &Registry,
    stop: &CancellationToken,
) -> Result<Option<JoinHandle<()>>, AssemblyError> {
    let (watched, stopped) = (health.clone(), stop.clone());
    tokio::spawn(async move { watched.watch(stopped).await });
    let Some(address) = settings.server.metrics_listen else { return Ok(None) };
    let recorder = observe::install_recorder()
        .map_err(|error| AssemblyError::Setting { key: "server.metrics_listen", problem: error.to_string() })?;
    let database = parts.database.clone();
    let recorder = recorder.sampled(move || database.record_pools());
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
    tokio::spawn(seal(app.operations.clone(), stop.clone()));
    let (drain, linger) = (settings.jobs.drain(), settings.server.linger());
    tracing::info!(%address, version = build::text(), "the API listens");
    let served = tokio::spawn(async move {
        let graceful = {
            let (stop, health) = (stop.clone(), health);
            async move {
                stop.cancelled().await;
                health.start_draining();
                tokio::time::sleep(linger).await;
            }
        };
        let router = close_when_stopping(carrel_rest::router(app), stop.clone());
        let serving = axum::serve(listener, router).with_graceful_shutdown(graceful);
        tokio::select! {
            ended = serving.into_future() => ended.map_err(io("the API's listener has ended")),
            // A client that never reads its answer must not keep the process.
            () = async { stop.cancelled().await; tokio::time::sleep(linger + drain).await } => Ok(()),
        }
    });
    Ok((address, served))
}

/// From the stop on, every answer is its connection's last. A client would otherwise send its next request on a kept
/// connection just when this side closes it, and could not tell whether it was heard.
pub(crate) fn close_when_stopping(router: Router, stop: CancellationToken) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let stop = stop.clone();
        async move {
            // HTTP/2 says goodbye in its own way and forbids the header.
            let closes = request.version() <= Version::HTTP_11;
            let mut response = next.run(request).await;
            if closes && stop.is_cancelled() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }))
}

/// Chains and seals the audit trail while the API runs: it holds the key. Several of them take turns.
async fn seal(operations: Operations, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = operations.seal_all().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the audit trail could not be sealed; it is tried again"
            );
        }
        tokio::select! {
            () = tokio::time::sleep(SEAL_EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::serve;
    use crate::parts::{Embedders, Parts, operations, unused_tokens};
    use carrel_inference::hashing::HashingEmbedder;
    use carrel_runtime::config::Settings;
    use carrel_runtime::health::Registry;
    use carrel_storage::OriginalStore;
    use carrel_testkit::TestDatabase;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio_util::sync::CancellationToken;

    /// The head of the answer to one request, up to the end of what comes.
    async fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET /health/ready HTTP/1.1\r\nHost: carrel\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).to_lowercase()
    }

    /// A server that lingers for an hour, and its stop.
    async fn lingering(test: &TestDatabase, folder: &std::path::Path) -> (SocketAddr, CancellationToken) {
        let mut settings = Settings::defaults().unwrap();
        settings.server.listen = "127.0.0.1:0".parse().unwrap();
        settings.server.linger_seconds = 3_600;
        let originals = OriginalStore::directory(folder).unwrap();
        let parts = Parts { database: test.database.clone(), originals };
        let embedders = Embedders { now: Arc::new(HashingEmbedder::new(32)), next: None };
        let operations = operations(&settings, &parts, embedders, unused_tokens().unwrap()).unwrap();
        let stop = CancellationToken::new();
        let (address, _) = serve(&settings, operations, Registry::new(), stop.clone()).await.unwrap();
        (address, stop)
    }

    #[tokio::test]
    async fn a_stopping_server_answers_and_closes_what_it_answered() {
        let test = TestDatabase::create().await;
        let folder = tempfile::tempdir().unwrap();
        let (address, stop) = lingering(&test, folder.path()).await;
        let mut kept = TcpStream::connect(address).await.unwrap();
        let answer = ask(&mut kept).await;
        assert!(answer.starts_with("http/1.1 200") && !answer.contains("connection: close"), "{answer}");

        stop.cancel();
        for mut stream in [kept, TcpStream::connect(address).await.unwrap()] {
            let answer = ask(&mut stream).await;
            assert!(answer.contains("connection: close"), "{answer}");
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
        }
    }
}
