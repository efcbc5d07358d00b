//! `/api/v1/collections/{id}/documents` and `/api/v1/documents`

use crate::app::App;
use crate::convert;
use crate::extract::{Caller, Path, Query};
use crate::idempotency;
use crate::problem::{INVALID_PARAMETER, MALFORMED_MULTIPART, Problem};
use crate::upkeep;
use axum::extract::multipart::{Field, MultipartRejection};
use axum::extract::{Multipart, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use carrel_domain::digest::Digest;
use carrel_domain::{CollectionId, DocumentId};
use carrel_operations::{StagedUpload, Upload, Uploaded};
use carrel_storage::documents::DocumentFilter;
use carrel_wire::{DocumentBody, Page, ProblemBody, UploadBody, UploadForm, VersionBody};
use serde::Deserialize;
use utoipa::IntoParams;

/// Bytes of a text field of an upload.
const FIELD_BYTES: usize = 64 << 10;
/// States of a version.
const STATES: [&str; 6] = ["received", "extracted", "searchable", "failed", "quarantined", "rejected"];

/// Which page of documents.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DocumentsQuery {
    /// Only the document with this external id.
    external_id: Option<String>,
    /// Only documents whose newest version has this state.
    state: Option<String>,
    /// Only documents of which some version has these bytes (SHA-256, hexadecimal).
    sha256: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200.
    #[serde(default = "convert::fifty")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: u32,
}

/// Which page of versions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct VersionsQuery {
    /// Only versions with a smaller number.
    before: Option<u32>,
    /// Rows of a page, 1 to 200.
    #[serde(default = "convert::fifty")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: u32,
}

