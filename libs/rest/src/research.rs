//! `/api/v1/research`

use crate::app::App;
use crate::convert;
use crate::extract::{Caller, Json, Path, Query};
use crate::idempotency;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use carrel_domain::research::Run;
use carrel_domain::{OperationContext, RunId};
use carrel_operations::Question;
use carrel_wire::{
    Page, ProblemBody, QuestionBody, RunBody, RunComparisonBody, RunEventBody, RunPageBody, VerificationBody,
};
use futures::Stream;
use serde::Deserialize;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout};
use utoipa::IntoParams;

/// A stream of events ends after this time; the client continues with `Last-Event-ID`.
const STREAM: Duration = Duration::from_secs(1_800);
/// Look again after this time even if no signal came.
const LOOK: Duration = Duration::from_secs(2);

/// Which page of runs.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunsQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200.
    #[serde(default = "convert::fifty")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: u32,
}

/// Ask a question.
///
/// The answer comes as a report in which every claim is an exact quote; watch it grow at `/events`.
#[utoipa::path(post, path = "/api/v1/research", operation_id = "ask", tag = "Research", security(("oauth2" = ["research"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with the same key repeats the reply.")),
    request_body = QuestionBody,
    responses(
        (status = 202, body = RunBody, description = "The run has begun."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`: a collection"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid_value`")))]
pub(crate) async fn ask(
    State(app): State<App>,
    Caller(context): Caller,
    headers: HeaderMap,
    Json(body): Json<QuestionBody>,
) -> Result<Response, Problem> {
    let fields = serde_json::to_vec(&body).unwrap_or_default();
    let question =
        Question { question: body.question, collections: body.collections, filter: convert::filter(body.filter)? };
    let key = idempotency::key(&context, &headers, &[b"research", &fields])?;
    let write = |run: &Run| idempotency::reply(StatusCode::ACCEPTED, convert::run(run.clone()));
    let answer = app.operations.ask(&context, &question, idempotency::once(key.as_ref(), &write)).await?;
    Ok(idempotency::send(answer, &write))
}

/// List research runs, newest first.
///
/// The runs of the whole workspace, whoever asked.
#[utoipa::path(get, path = "/api/v1/research", operation_id = "list_runs", tag = "Research", security(("oauth2" = ["research"])), params(RunsQuery),
    responses((status = 200, body = Page<RunBody>, description = "A page.")))]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(context): Caller,
    Query(query): Query<RunsQuery>,
) -> Result<axum::Json<Page<RunBody>>, Problem> {
    let listing = app.operations.list_runs(&context, query.cursor.as_deref(), query.limit).await?;
    Ok(axum::Json(convert::page(listing, convert::run)))
}

