//! Spans reach a collector, with their parents.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use carrel_runtime::config::{Settings, Sources};
use carrel_runtime::telemetry::{self, current_traceparent, span_with_parent};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::sync::mpsc;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

async fn receive(State(received): State<mpsc::UnboundedSender<Bytes>>, body: Bytes) {
    received.send(body).expect("test is waiting");
}

/// On one thread, so that a shutdown that blocked the runtime would never end.
#[tokio::test(flavor = "current_thread")]
async fn spans_arrive_on_shutdown_under_the_callers_trace() {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let app = Router::new().route("/v1/traces", post(receive)).with_state(sender);
    tokio::spawn(async move { axum::serve(listener, app).await });

    let sources = Sources::none()
        .with_variable("CARREL__TELEMETRY__OTLP_ENDPOINT", format!("http://{address}"))
        .with_variable("CARREL__TELEMETRY__LOG_FILTER", "off");
    let settings = Settings::load(&sources).expect("settings");
    let guard = telemetry::init("carrel-test", &settings.telemetry).expect("telemetry");
    assert!(current_traceparent().is_none(), "no span is open");

    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let outer = span_with_parent(tracing::info_span!("ingest", job = 7), Some(&traceparent));
    let inner_parent = outer.in_scope(|| {
        let handed_on = current_traceparent().expect("a span is open");
        tracing::info_span!("extract").in_scope(|| tracing::info!("read"));
        handed_on
    });
    drop(outer);
    assert!(inner_parent.starts_with(&format!("00-{TRACE}-")), "{inner_parent}");
    assert!(!inner_parent.contains(PARENT), "a span hands on itself, not its parent");

    guard.shutdown().await;
    let body = receiver.recv().await.expect("a batch");
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
    let resource = &request.resource_spans[0];
    let attributes = format!("{:?}", resource.resource);
    assert!(attributes.contains("carrel-test"), "{attributes}");
    let spans: Vec<_> = resource.scope_spans.iter().flat_map(|scope| &scope.spans).collect();
    let find = |name: &str| *spans.iter().find(|span| span.name == name).expect("span");
    let (ingest, extract) = (find("ingest"), find("extract"));
    let trace = u128::from_str_radix(TRACE, 16).expect("hex").to_be_bytes();
    assert_eq!(ingest.trace_id, trace);
    let parent = u64::from_str_radix(PARENT, 16).expect("hex").to_be_bytes();
    assert_eq!(ingest.parent_span_id, parent);
    assert_eq!(extract.parent_span_id, ingest.span_id);
    let own = u64::from_be_bytes(ingest.span_id.as_slice().try_into().expect("8 bytes"));
    assert!(inner_parent.contains(&format!("{own:016x}")), "{inner_parent}");
}
