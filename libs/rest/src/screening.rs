//! `…/screening`: policies, reports, reviews, look-ups.

mod reports;

pub(crate) use reports::*;

use crate::app::App;
use crate::extract::{Caller, Json, Path};
use crate::idempotency;
use crate::problem::{INVALID_PARAMETER, INVALID_VALUE, Problem};
use axum::extract::State;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use carrel_domain::{CollectionId, JobId, OperationContext, VersionId};
use carrel_operations::Reply;
use carrel_operations::screening::{PolicyOf, PolicyView};
use carrel_screening::{Policy, Release};
use carrel_wire::{
    LookupBody, OccurrenceBody, OccurrencesBody, PolicyBody, PolicyViewBody, ProblemBody, RejectionBody, ReleaseAsBody,
    ReleaseBody, ScreeningJobBody,
};

/// The body and the domain's type have one form in JSON.
fn policy_of(body: &PolicyBody) -> Result<Policy, Problem> {
    let value = serde_json::to_value(body).unwrap_or_default();
    serde_json::from_value(value).map_err(|error| Problem::new(INVALID_VALUE, error.to_string()))
}

pub(super) fn policy_body(policy: &impl serde::Serialize) -> PolicyBody {
    serde_json::to_value(policy).ok().and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default()
}

fn answer(view: &PolicyView) -> Response {
    let body = PolicyViewBody {
        policy: policy_body(&view.policy),
        effective: policy_body(&view.effective),
        revision: view.revision,
        updated_at: view.updated_at,
    };
    ([(ETAG, format!("\"{}\"", view.revision))], axum::Json(body)).into_response()
}

/// The revision that must still be the current one (RFC 9110 section 13.1.1); `None` when any will do.
fn expected(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let revision = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    let wrong = || Problem::new(INVALID_PARAMETER, "If-Match: must be the ETag of the policy as it was read");
    revision.map(Some).ok_or_else(wrong)
}

async fn set(
    app: &App,
    context: &OperationContext,
    of: PolicyOf,
    headers: &HeaderMap,
    body: &PolicyBody,
) -> Result<Response, Problem> {
    let policy = policy_of(body)?;
    let view = app.operations.set_screening_policy(context, of, &policy, expected(headers)?).await?;
    Ok(answer(&view))
}

/// See the workspace's screening policy.
///
/// What happens to personal data and credentials in documents that are added. `ETag` is the policy's revision.
#[utoipa::path(get, path = "/api/v1/screening/policy", operation_id = "get_screening_policy", tag = "Screening", security(("oauth2" = ["documents:read"])),
    responses((status = 200, body = PolicyViewBody, description = "The policy.")))]
pub(crate) async fn policy(State(app): State<App>, Caller(context): Caller) -> Result<Response, Problem> {
    Ok(answer(&app.operations.screening_policy(&context, PolicyOf::Workspace).await?))
}

