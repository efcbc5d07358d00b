//! Labels and their scans, and `/api/v1/holds`

use crate::app::App;
use crate::convert;
use crate::extract::{Caller, Json, Path, Query};
use crate::idempotency;
use crate::problem::{INVALID_VALUE, Problem};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use carrel_domain::archive::Document;
use carrel_domain::custody::{CustodyEvent, Hold, HoldSubject};
use carrel_domain::{DocumentId, HoldId};
use carrel_operations::Scan;
use carrel_wire::{
    ActorBody, CustodyEventBody, HoldBody, NewHoldBody, Page, ProblemBody, ReasonBody, ScanBody, ScannedBody,
};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

/// Get a document's label to print (SVG, 62 by 29 millimetres).
///
/// A QR code with the title, the newest version's number and the beginning of its SHA-256. The code says which document it
/// belongs to, and cannot be made for another one. Every access is audited.
#[utoipa::path(get, path = "/api/v1/documents/{id}/label.svg", operation_id = "get_label", tag = "Custody", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The document.")),
    responses(
        (status = 200, content_type = "image/svg+xml", body = String, description = "The label."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn label(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<DocumentId>,
) -> Result<Response, Problem> {
    let drawn = app.operations.label(&context, id).await?;
    let headers = [
        (CONTENT_TYPE, "image/svg+xml"),
        (CACHE_CONTROL, "private, no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
    ];
    Ok((headers, drawn).into_response())
}

/// Record what a scanned label says.
///
/// Whoever handles the paper scans its label and says what happens to it, where, and what else is to be said.
#[utoipa::path(post, path = "/api/v1/custody/scan", operation_id = "scan_label", tag = "Custody", security(("oauth2" = ["custody:write"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with the same key repeats the reply.")),
    request_body = ScanBody,
    responses(
        (status = 201, body = ScannedBody, description = "Recorded."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`: the label is genuine, its document is gone"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`label_unreadable`, `label_forged` or `invalid_value`")))]
pub(crate) async fn scan(
    State(app): State<App>,
    Caller(context): Caller,
    headers: HeaderMap,
    Json(body): Json<ScanBody>,
) -> Result<Response, Problem> {
    let fields = serde_json::to_vec(&body).unwrap_or_default();
    let key = idempotency::key(&context, &headers, &[b"scan", &fields])?;
    let scan = Scan { code: body.code, kind: body.event.into(), place: body.place, note: body.note };
    let write = |(recorded, document): &(CustodyEvent, Document)| {
        let scanned = ScannedBody {
            event: event(recorded.clone()),
            document_name: document.name.clone(),
            sha256: document.latest.digests.sha256.to_string(),
        };
        idempotency::reply(StatusCode::CREATED, scanned)
    };
    let answer = app.operations.scan_label(&context, &scan, idempotency::once(key.as_ref(), &write)).await?;
    Ok(idempotency::send(answer, &write))
}

/// Which page of events.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200.
    #[serde(default = "convert::fifty")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: u32,
}

/// List what happened to a document's paper, oldest first.
///
/// Every scan of its label. What happened to its files stands in the audit trail.
#[utoipa::path(get, path = "/api/v1/documents/{id}/custody", operation_id = "list_custody", tag = "Custody", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The document."), EventsQuery),
    responses(
        (status = 200, body = Page<CustodyEventBody>, description = "A page."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn events(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<DocumentId>,
    Query(query): Query<EventsQuery>,
) -> Result<axum::Json<Page<CustodyEventBody>>, Problem> {
    let listing = app.operations.list_custody(&context, id, query.cursor.as_deref(), query.limit).await?;
    Ok(axum::Json(convert::page(listing, event)))
}

/// Place a legal hold on a document or a collection.
///
/// While it stands, neither it nor what it covers can be deleted or erased, by whomever. New versions may still come.
#[utoipa::path(post, path = "/api/v1/holds", operation_id = "place_hold", tag = "Custody", security(("oauth2" = ["holds:write"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with the same key repeats the reply.")),
    request_body = NewHoldBody,
    responses(
        (status = 201, body = HoldBody, description = "It stands."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`: the document or the collection"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid_value`")))]
pub(crate) async fn place(
    State(app): State<App>,
    Caller(context): Caller,
    headers: HeaderMap,
    Json(body): Json<NewHoldBody>,
) -> Result<Response, Problem> {
    let fields = serde_json::to_vec(&body).unwrap_or_default();
    let key = idempotency::key(&context, &headers, &[b"hold", &fields])?;
    let subject = match (body.document_id, body.collection_id) {
        (Some(id), None) => HoldSubject::Document(id),
        (None, Some(id)) => HoldSubject::Collection(id),
        _ => return Err(Problem::new(INVALID_VALUE, "name either document_id or collection_id")),
    };
    let write = |made: &Hold| idempotency::reply(StatusCode::CREATED, hold(made.clone()));
    let once = idempotency::once(key.as_ref(), &write);
    let answer = app.operations.place_hold(&context, subject, &body.reason, once).await?;
    Ok(idempotency::send(answer, &write))
}

/// Which holds.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct HoldsQuery {
    /// Only holds of this document or collection.
    subject: Option<Uuid>,
    /// Only holds that stand.
    #[serde(default)]
    #[param(default = false)]
    standing: bool,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200.
    #[serde(default = "convert::fifty")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: u32,
}

