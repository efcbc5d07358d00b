//! carrel-ai: the queue that needs the model, and the internal endpoint that embeds queries for the API.

use crate::api::{close_when_stopping, serve_metrics};
use crate::error::{AssemblyError, io};
use crate::health::{watch_models, watch_parts, watch_queue};
use crate::parts::{Embedders, Parts, operations, unused_tokens};
use crate::worker;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use carrel_domain::job::QueueName;
use carrel_inference::wire::{EmbeddingsRequest, EmbeddingsResponse};
use carrel_inference::{Embedder, InputKind};
use carrel_runtime::config::Settings;
use carrel_runtime::health::Registry;
use carrel_runtime::telemetry;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Bytes of a request to the internal endpoint.
const BODY: usize = 8 << 20;
/// Texts of a request to the internal endpoint.
const INPUTS: usize = 1_024;

/// Runs carrel-ai until `stop` is cancelled and its jobs have ended or were given back.
pub async fn run_ai(settings: &Settings, concurrency: usize, stop: CancellationToken) -> Result<(), AssemblyError> {
    let parts = Parts::new(settings, "carrel-ai")?;
    let health = Registry::new();
    watch_parts(&health, &parts);
    let embedders = Embedders::local(settings).await?;
    watch_models(&health, &parts.database, &embedders);
    let served: Arc<[_]> = std::iter::once(&embedders.now).chain(&embedders.next).cloned().collect();
    let operations = operations(settings, &parts, embedders, unused_tokens()?)?;
    let worker = worker::build(settings, &operations, &[(QueueName::Ai, concurrency)])?;
    watch_queue(&health, Some(worker.health()));
    let metrics = serve_metrics(settings, &parts, &health, &stop).await?;
    let address = settings.ai.listen;
    let listener =
        TcpListener::bind(address).await.map_err(io(format!("ai.listen: {address} cannot be listened on")))?;
    tracing::info!(%address, "queries are embedded here");
    let (linger, drain) = (settings.server.linger(), settings.jobs.drain());
    let (draining, stopping) = (health.clone(), stop.clone());
    let graceful = async move {
        stopping.cancelled().await;
        draining.start_draining();
        tokio::time::sleep(linger).await;
    };
    let router = close_when_stopping(router(served), stop.clone());
    let mut endpoint = tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(graceful).into_future());
    // Queries are embedded meanwhile: that needs no database.
    worker::until_migrated(&parts.database, &stop).await;
    let worked = worker.run(stop.clone()).await;
    // Without its worker the program ends; with it, those who ask get their answers.
    if worked.is_err() || tokio::time::timeout(linger + drain, &mut endpoint).await.is_err() {
        endpoint.abort();
    }
    worked?;
    parts.database.close().await;
    if let Some(metrics) = metrics {
        metrics.abort();
    }
    Ok(())
}

/// The models of this process; the first answers those who name none of them.
type Served = Arc<[Arc<dyn Embedder>]>;

fn router(embedders: Served) -> Router {
    Router::new()
        .route("/v1/embeddings", post(embed))
        .route("/health/live", get(async || "alive\n"))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(embedders)
}

type Refusal = (StatusCode, Json<serde_json::Value>);

/// The span continues the trace of the request or job that asks.
async fn embed(
    State(embedders): State<Served>,
    headers: HeaderMap,
    Json(request): Json<EmbeddingsRequest>,
) -> Result<Json<EmbeddingsResponse>, Refusal> {
    let span = tracing::info_span!("embeddings", otel.name = "POST /v1/embeddings", otel.kind = "server");
    let parent = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let span = telemetry::span_with_parent(span, parent);
    answer(&embedders, request).instrument(span).await
}

async fn answer(
    embedders: &[Arc<dyn Embedder>],
    request: EmbeddingsRequest,
) -> Result<Json<EmbeddingsResponse>, Refusal> {
    let refuse = |status: StatusCode, kind: &str, message: String| {
        (status, Json(serde_json::json!({ "error": { "type": kind, "message": message } })))
    };
    // By its space, which tells two precisions of one model apart, else by its name. Whoever wanted another one sees from the
    // answer that it is not.
    let named = |embedder: &&Arc<dyn Embedder>| embedder.space().name == request.model;
    let Some(embedder) = embedders.iter().find(named).or(embedders.first()) else {
        return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "server_error", "there is no model here".to_owned()));
    };
    let kind = request.input_type.unwrap_or(InputKind::Passage);
    let inputs = request.into_inputs();
    if inputs.is_empty() || inputs.len() > INPUTS {
        let message = format!("send 1 to {INPUTS} inputs");
        return Err(refuse(StatusCode::BAD_REQUEST, "invalid_request_error", message));
    }
    match embedder.embed(&inputs, kind).await {
        Ok(vectors) => Ok(Json(EmbeddingsResponse::new(embedder.space(), vectors))),
        Err(error) if error.is_retryable() => {
            Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "server_error", error.to_string()))
        }
        Err(error) => Err(refuse(StatusCode::BAD_REQUEST, "invalid_request_error", error.to_string())),
    }
}
