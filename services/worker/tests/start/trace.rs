//! One document and one query through three processes: one trace each, and figures that the table knows.

use crate::processes::{Running, WORKER, free_address, program};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use carrel_domain::{ClientId, Scopes, WorkspaceId};
use carrel_operations::{TokenIssuer, new_secret};
use carrel_runtime::catalogue::find;
use carrel_runtime::config::{Settings, Sources};
use carrel_runtime::{lifecycle, telemetry};
use carrel_storage::{Admin, NewClient};
use carrel_testkit::{TestDatabase, until_within};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

const ROLE: &str = "CARREL_TEST_ROLE";
const UPLOAD: &str = "0af7651916cd43dd8448eb211c80319c";
const QUERY: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const LONG: Duration = Duration::from_secs(60);

/// A span as the collector got it.
#[derive(Clone, Debug)]
struct Seen {
    service: String,
    name: String,
    trace: String,
    id: String,
    parent: String,
}

type Spans = Arc<Mutex<Vec<Seen>>>;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn receive(State(spans): State<Spans>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for group in request.resource_spans {
        let attributes = group.resource.unwrap_or_default().attributes;
        let service = attributes.iter().find(|attribute| attribute.key == "service.name").unwrap();
        let service = format!("{:?}", service.value);
        let service =
            ["carrel-api", "carrel-worker", "carrel-ai"].into_iter().find(|name| service.contains(name)).unwrap();
        for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.lock().unwrap().push(Seen {
                service: service.to_owned(),
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
            });
        }
    }
}

/// This test's binary as carrel-api or carrel-ai.
async fn play(role: &str) {
    let settings = Settings::load(&Sources::from_process(None, None)).unwrap();
    let name = if role == "api" { "carrel-api" } else { "carrel-ai" };
    let guard = telemetry::init(name, &settings.telemetry).unwrap();
    let stop = lifecycle::stop_on_signal().unwrap();
    if role == "api" {
        carrel_assembly::run_api(&settings, stop).await.unwrap();
    } else {
        carrel_assembly::run_ai(&settings, 1, stop).await.unwrap();
    }
    guard.shutdown().await;
}

async fn client(test: &TestDatabase) -> (ClientId, String) {
    let admin = Admin::connect(&test.owner_url).await.unwrap();
    let now = chrono::DateTime::UNIX_EPOCH;
    let workspace = admin.ensure_workspace("trace", WorkspaceId(Uuid::from_u128(1)), now).await.unwrap();
    let (secret, secret_digest) = new_secret();
    let id = ClientId(Uuid::from_u128(2));
    let made = NewClient { id, workspace, name: "trace", secret_digest, scopes: &Scopes::all(), now };
    admin.create_client(&made).await.unwrap();
    admin.close().await;
    (id, secret)
}

/// Sends a document and a query, each under a trace of its own.
async fn use_it(base: &str, id: ClientId, secret: &str) {
    let http = reqwest::Client::new();
    let form = [("grant_type", "client_credentials"), ("client_id", &id.to_string()), ("client_secret", secret)];
    let answer: Value =
        http.post(format!("{base}/oauth/token")).form(&form).send().await.unwrap().json().await.unwrap();
    let token = answer["access_token"].as_str().expect("a token").to_owned();
    let send = async |request: reqwest::RequestBuilder| -> Value {
        let answer = request.bearer_auth(&token).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{status} {text}");
        serde_json::from_str(&text).unwrap()
    };
    let collection = send(http.post(format!("{base}/api/v1/collections")).json(&json!({ "name": "trace" }))).await;
    let collection = collection["id"].as_str().unwrap().to_owned();
    let file = Part::bytes(b"The lock gate closes at nine in the evening.".to_vec()).file_name("gate.txt");
    send(
        http.post(format!("{base}/api/v1/collections/{collection}/documents"))
            .header("traceparent", format!("00-{UPLOAD}-b7ad6b7169203331-01"))
            .multipart(Form::new().part("file", file)),
    )
    .await;
    until_within(LONG, "the document is found", async || {
        let query = json!({ "query": "when does the gate close", "collections": [collection] });
        let request = http
            .post(format!("{base}/api/v1/search"))
            .header("traceparent", format!("00-{QUERY}-b7ad6b7169203331-01"))
            .json(&query);
        let found = send(request).await;
        found["hits"].as_array().is_some_and(|hits| !hits.is_empty()).then_some(())
    })
    .await;
}