/// Set the workspace's screening policy.
///
/// It holds for what is screened from now on; `rescreen` applies it to a collection's earlier documents. With `If-Match`,
/// only if the policy is still the one that was read.
#[utoipa::path(put, path = "/api/v1/screening/policy", operation_id = "set_screening_policy", tag = "Screening", security(("oauth2" = ["screening:policy"])),
    params(("If-Match" = Option<String>, Header, description = "`ETag` of the policy as it was read.")),
    request_body = PolicyBody,
    responses(
        (status = 200, body = PolicyViewBody, description = "The policy as it is now."),
        (status = 412, body = ProblemBody, content_type = "application/problem+json", description = "`policy_changed`"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid_value`")))]
pub(crate) async fn set_policy(
    State(app): State<App>,
    Caller(context): Caller,
    headers: HeaderMap,
    Json(body): Json<PolicyBody>,
) -> Result<Response, Problem> {
    set(&app, &context, PolicyOf::Workspace, &headers, &body).await
}

/// See a collection's screening policy.
///
/// Its own rules, and what is in force with the workspace's below them.
#[utoipa::path(get, path = "/api/v1/collections/{id}/screening/policy", operation_id = "get_collection_screening_policy", tag = "Screening", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The collection.")),
    responses(
        (status = 200, body = PolicyViewBody, description = "The policy."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn collection_policy(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<CollectionId>,
) -> Result<Response, Problem> {
    Ok(answer(&app.operations.screening_policy(&context, PolicyOf::Collection(id)).await?))
}

/// Set a collection's screening policy.
///
/// Its rules win over the workspace's; an empty policy follows the workspace. With `If-Match`, only if the policy is still
/// the one that was read.
#[utoipa::path(put, path = "/api/v1/collections/{id}/screening/policy", operation_id = "set_collection_screening_policy", tag = "Screening", security(("oauth2" = ["screening:policy"])),
    params(("id" = Uuid, Path, description = "The collection."),
        ("If-Match" = Option<String>, Header, description = "`ETag` of the policy as it was read.")),
    request_body = PolicyBody,
    responses(
        (status = 200, body = PolicyViewBody, description = "The policy as it is now."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`"),
        (status = 412, body = ProblemBody, content_type = "application/problem+json", description = "`policy_changed`"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid_value`")))]
pub(crate) async fn set_collection_policy(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<CollectionId>,
    headers: HeaderMap,
    Json(body): Json<PolicyBody>,
) -> Result<Response, Problem> {
    set(&app, &context, PolicyOf::Collection(id), &headers, &body).await
}

/// Screen a collection again.
///
/// A job screens every version of the collection by the policy in force. Where that hides or shows something else than
/// before, the version's text is replaced and indexed again, and reports that quote it show what may be seen now; where it
/// holds a version, that one stops answering until a reviewer has decided.
#[utoipa::path(post, path = "/api/v1/collections/{id}/rescreen", operation_id = "rescreen_collection", tag = "Screening", security(("oauth2" = ["screening:policy"])),
    params(("id" = Uuid, Path, description = "The collection."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with the same key repeats the reply.")),
    responses(
        (status = 202, body = ScreeningJobBody, description = "The job."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn rescreen(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<CollectionId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = idempotency::key(&context, &headers, &[b"rescreen", id.0.as_bytes()])?;
    let answer = app.operations.rescreen(&context, id, idempotency::once(key.as_ref(), &job)).await?;
    Ok(idempotency::send(answer, &job))
}

fn job(id: &JobId) -> Reply {
    idempotency::reply(StatusCode::ACCEPTED, ScreeningJobBody { job_id: *id })
}

/// Release a version that screening holds.
///
/// It is read and indexed by a job. `as` says what becomes of that for which it was held: `masked` (the default) keeps it
/// hidden, `plain` shows it.
#[utoipa::path(post, path = "/api/v1/versions/{id}/release", operation_id = "release_version", tag = "Screening", security(("oauth2" = ["screening:review"])),
    params(("id" = Uuid, Path, description = "The version."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with the same key repeats the reply.")),
    request_body = ReleaseBody,
    responses(
        (status = 202, body = ScreeningJobBody, description = "The job that indexes it."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`not_quarantined`"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid_value`")))]
pub(crate) async fn release(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<VersionId>,
    headers: HeaderMap,
    Json(body): Json<ReleaseBody>,
) -> Result<Response, Problem> {
    let shown = match body.shown {
        ReleaseAsBody::Masked => Release::Masked,
        ReleaseAsBody::Plain => Release::Plain,
    };
    let parts: [&[u8]; 4] = [b"release", id.0.as_bytes(), shown.as_str().as_bytes(), body.reason.as_bytes()];
    let key = idempotency::key(&context, &headers, &parts)?;
    let once = idempotency::once(key.as_ref(), &job);
    let answer = app.operations.release_version(&context, id, (shown, &body.reason), once).await?;
    Ok(idempotency::send(answer, &job))
}

/// Reject a version that screening holds.
///
/// It stays in the store, and nothing of it is ever indexed or shown.
#[utoipa::path(post, path = "/api/v1/versions/{id}/reject", operation_id = "reject_version", tag = "Screening", security(("oauth2" = ["screening:review"])),
    params(("id" = Uuid, Path, description = "The version."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with the same key repeats the reply.")),
    request_body = RejectionBody,
    responses(
        (status = 204, description = "It is rejected."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`not_quarantined`"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid_value`")))]
pub(crate) async fn reject(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<VersionId>,
    headers: HeaderMap,
    Json(body): Json<RejectionBody>,
) -> Result<Response, Problem> {
    let key = idempotency::key(&context, &headers, &[b"reject", id.0.as_bytes(), body.reason.as_bytes()])?;
    let write = |(): &()| idempotency::reply(StatusCode::NO_CONTENT, ());
    let once = idempotency::once(key.as_ref(), &write);
    let answer = app.operations.reject_version(&context, id, &body.reason, once).await?;
    Ok(idempotency::send(answer, &write))
}

/// Find where a value occurs.
///
/// The value is compared with the digests of what screening found, however it is written; it is neither stored nor logged.
/// Every look-up is audited.
#[utoipa::path(post, path = "/api/v1/screening/lookup", operation_id = "look_up_value", tag = "Screening", security(("oauth2" = ["screening:review"])),
    request_body = LookupBody,
    responses(
        (status = 200, body = OccurrencesBody, description = "Where it occurs."),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`no_digest_key`"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid_value`")))]
pub(crate) async fn look_up(
    State(app): State<App>,
    Caller(context): Caller,
    Json(body): Json<LookupBody>,
) -> Result<axum::Json<OccurrencesBody>, Problem> {
    let found = app.operations.look_up_value(&context, &body.value).await?;
    let occurrences = found.into_iter().map(|place| OccurrenceBody {
        document_id: place.document,
        name: place.name,
        version_id: place.version,
        version_number: place.number,
        kind: place.kind,
        count: place.count,
    });
    Ok(axum::Json(OccurrencesBody { occurrences: occurrences.collect() }))
}
