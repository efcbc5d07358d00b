//! Log lines in JSON name their trace, also without a collector. Runs itself as a child, because a process has one log.

use carrel_runtime::config::{Settings, Sources};
use carrel_runtime::telemetry::{self, span_with_parent};
use serde_json::Value;

const CHILD: &str = "CARREL_TEST_LINES";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test]
async fn every_line_names_its_trace_and_span() {
    if std::env::var_os(CHILD).is_some() {
        return speak().await;
    }
    let child = std::process::Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", "every_line_names_its_trace_and_span", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("the child");
    let text = String::from_utf8(child.stderr).expect("UTF-8");
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(lines.len(), 4, "{text}");
    let [outside, request, inner, other] = [&lines[0], &lines[1], &lines[2], &lines[3]];
    assert!(outside["trace_id"].is_null() && outside["span_id"].is_null(), "{text}");
    assert_eq!((&request["trace_id"], &request["bytes"]), (&TRACE.into(), &7.into()), "{text}");
    assert_eq!(request["message"], "a \"quoted\" word}", "{text}");
    assert_eq!(inner["trace_id"], TRACE, "{text}");
    assert_ne!(inner["span_id"], request["span_id"], "{text}");
    // A span without a parent begins a trace of its own.
    let own = other["trace_id"].as_str().expect("a trace");
    assert!(own.len() == 32 && own != TRACE, "{text}");
    assert_eq!(other["span_id"].as_str().map(str::len), Some(16), "{text}");
}

async fn speak() {
    // The filter hides the span "hidden"; its lines belong to it all the same.
    let sources = Sources::none()
        .with_variable("CARREL__TELEMETRY__LOG_FORMAT", "json")
        .with_variable("CARREL__TELEMETRY__LOG_FILTER", "warn");
    let settings = Settings::load(&sources).expect("settings");
    let guard = telemetry::init("carrel-test", &settings.telemetry).expect("telemetry");
    tracing::warn!("outside");
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    span_with_parent(tracing::info_span!("request"), Some(&parent)).in_scope(|| {
        tracing::warn!(bytes = 7, "a \"quoted\" word}}");
        tracing::info_span!("hidden").in_scope(|| tracing::warn!("inner"));
    });
    tracing::info_span!("other").in_scope(|| tracing::warn!("other"));
    guard.shutdown().await;
}
