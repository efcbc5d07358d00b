//! Sending spans by OTLP over HTTP.

use super::TelemetryError;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use std::sync::Mutex;
use std::time::Duration;
use tokio::runtime::Runtime;

const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// Spans kept while the collector is away; more are dropped.
const WAITING_SPANS: usize = 2048;

pub(super) fn provider(
    service_name: &'static str,
    endpoint: &str,
    sample_ratio: f64,
) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client::new()?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(REQUEST_LIMIT)
        .build()
        .map_err(|error| TelemetryError::Exporter { detail: error.to_string() })?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(WAITING_SPANS)
        .with_scheduled_delay(Duration::from_secs(2))
        .build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    let resource = Resource::builder()
        .with_service_name(service_name)
        .with_attribute(opentelemetry::KeyValue::new("service.version", crate::build::text()))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(sample_ratio))))
        .with_resource(resource)
        .build())
}

/// Without a collector nothing is recorded; spans still have ids, which join the log lines of one request across programs
/// and jobs.
pub(super) fn ids_only() -> SdkTracerProvider {
    SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build()
}

/// The batch processor calls the exporter from a plain thread of its own. The client brings the small runtime that
/// reqwest needs, so that sending never waits for the program's runtime: not while that one is busy, and not while it
/// waits for the last spans on shutdown.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Mutex<Option<Runtime>>,
}

impl Client {
    fn new() -> Result<Self, TelemetryError> {
        let failed = |detail: String| TelemetryError::Exporter { detail };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let client = reqwest::Client::builder()
            .timeout(REQUEST_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            // Nothing drives the runtime between two batches, so a kept connection would only be found dead.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { client, runtime: Mutex::new(Some(runtime)) })
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let runtime = self.runtime.lock().map_err(|_| "the exporter has failed before")?;
        let Some(runtime) = runtime.as_ref() else {
            return Err("the exporter has ended".into());
        };
        runtime.block_on(async {
            let answer = self.client.execute(request.try_into()?).await?;
            let mut response = Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                headers.clone_from(answer.headers());
            }
            Ok(response.body(answer.bytes().await?)?)
        })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A runtime that is dropped inside another one panics unless it is told not to wait.
        if let Some(runtime) = self.runtime.get_mut().ok().and_then(Option::take) {
            runtime.shutdown_background();
        }
    }
}