/// Add a document, or a new version of one.
///
/// The file is streamed to the store. The same bytes under the same external id (by default the file's name) change
/// nothing; other bytes become a new version. The answer names the job that reads the file.
#[utoipa::path(post, path = "/api/v1/collections/{id}/documents", operation_id = "add_document", tag = "Documents", security(("oauth2" = ["documents:write"])),
    params(("id" = Uuid, Path, description = "The collection."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with the same key repeats the reply.")),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, body = UploadBody, description = "The bytes were known already."),
        (status = 202, body = UploadBody, description = "Stored; the job reads it."),
        (status = 400, body = ProblemBody, content_type = "application/problem+json", description = "`malformed_multipart`"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`being_erased`"),
        (status = 413, body = ProblemBody, content_type = "application/problem+json", description = "`body_too_large`"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`empty_file` or `invalid_value`")))]
pub(crate) async fn upload(
    State(app): State<App>,
    Caller(context): Caller,
    Path(collection): Path<CollectionId>,
    headers: HeaderMap,
    multipart: Result<Multipart, MultipartRejection>,
) -> Result<Response, Problem> {
    let multipart = multipart.map_err(|rejection| Problem::new(MALFORMED_MULTIPART, rejection.body_text()))?;
    // Refused before a gigabyte has travelled.
    app.operations.expect_upload(&context, collection).await?;
    let (upload, staged) = receive(&app, &context, collection, multipart).await?;
    let fields = serde_json::to_vec(&(
        &upload.file_name,
        &upload.external_id,
        &upload.title,
        &upload.media_type,
        &upload.metadata,
    ))
    .unwrap_or_default();
    let id = collection.to_string();
    let digest = staged.sha256().map(|digest| digest.0).unwrap_or_default();
    let parts: [&[u8]; 4] = [b"documents", id.as_bytes(), &digest, &fields];
    let key = match idempotency::key(&context, &headers, &parts) {
        Ok(key) => key,
        Err(problem) => {
            staged.discard().await;
            return Err(problem);
        }
    };
    let write = |done: &Uploaded| {
        let status = if done.job.is_some() { StatusCode::ACCEPTED } else { StatusCode::OK };
        idempotency::reply(status, convert::uploaded(done.clone()))
    };
    let once = idempotency::once(key.as_ref(), &write);
    let answer = app.operations.add_document(&context, &upload, staged, once).await?;
    Ok(idempotency::send(answer, &write))
}

/// Reads the parts in whatever order they come; the file goes to staging as it arrives.
async fn receive(
    app: &App,
    context: &carrel_domain::OperationContext,
    collection: CollectionId,
    mut multipart: Multipart,
) -> Result<(Upload, StagedUpload), Problem> {
    let mut upload = Upload {
        collection,
        file_name: String::new(),
        external_id: None,
        title: None,
        media_type: None,
        metadata: None,
        within: None,
    };
    let mut staged: Option<StagedUpload> = None;
    let result = async {
        while let Some(field) = multipart.next_field().await? {
            let name = field.name().unwrap_or_default().to_owned();
            match name.as_str() {
                "file" if staged.is_some() => {
                    return Err(Problem::new(MALFORMED_MULTIPART, "there is more than one part named `file`"));
                }
                "file" => {
                    upload.file_name = field.file_name().unwrap_or_default().to_owned();
                    upload.media_type = field.content_type().map(str::to_owned);
                    staged = Some(app.operations.stage_upload(context, field).await?);
                }
                "external_id" => upload.external_id = Some(text(field).await?),
                "title" => upload.title = Some(text(field).await?),
                "metadata" => {
                    let fields = serde_json::from_str(&text(field).await?).map_err(|error| {
                        Problem::new(MALFORMED_MULTIPART, format!("`metadata` is no JSON object: {error}"))
                    })?;
                    upload.metadata = Some(fields);
                }
                other => {
                    let other: String = other.chars().take(50).collect();
                    return Err(Problem::new(MALFORMED_MULTIPART, format!("there is no part named {other:?}")));
                }
            }
        }
        Ok(())
    }
    .await;
    match (result, staged) {
        (Ok(()), Some(staged)) => Ok((upload, staged)),
        (Ok(()), None) => Err(Problem::new(MALFORMED_MULTIPART, "the part named `file` is missing")),
        (Err(problem), staged) => {
            if let Some(staged) = staged {
                staged.discard().await;
            }
            Err(problem)
        }
    }
}

async fn text(mut field: Field<'_>) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(part) = field.chunk().await? {
        bytes.extend_from_slice(&part);
        if bytes.len() > FIELD_BYTES {
            return Err(Problem::new(MALFORMED_MULTIPART, format!("a text part has more than {FIELD_BYTES} bytes")));
        }
    }
    String::from_utf8(bytes).map_err(|_| Problem::new(MALFORMED_MULTIPART, "a text part is not UTF-8"))
}

/// List the documents of a collection, oldest first.
///
/// Each comes with its newest version. The filters narrow the list; a cursor belongs to the filters it was made with.
#[utoipa::path(get, path = "/api/v1/collections/{id}/documents", operation_id = "list_documents", tag = "Documents", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The collection."), DocumentsQuery),
    responses(
        (status = 200, body = Page<DocumentBody>, description = "A page."),
        (status = 400, body = ProblemBody, content_type = "application/problem+json", description = "`foreign_cursor`"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(context): Caller,
    Path(collection): Path<CollectionId>,
    Query(query): Query<DocumentsQuery>,
) -> Result<axum::Json<Page<DocumentBody>>, Problem> {
    let sha256 = query.sha256.as_deref().map(Digest::parse).transpose();
    let sha256 = sha256.map_err(|error| Problem::new(INVALID_PARAMETER, format!("sha256: {error}")))?;
    if let Some(state) = query.state.as_deref().filter(|state| !STATES.contains(state)) {
        return Err(Problem::new(INVALID_PARAMETER, format!("state: {state:?} is no state of a version")));
    }
    let filter = DocumentFilter { external_id: query.external_id, state: query.state, sha256 };
    let listing =
        app.operations.list_documents(&context, collection, &filter, query.cursor.as_deref(), query.limit).await?;
    Ok(axum::Json(convert::page(listing, convert::document)))
}

/// See a document with its newest version.
///
/// `latest` is the newest version, whatever its state; `current_version_id` the one that search answers from; `duplicates`
/// names documents with the same bytes or nearly the same words.
#[utoipa::path(get, path = "/api/v1/documents/{id}", operation_id = "get_document", tag = "Documents", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The document.")),
    responses(
        (status = 200, body = DocumentBody, description = "The document."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<DocumentId>,
) -> Result<axum::Json<DocumentBody>, Problem> {
    let view = app.operations.get_document(&context, id).await?;
    let duplicates = view.duplicates.into_iter().map(upkeep::duplicate).collect();
    Ok(axum::Json(DocumentBody { duplicates, ..convert::document(view.document) }))
}

/// Delete a document with all its versions.
///
/// It stops answering at once. Its originals are removed by jobs, unless another document holds the same bytes. Reports
/// keep their quotes.
#[utoipa::path(delete, path = "/api/v1/documents/{id}", operation_id = "delete_document", tag = "Documents", security(("oauth2" = ["documents:write"])),
    params(("id" = Uuid, Path, description = "The document.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`legal_hold` or `being_erased`")))]
pub(crate) async fn delete(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<DocumentId>,
) -> Result<StatusCode, Problem> {
    app.operations.delete_document(&context, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the versions of a document, newest first.
///
/// Versions never change. Continue with `before`, the smallest number seen.
#[utoipa::path(get, path = "/api/v1/documents/{id}/versions", operation_id = "list_versions", tag = "Documents", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The document."), VersionsQuery),
    responses(
        (status = 200, body = Vec<VersionBody>, description = "Versions."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn list_versions(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<DocumentId>,
    Query(query): Query<VersionsQuery>,
) -> Result<axum::Json<Vec<VersionBody>>, Problem> {
    let versions = app.operations.list_versions(&context, id, query.before, query.limit).await?;
    Ok(axum::Json(versions.into_iter().map(convert::version).collect()))
}
