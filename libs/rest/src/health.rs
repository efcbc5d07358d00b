//! Whether the process lives, and whether everything that it needs answers.

use crate::app::App;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What was checked, each by its name; `Err` says in plain words what is wrong.
#[derive(Clone, Debug, Default)]
pub struct ReadinessReport {
    /// Results by name: `database`, `migrations`, `store`, `queue`, `model`.
    pub checks: BTreeMap<String, Result<(), String>>,
}

/// Where readiness comes from.
#[async_trait::async_trait]
pub trait Readiness: Send + Sync {
    /// Checks, or answers a check of a moment ago.
    async fn report(&self) -> ReadinessReport;
}

/// Health of the process.
#[derive(Serialize, ToSchema)]
pub(crate) struct HealthBody {
    /// `pass` or `fail`.
    status: &'static str,
    /// What was checked: `pass`, or what is wrong.
    checks: BTreeMap<String, String>,
}

/// Is the process alive?
///
/// Answers without looking at anything else, so that a database that is down does not get every process killed.
#[utoipa::path(get, path = "/health/live", operation_id = "get_liveness", tag = "Operation",
    responses((status = 200, body = HealthBody, description = "The process runs.")), security(()))]
pub(crate) async fn live() -> Json<HealthBody> {
    Json(HealthBody { status: "pass", checks: BTreeMap::new() })
}

/// Can the process do its work?
///
/// Checks database, migrations, store, queue and model, each by its name. Without a token it tells only which of them
/// fail, in general words.
#[utoipa::path(get, path = "/health/ready", operation_id = "get_readiness", tag = "Operation",
    responses(
        (status = 200, body = HealthBody, description = "Everything answers."),
        (status = 503, body = HealthBody, description = "Something does not; `checks` names it.")),
    security(()))]
pub(crate) async fn ready(State(app): State<App>) -> (StatusCode, Json<HealthBody>) {
    let report = app.readiness.report().await;
    let failed = report.checks.values().any(Result::is_err);
    let checks = report
        .checks
        .into_iter()
        .map(|(name, result)| (name, result.err().unwrap_or_else(|| "pass".to_owned())))
        .collect();
    let (status, word) = if failed { (StatusCode::SERVICE_UNAVAILABLE, "fail") } else { (StatusCode::OK, "pass") };
    (status, Json(HealthBody { status: word, checks }))
}
