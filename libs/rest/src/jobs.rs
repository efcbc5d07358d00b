//! `/api/v1/jobs`

use crate::app::App;
use crate::convert;
use crate::extract::{Caller, Path, Query};
use crate::idempotency;
use crate::problem::{INVALID_PARAMETER, Problem};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use carrel_domain::JobId;
use carrel_domain::job::JobState;
use carrel_storage::jobs::JobFilter;
use carrel_wire::{JobBody, JobPageBody, Page, ProblemBody, RetriesBody, RetryBody};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

/// Which jobs.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobsQuery {
    /// States, separated by commas: `blocked`, `scheduled`, `available`, `retryable`, `running`, `completed`,
    /// `discarded`, `cancelled`.
    state: Option<String>,
    /// Only jobs of this kind, for example `document.extract`.
    kind: Option<String>,
    /// Only jobs of this queue.
    queue: Option<String>,
    /// Only jobs that work on this version.
    version_id: Option<Uuid>,
    /// Only jobs of this research run.
    run_id: Option<Uuid>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200.
    #[serde(default = "convert::fifty")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: u32,
}

fn filter(query: &JobsQuery) -> Result<JobFilter, Problem> {
    let mut states = Vec::new();
    for name in query.state.as_deref().unwrap_or_default().split(',').filter(|name| !name.is_empty()) {
        let state = ALL_STATES.into_iter().find(|state| state.as_str() == name);
        let unknown = || Problem::new(INVALID_PARAMETER, format!("state: {name:?} is no state of a job"));
        states.push(state.ok_or_else(unknown)?);
    }
    let queue = query.queue.as_deref().map(str::parse).transpose();
    let queue = queue.map_err(|error| Problem::new(INVALID_PARAMETER, format!("queue: {error}")))?;
    let mut payload = serde_json::Map::new();
    for (name, id) in [("version", query.version_id), ("run", query.run_id)] {
        if let Some(id) = id {
            payload.insert(name.to_owned(), id.to_string().into());
        }
    }
    let payload = (!payload.is_empty()).then_some(payload.into());
    Ok(JobFilter { states, kind: query.kind.clone(), queue, parent: None, payload })
}

const ALL_STATES: [JobState; 8] = [
    JobState::Blocked,
    JobState::Scheduled,
    JobState::Available,
    JobState::Retryable,
    JobState::Running,
    JobState::Completed,
    JobState::Discarded,
    JobState::Cancelled,
];

/// List jobs, newest first.
///
/// Filter by state, kind, queue, or by the version or the run that a job works on.
#[utoipa::path(get, path = "/api/v1/jobs", operation_id = "list_jobs", tag = "Jobs", security(("oauth2" = ["jobs:read"])), params(JobsQuery),
    responses(
        (status = 200, body = Page<JobBody>, description = "A page."),
        (status = 400, body = ProblemBody, content_type = "application/problem+json", description = "`invalid_parameter` or `foreign_cursor`")))]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(context): Caller,
    Query(query): Query<JobsQuery>,
) -> Result<axum::Json<Page<JobBody>>, Problem> {
    let filter = filter(&query)?;
    let listing = app.operations.list_jobs(&context, &filter, query.cursor.as_deref(), query.limit).await?;
    Ok(axum::Json(convert::page(listing, convert::job)))
}

/// See a job: its state, why it waits, and every attempt with its error.
///
/// `waits` says in sentences why it has not ended: its time, a paused queue, a limit, jobs that it needs, no worker.
#[utoipa::path(get, path = "/api/v1/jobs/{id}", operation_id = "get_job", tag = "Jobs", security(("oauth2" = ["jobs:read"])),
    params(("id" = Uuid, Path, description = "The job.")),
    responses(
        (status = 200, body = JobPageBody, description = "The job."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<JobId>,
) -> Result<axum::Json<JobPageBody>, Problem> {
    Ok(axum::Json(convert::job_page(app.operations.explain_job(&context, id).await?)))
}

/// Run a job again.
///
/// One that waits for its next attempt starts now. One that was discarded or cancelled is replayed as a new job.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/retry", operation_id = "retry_job", tag = "Jobs", security(("oauth2" = ["jobs:write"])),
    params(("id" = Uuid, Path, description = "The job."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with the same key repeats the reply.")),
    responses(
        (status = 202, body = RetryBody, description = "The job to watch."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`job_state`")))]
pub(crate) async fn retry(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<JobId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = idempotency::key(&context, &headers, &[b"retry", id.0.as_bytes()])?;
    let write = |job: &JobId| idempotency::reply(StatusCode::ACCEPTED, RetryBody { job_id: *job });
    let answer = app.operations.retry_job(&context, id, idempotency::once(key.as_ref(), &write)).await?;
    Ok(idempotency::send(answer, &write))
}

/// Which dead letters.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeadQuery {
    /// Only dead letters of this kind, for example `document.extract`.
    kind: Option<String>,
}

/// Run dead letters again, all or those of a kind.
///
/// Replays up to 500, oldest first, each as a new job. What was replayed before is left out, so repeat the request until
/// it answers none.
#[utoipa::path(post, path = "/api/v1/jobs/retry", operation_id = "retry_dead_jobs", tag = "Jobs", security(("oauth2" = ["jobs:write"])),
    params(DeadQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with the same key repeats the reply.")),
    responses((status = 202, body = RetriesBody, description = "The jobs to watch.")))]
pub(crate) async fn retry_dead(
    State(app): State<App>,
    Caller(context): Caller,
    Query(query): Query<DeadQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let kind = query.kind.as_deref();
    let key = idempotency::key(&context, &headers, &[b"retry_dead", kind.unwrap_or_default().as_bytes()])?;
    let write = |retried: &Vec<_>| idempotency::reply(StatusCode::ACCEPTED, convert::retries(retried.clone()));
    let answer = app.operations.retry_dead_jobs(&context, kind, idempotency::once(key.as_ref(), &write)).await?;
    Ok(idempotency::send(answer, &write))
}

/// Cancel a job, and what needs it.
///
/// One that waits is cancelled at once; one that runs is told to stop, and is cancelled when it notices.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/cancel", operation_id = "cancel_job", tag = "Jobs", security(("oauth2" = ["jobs:write"])),
    params(("id" = Uuid, Path, description = "The job."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with the same key repeats the reply.")),
    responses(
        (status = 202, description = "It is cancelled, or was told to stop."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`job_state`")))]
pub(crate) async fn cancel(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<JobId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = idempotency::key(&context, &headers, &[b"cancel", id.0.as_bytes()])?;
    let write = |(): &()| idempotency::reply(StatusCode::ACCEPTED, ());
    let answer = app.operations.cancel_job(&context, id, idempotency::once(key.as_ref(), &write)).await?;
    Ok(idempotency::send(answer, &write))
}
