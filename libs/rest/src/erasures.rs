//! Erasures and their receipts

use crate::app::App;
use crate::extract::{Caller, Json, Path};
use crate::idempotency;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use carrel_domain::custody::Erasure;
use carrel_domain::{DocumentId, ErasureId};
use carrel_wire::{ActorBody, ErasureBody, ProblemBody, ReasonBody};

/// Erase a document for good, with all its versions and all that was found inside of it.
///
/// A job clears every place that holds something of it and proves it by a signed receipt. Nothing can be brought back. A
/// document that is being erased, or was, answers the erasure there is.
#[utoipa::path(post, path = "/api/v1/documents/{id}/erase", operation_id = "erase_document", tag = "Custody", security(("oauth2" = ["documents:erase"])),
    params(("id" = Uuid, Path, description = "The document."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with the same key repeats the reply.")),
    request_body = ReasonBody,
    responses(
        (status = 202, body = ErasureBody, description = "The job erases it."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`legal_hold`"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid_value`")))]
pub(crate) async fn erase(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<DocumentId>,
    headers: HeaderMap,
    Json(body): Json<ReasonBody>,
) -> Result<Response, Problem> {
    let key = idempotency::key(&context, &headers, &[b"erase", id.0.as_bytes(), body.reason.as_bytes()])?;
    let write = |begun: &Erasure| idempotency::reply(StatusCode::ACCEPTED, erasure(begun.clone()));
    let once = idempotency::once(key.as_ref(), &write);
    let answer = app.operations.erase(&context, id, &body.reason, once).await?;
    Ok(idempotency::send(answer, &write))
}

/// See an erasure.
///
/// How far it is, and which documents it takes. It stays when everything else of the document is gone.
#[utoipa::path(get, path = "/api/v1/erasures/{id}", operation_id = "get_erasure", tag = "Custody", security(("oauth2" = ["documents:erase"])),
    params(("id" = Uuid, Path, description = "The erasure.")),
    responses(
        (status = 200, body = ErasureBody, description = "The erasure."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<ErasureId>,
) -> Result<axum::Json<ErasureBody>, Problem> {
    Ok(axum::Json(erasure(app.operations.get_erasure(&context, id).await?)))
}

/// Get the signed receipt of an erasure.
///
/// A compact JWS (RFC 7515) whose payload lists every place that was cleared, what was looked for afterwards, and what
/// stays on purpose. `carrel receipt verify` checks it without a server.
#[utoipa::path(get, path = "/api/v1/erasures/{id}/receipt", operation_id = "get_receipt", tag = "Custody", security(("oauth2" = ["documents:erase"])),
    params(("id" = Uuid, Path, description = "The erasure.")),
    responses(
        (status = 200, content_type = "application/jose", body = String, description = "The receipt."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found` or `not_ready_yet`")))]
pub(crate) async fn receipt(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<ErasureId>,
) -> Result<Response, Problem> {
    let signed = app.operations.get_receipt(&context, id).await?;
    let name = format!("attachment; filename=\"carrel-erasure-{id}.jws\"");
    Ok(([(CONTENT_TYPE, "application/jose".to_owned()), (CONTENT_DISPOSITION, name)], signed).into_response())
}

fn erasure(erasure: Erasure) -> ErasureBody {
    ErasureBody {
        id: erasure.id,
        document_id: erasure.document,
        documents: erasure.progress.documents,
        reason: erasure.reason,
        state: erasure.state.as_str().to_owned(),
        job_id: erasure.job,
        requested_at: erasure.requested_at,
        requested_by: ActorBody::from(&erasure.requested_by),
        completed_at: erasure.completed_at,
    }
}