/// List legal holds, oldest first.
///
/// Those that stand and those that were released, with who placed and released them and why.
#[utoipa::path(get, path = "/api/v1/holds", operation_id = "list_holds", tag = "Custody", security(("oauth2" = ["documents:read"])),
    params(HoldsQuery),
    responses((status = 200, body = Page<HoldBody>, description = "A page.")))]
pub(crate) async fn holds(
    State(app): State<App>,
    Caller(context): Caller,
    Query(query): Query<HoldsQuery>,
) -> Result<axum::Json<Page<HoldBody>>, Problem> {
    let listing = app
        .operations
        .list_holds(&context, query.subject, query.standing, query.cursor.as_deref(), query.limit)
        .await?;
    Ok(axum::Json(convert::page(listing, hold)))
}

/// Release a legal hold.
///
/// It stays listed with who released it and why. One that was released before stays as it was.
#[utoipa::path(post, path = "/api/v1/holds/{id}/release", operation_id = "release_hold", tag = "Custody", security(("oauth2" = ["holds:write"])),
    params(("id" = Uuid, Path, description = "The hold."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with the same key repeats the reply.")),
    request_body = ReasonBody,
    responses(
        (status = 200, body = HoldBody, description = "It is released."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid_value`")))]
pub(crate) async fn release(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<HoldId>,
    headers: HeaderMap,
    Json(body): Json<ReasonBody>,
) -> Result<Response, Problem> {
    let key = idempotency::key(&context, &headers, &[b"release", id.0.as_bytes(), body.reason.as_bytes()])?;
    let write = |released: &Hold| idempotency::reply(StatusCode::OK, hold(released.clone()));
    let once = idempotency::once(key.as_ref(), &write);
    let answer = app.operations.release_hold(&context, id, &body.reason, once).await?;
    Ok(idempotency::send(answer, &write))
}

fn event(event: CustodyEvent) -> CustodyEventBody {
    CustodyEventBody {
        id: event.id,
        document_id: event.document,
        event: event.kind.into(),
        place: event.place,
        note: event.note,
        at: event.at,
        by: ActorBody::from(&event.by),
    }
}

fn hold(hold: Hold) -> HoldBody {
    let (document_id, collection_id) = match hold.subject {
        HoldSubject::Document(id) => (Some(id), None),
        HoldSubject::Collection(id) => (None, Some(id)),
    };
    HoldBody {
        id: hold.id,
        document_id,
        collection_id,
        reason: hold.reason,
        placed_at: hold.placed_at,
        placed_by: ActorBody::from(&hold.placed_by),
        released_at: hold.released.as_ref().map(|release| release.at),
        released_by: hold.released.as_ref().map(|release| ActorBody::from(&release.by)),
        release_reason: hold.released.map(|release| release.reason),
    }
}