/// See a run: its plan, its claims with their citations, and the report when it stands.
///
/// May be read at any time; claims and report are empty until the run has written them.
#[utoipa::path(get, path = "/api/v1/research/{id}", operation_id = "get_run", tag = "Research", security(("oauth2" = ["research"])),
    params(("id" = Uuid, Path, description = "The run.")),
    responses(
        (status = 200, body = RunPageBody, description = "The run."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<RunId>,
) -> Result<axum::Json<RunPageBody>, Problem> {
    Ok(axum::Json(convert::run_page(app.operations.get_run(&context, id).await?)))
}

/// Get the report in Markdown.
///
/// Every claim with its numbered quotes, then the sources. A run that abstained says what was searched.
#[utoipa::path(get, path = "/api/v1/research/{id}/report.md", operation_id = "get_report_markdown", tag = "Research", security(("oauth2" = ["research"])),
    params(("id" = Uuid, Path, description = "The run.")),
    responses(
        (status = 200, content_type = "text/markdown", body = String, description = "The report."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found` or `not_ready_yet`")))]
pub(crate) async fn report_markdown(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<RunId>,
) -> Result<Response, Problem> {
    let view = app.operations.get_report(&context, id).await?;
    Ok(([(CONTENT_TYPE, "text/markdown; charset=utf-8")], convert::report(&view)).into_response())
}

/// Get the report as JSON.
///
/// The same as the run itself, but only once its report stands.
#[utoipa::path(get, path = "/api/v1/research/{id}/report.json", operation_id = "get_report_json", tag = "Research", security(("oauth2" = ["research"])),
    params(("id" = Uuid, Path, description = "The run.")),
    responses(
        (status = 200, body = RunPageBody, description = "The report."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found` or `not_ready_yet`")))]
pub(crate) async fn report_json(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<RunId>,
) -> Result<axum::Json<RunPageBody>, Problem> {
    Ok(axum::Json(convert::run_page(app.operations.get_report(&context, id).await?)))
}

/// Check every quote of a report against the versions once more.
///
/// Each quote is compared with its version's text, byte for byte, in the database. Citations of documents that were deleted
/// since cannot be compared and are counted apart.
#[utoipa::path(get, path = "/api/v1/research/{id}/verification", operation_id = "verify_run", tag = "Research", security(("oauth2" = ["research"])),
    params(("id" = Uuid, Path, description = "The run.")),
    responses(
        (status = 200, body = VerificationBody, description = "What the check found."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn verify(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<RunId>,
) -> Result<axum::Json<VerificationBody>, Problem> {
    let found = app.operations.verify_run(&context, id).await?;
    Ok(axum::Json(VerificationBody { citations: found.citations, exact: found.exact, deleted: found.deleted }))
}

/// Which run to compare with.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComparisonQuery {
    /// The earlier run.
    #[param(value_type = Uuid)]
    from: RunId,
}

/// Ask a report's question again.
///
/// Begins a new run where the first one looked: in its baseline, or in the versions that were current when it was asked.
/// `comparison` then tells what differs. In a baseline nothing does.
#[utoipa::path(post, path = "/api/v1/research/{id}/reproduction", operation_id = "reproduce_run", tag = "Research", security(("oauth2" = ["research"])),
    params(("id" = Uuid, Path, description = "The run to repeat."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with the same key repeats the reply.")),
    responses(
        (status = 202, body = RunBody, description = "The new run has begun."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found` or `not_ready_yet`")))]
pub(crate) async fn reproduce(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<RunId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = idempotency::key(&context, &headers, &[b"reproduction", id.0.as_bytes()])?;
    let write = |run: &Run| idempotency::reply(StatusCode::ACCEPTED, convert::run(run.clone()));
    let answer = app.operations.reproduce(&context, id, idempotency::once(key.as_ref(), &write)).await?;
    Ok(idempotency::send(answer, &write))
}

/// Compare what two reports quote.
///
/// Two quotes are equal when their words, their version and their place are.
#[utoipa::path(get, path = "/api/v1/research/{id}/comparison", operation_id = "compare_runs", tag = "Research", security(("oauth2" = ["research"])),
    params(("id" = Uuid, Path, description = "The later run."), ComparisonQuery),
    responses(
        (status = 200, body = RunComparisonBody, description = "What differs."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found` or `not_ready_yet`")))]
pub(crate) async fn compare(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<RunId>,
    Query(query): Query<ComparisonQuery>,
) -> Result<axum::Json<RunComparisonBody>, Problem> {
    let found = app.operations.compare_runs(&context, query.from, id).await?;
    Ok(axum::Json(RunComparisonBody {
        same: found.gone.is_empty() && found.new.is_empty(),
        equal: found.equal,
        gone: found.gone.into_iter().map(convert::citation).collect(),
        new: found.new.into_iter().map(convert::citation).collect(),
    }))
}

/// Get a report with all that proves it.
///
/// A ZIP archive with the report, the versions it rests on with their digests, the text of every cited version, every
/// quote with its place, and a signed manifest. `carrel verify` checks it without a server; every access is audited.
#[utoipa::path(get, path = "/api/v1/research/{id}/bundle", operation_id = "get_bundle", tag = "Research", security(("oauth2" = ["research"])),
    params(("id" = Uuid, Path, description = "The run.")),
    responses(
        (status = 200, content_type = "application/zip", body = [u8], description = "The bundle."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found` or `not_ready_yet`"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid_value`: a cited document was deleted")))]
pub(crate) async fn bundle(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<RunId>,
) -> Result<Response, Problem> {
    let view = app.operations.get_report(&context, id).await?;
    let markdown = convert::report(&view);
    let report = serde_json::to_value(convert::run_page(view.clone())).unwrap_or_default();
    let bytes = app.operations.bundle(&context, &view, report, markdown).await?;
    let name = format!("attachment; filename=\"carrel-report-{id}.zip\"");
    Ok(([(CONTENT_TYPE, "application/zip".to_owned()), (CONTENT_DISPOSITION, name)], bytes).into_response())
}

/// Watch a run (server-sent events).
///
/// Sends what has happened so far, then what happens, and ends with the run. Each event's `data` is a `RunEventBody`; a
/// client that lost the connection continues with `Last-Event-ID`.
#[utoipa::path(get, path = "/api/v1/research/{id}/events", operation_id = "watch_run", tag = "Research", security(("oauth2" = ["research"])),
    params(("id" = Uuid, Path, description = "The run."),
        ("Last-Event-ID" = Option<i64>, Header, description = "The last event seen.")),
    responses(
        (status = 200, content_type = "text/event-stream", body = RunEventBody, description = "Events."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn events(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<RunId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let seen = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
    // Subscribed before the first look, so that nothing falls between.
    let signals = app.run_signals.subscribe();
    app.operations.run_events(&context, id, i64::MAX).await?;
    let watch = Watch { app, context, id, seen, signals, until: Instant::now() + STREAM };
    Ok(Sse::new(watch.stream()).keep_alive(KeepAlive::default()).into_response())
}

struct Watch {
    app: App,
    context: OperationContext,
    id: RunId,
    seen: i64,
    signals: broadcast::Receiver<RunId>,
    until: Instant,
}

impl Watch {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        let start = (self, std::collections::VecDeque::new(), false);
        futures::stream::unfold(start, |(mut watch, mut waiting, mut ended)| async move {
            loop {
                if let Some(event) = waiting.pop_front() {
                    return Some((Ok(event), (watch, waiting, ended)));
                }
                if ended || Instant::now() >= watch.until || watch.app.shutdown.is_cancelled() {
                    return None;
                }
                match watch.look().await {
                    Ok((events, finished)) => {
                        ended = finished;
                        if events.is_empty() && !ended {
                            watch.wait().await;
                        }
                        waiting.extend(events);
                    }
                    Err(problem) => {
                        tracing::warn!(?problem, "a stream of events broke off");
                        return None;
                    }
                }
            }
        })
    }

    async fn look(&mut self) -> Result<(Vec<Event>, bool), Problem> {
        let (state, events) = self.app.operations.run_events(&self.context, self.id, self.seen).await?;
        let finished = state.is_final() && events.len() < 200;
        let mut out = Vec::with_capacity(events.len());
        for event in events {
            self.seen = event.seq;
            let body = RunEventBody { seq: event.seq, at: event.at, kind: event.kind.clone(), payload: event.payload };
            let text = serde_json::to_string(&body).unwrap_or_default();
            out.push(Event::default().id(event.seq.to_string()).event(event.kind).data(text));
        }
        Ok((out, finished))
    }

    async fn wait(&mut self) {
        let signalled = async {
            loop {
                match self.signals.recv().await {
                    Ok(id) if id == self.id => return,
                    Ok(_) => {}
                    // Some signals were missed, ours perhaps among them.
                    Err(broadcast::error::RecvError::Lagged(_)) => return,
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            _ = timeout(LOOK, signalled) => {}
            () = self.app.shutdown.cancelled() => {}
        }
    }
}
