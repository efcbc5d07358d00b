//! `/api/v1/collections`

use crate::app::App;
use crate::convert;
use crate::extract::{Caller, Json, Path, Query};
use crate::idempotency;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use carrel_domain::CollectionId;
use carrel_domain::archive::Collection;
use carrel_wire::{CollectionBody, NewCollectionBody, Page, ProblemBody};
use serde::Deserialize;
use utoipa::IntoParams;

/// Which page of collections.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct CollectionsQuery {
    /// Only the collection of this name.
    name: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200.
    #[serde(default = "convert::fifty")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: u32,
}

/// Make a collection.
///
/// Names are unique in the workspace. A deleted collection gives its name back at once.
#[utoipa::path(post, path = "/api/v1/collections", operation_id = "create_collection", tag = "Collections", security(("oauth2" = ["documents:write"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with the same key repeats the reply.")),
    request_body = NewCollectionBody,
    responses(
        (status = 201, body = CollectionBody, description = "The collection."),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`name_taken`"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid_value`")))]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(context): Caller,
    headers: HeaderMap,
    Json(body): Json<NewCollectionBody>,
) -> Result<Response, Problem> {
    let parts: [&[u8]; 3] = [b"collections", body.name.as_bytes(), body.description.as_bytes()];
    let key = idempotency::key(&context, &headers, &parts)?;
    let write = |made: &Collection| idempotency::reply(StatusCode::CREATED, convert::collection(made.clone()));
    let once = idempotency::once(key.as_ref(), &write);
    let answer = app.operations.create_collection(&context, &body.name, &body.description, once).await?;
    Ok(idempotency::send(answer, &write))
}

/// List collections, oldest first.
///
/// With `name`, the page holds the one collection of that name, or nothing.
#[utoipa::path(get, path = "/api/v1/collections", operation_id = "list_collections", tag = "Collections", security(("oauth2" = ["documents:read"])),
    params(CollectionsQuery),
    responses((status = 200, body = Page<CollectionBody>, description = "A page.")))]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(context): Caller,
    Query(query): Query<CollectionsQuery>,
) -> Result<axum::Json<Page<CollectionBody>>, Problem> {
    let listing =
        app.operations.list_collections(&context, query.name.as_deref(), query.cursor.as_deref(), query.limit).await?;
    Ok(axum::Json(convert::page(listing, convert::collection)))
}

/// See a collection.
///
/// `documents` counts what is in it at this moment.
#[utoipa::path(get, path = "/api/v1/collections/{id}", operation_id = "get_collection", tag = "Collections", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The collection.")),
    responses(
        (status = 200, body = CollectionBody, description = "The collection."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<CollectionId>,
) -> Result<axum::Json<CollectionBody>, Problem> {
    Ok(axum::Json(convert::collection(app.operations.get_collection(&context, id).await?)))
}

/// Delete a collection with all its documents.
///
/// Its documents stop answering at once, however many they are; the job `collection.clear` removes what they leave. Reports
/// keep their quotes.
#[utoipa::path(delete, path = "/api/v1/collections/{id}", operation_id = "delete_collection", tag = "Collections", security(("oauth2" = ["documents:write"])),
    params(("id" = Uuid, Path, description = "The collection.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`legal_hold`")))]
pub(crate) async fn delete(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<CollectionId>,
) -> Result<StatusCode, Problem> {
    app.operations.delete_collection(&context, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