/// Every exported family is in the table, with its kind and labels.
async fn check_figures(address: SocketAddr, expected: &[&str]) {
    let text = reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let row = find(name).unwrap_or_else(|| panic!("the table has no {name}"));
        assert_eq!(row.kind.as_str(), kind, "{name}");
        let series = format!("{name}{{");
        for sample in text.lines().filter_map(|line| line.strip_prefix(&series)) {
            let labels = sample.split('}').next().unwrap().split("\",").filter_map(|pair| pair.split('=').next());
            for label in labels {
                assert!(row.labels.contains(&label), "{name} has a label {label} that the table does not know");
            }
        }
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
    }
    for name in expected {
        assert!(text.contains(&format!("# TYPE {name} ")), "{address} exports no {name}:\n{text}");
    }
}

#[tokio::test]
async fn a_document_and_a_query_are_one_trace_each_through_all_programs() {
    if let Ok(role) = std::env::var(ROLE) {
        return play(&role).await;
    }
    let Ok(model) = std::env::var("CARREL_TEST_MODEL_DIR") else {
        eprintln!("CARREL_TEST_MODEL_DIR is not set: the way through all programs is not tested");
        return;
    };
    let spans = Spans::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let collector = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/v1/traces", post(receive)).with_state(Arc::clone(&spans));
    tokio::spawn(async move { axum::serve(listener, app).await });

    let folder = tempfile::tempdir().unwrap();
    let test = TestDatabase::create().await;
    let (id, secret) = client(&test).await;
    let (api, ai) = (free_address(), free_address());
    let key = TokenIssuer::generate_key();
    let own = std::env::current_exe().unwrap();
    let mut figures = BTreeMap::new();
    let mut start = |role: &'static str, path: &Path, arguments: &[&str]| {
        let address = free_address();
        figures.insert(role, address);
        let mut command = program(path, folder.path());
        command
            .args(arguments)
            .env(ROLE, role)
            .env("CARREL__DATABASE__URL", &test.service_url)
            .env("CARREL__AUTH__SIGNING_KEY", &key)
            .env("CARREL__SERVER__LISTEN", api.to_string())
            .env("CARREL__AI__LISTEN", ai.to_string())
            .env("CARREL__SERVER__METRICS_LISTEN", address.to_string())
            .env("CARREL__TELEMETRY__OTLP_ENDPOINT", &collector)
            .env("CARREL__TELEMETRY__LOG_FILTER", "warn")
            .env("CARREL__INFERENCE__EMBEDDER__PROVIDER", "builtin")
            .env("CARREL__INFERENCE__EMBEDDER__MODEL_DIR", &model)
            .env_remove("CARREL__INFERENCE__EMBEDDER__DIMENSION")
            .stderr(Stdio::inherit());
        Running(command.spawn().unwrap())
    };
    let this = ["--exact", "trace::a_document_and_a_query_are_one_trace_each_through_all_programs", "--nocapture"];
    let _programs = [
        start("api", &own, &this),
        start("ai", &own, &this),
        start("worker", Path::new(WORKER), &["--queues", "ingest=1"]),
    ];
    let base = format!("http://{api}");
    until_within(LONG, "all programs are ready", async || {
        let answer = reqwest::get(format!("{base}/health/ready")).await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;

    use_it(&base, id, &secret).await;
    // service, name, parent's name, trace
    let wanted = [
        ("carrel-api", "POST /api/v1/collections/{id}/documents", None, UPLOAD),
        ("carrel-worker", "job document.extract", Some("POST /api/v1/collections/{id}/documents"), UPLOAD),
        ("carrel-ai", "job document.index", Some("POST /api/v1/collections/{id}/documents"), UPLOAD),
        ("carrel-api", "POST /api/v1/search", None, QUERY),
        ("carrel-ai", "POST /v1/embeddings", Some("POST /api/v1/search"), QUERY),
    ];
    until_within(LONG, "the spans of all programs", async || {
        let seen = spans.lock().unwrap().clone();
        wanted.iter().all(|(service, name, parent, trace)| joined(&seen, service, name, *parent, trace)).then_some(())
    })
    .await;
    let search = ["carrel_search_duration_seconds", "carrel_search_stage_duration_seconds", "carrel_build_info"];
    check_figures(figures["api"], &search).await;
    check_figures(figures["api"], &["http_server_request_duration_seconds", "carrel_store_bytes_total"]).await;
    check_figures(figures["ai"], &["carrel_model_tokens_total", "carrel_model_request_duration_seconds"]).await;
    check_figures(figures["worker"], &["carrel_jobs_depth", "carrel_database_connections", "carrel_job_wait_seconds"])
        .await;
}

/// Whether a span of that service and name is in the trace, below a span of the parent's name.
fn joined(seen: &[Seen], service: &str, name: &str, parent: Option<&str>, trace: &str) -> bool {
    seen.iter().filter(|span| span.service == service && span.name == name && span.trace == trace).any(|span| {
        let above = seen.iter().find(|other| other.id == span.parent).map(|other| other.name.as_str());
        above == parent
    })
}
