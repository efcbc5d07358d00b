//! `/api/v1/versions`: a version, its text, its original.

use crate::app::App;
use crate::convert;
use crate::extract::{Caller, Path, Query};
use crate::idempotency;
use crate::problem::{INVALID_PARAMETER, Problem};
use crate::ranges::{self, Part};
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use carrel_domain::{Span, VersionId};
use carrel_operations::Uploaded;
use carrel_wire::{DiffBody, DifferenceBody, ProblemBody, SpanBody, TextBody, UploadBody, VersionPageBody};
use futures::TryStreamExt;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which part of the text.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextQuery {
    /// First code point.
    #[serde(default)]
    #[param(default = 0)]
    start: u32,
    /// One past the last code point; at most 1,000,000 after `start`.
    end: Option<u32>,
}

/// Originals up to this size are digested before anything is sent of them.
const VERIFIED_FIRST: u64 = 1 << 20;
/// Code points that one request may read.
const TEXT_PART: u32 = 1_000_000;

/// See a version with its document.
///
/// `state` tells how far it is: `received`, `extracted`, `searchable`, or `failed` with the reason in `failure`; `quarantined`
/// while screening holds it, `rejected` when a reviewer keeps it out.
#[utoipa::path(get, path = "/api/v1/versions/{id}", operation_id = "get_version", tag = "Versions", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The version.")),
    responses(
        (status = 200, body = VersionPageBody, description = "The version."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<VersionId>,
) -> Result<axum::Json<VersionPageBody>, Problem> {
    let (version, document) = app.operations.get_version(&context, id).await?;
    Ok(axum::Json(VersionPageBody { version: convert::version(version), document: convert::document(document) }))
}

/// Read a version's text, or a part of it.
///
/// Positions count Unicode code points of the text that was extracted: those that hits and citations name.
#[utoipa::path(get, path = "/api/v1/versions/{id}/text", operation_id = "get_text", tag = "Versions", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The version."), TextQuery),
    responses(
        (status = 200, body = TextBody, description = "The part; shorter than asked for at the text's end."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found` or `not_ready_yet`"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`withheld`")))]
pub(crate) async fn text(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<VersionId>,
    Query(query): Query<TextQuery>,
) -> Result<axum::Json<TextBody>, Problem> {
    let last = query.start.saturating_add(TEXT_PART);
    let end = query.end.unwrap_or(last).min(last);
    let span = Span::new(query.start, end)
        .ok_or_else(|| Problem::new(INVALID_PARAMETER, "`end` must not lie before `start`"))?;
    let (text, characters) = app.operations.get_text(&context, id, span).await?;
    let start = query.start.min(characters);
    let span = SpanBody { start, end: start + u32::try_from(text.chars().count()).unwrap_or(u32::MAX) };
    Ok(axum::Json(TextBody { version_id: id, span, characters, text }))
}

/// What to compare with.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiffQuery {
    /// The earlier version.
    #[param(value_type = Uuid)]
    from: VersionId,
}

/// Compare a version with an earlier one, word by word.
///
/// What lies between two differences is equal in both texts. The versions may belong to different documents. Words of a
/// difference are shown up to 2,000 code points; its spans tell its true length.
#[utoipa::path(get, path = "/api/v1/versions/{id}/diff", operation_id = "diff_versions", tag = "Versions", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The later version."), DiffQuery),
    responses(
        (status = 200, body = DiffBody, description = "The differences."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found` or `not_ready_yet`"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`withheld`")))]
pub(crate) async fn diff(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<VersionId>,
    Query(query): Query<DiffQuery>,
) -> Result<axum::Json<DiffBody>, Problem> {
    let found = app.operations.diff_versions(&context, query.from, id).await?;
    let differences = found.differences.into_iter().map(|part| DifferenceBody {
        before: part.place.before.into(),
        after: part.place.after.into(),
        removed: part.removed,
        inserted: part.inserted,
        context: part.context,
    });
    let differences = differences.collect();
    Ok(axum::Json(DiffBody { before: query.from, after: id, differences, truncated: found.truncated }))
}

/// Bring an old version back.
///
/// Its bytes become the newest version of the document and are read and indexed as if they had been sent again; every
/// version in between stays. Restoring what is the newest version already changes nothing (`unchanged`).
#[utoipa::path(post, path = "/api/v1/versions/{id}/restore", operation_id = "restore_version", tag = "Versions", security(("oauth2" = ["documents:write"])),
    params(("id" = Uuid, Path, description = "The version to bring back."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with the same key repeats the reply.")),
    responses(
        (status = 202, body = UploadBody, description = "The new version is on its way."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn restore(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<VersionId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = idempotency::key(&context, &headers, &[b"restore", id.0.as_bytes()])?;
    let write = |done: &Uploaded| idempotency::reply(StatusCode::ACCEPTED, convert::uploaded(done.clone()));
    let answer = app.operations.restore_version(&context, id, idempotency::once(key.as_ref(), &write)).await?;
    Ok(idempotency::send(answer, &write))
}

/// Get the original bytes, or a part of them (RFC 9110 section 14).
///
/// The bytes exactly as they were sent. `ETag` is their SHA-256; `If-None-Match`, `If-Range` and one `Range` are honoured.
/// Every access is audited. Where screening hides something, holds the version or has not looked yet, the scope
/// `screening:review` is needed as well.
#[utoipa::path(get, path = "/api/v1/versions/{id}/original", operation_id = "get_original", tag = "Versions", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The version."),
        ("Range" = Option<String>, Header, description = "One range of bytes, for example `bytes=0-1023`.")),
    responses(
        (status = 200, content_type = "application/octet-stream", body = [u8], description = "All bytes."),
        (status = 206, content_type = "application/octet-stream", body = [u8], description = "The range."),
        (status = 304, description = "The bytes are those of `If-None-Match`."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`"),
        (status = 416, body = ProblemBody, content_type = "application/problem+json", description = "`range_not_satisfiable`"),
        (status = 500, body = ProblemBody, content_type = "application/problem+json", description = "`original_damaged`; above a mebibyte the download breaks off instead")))]
pub(crate) async fn original(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<VersionId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let range = headers.get(RANGE).and_then(|value| value.to_str().ok());
    let original = app.operations.get_original(&context, id, range).await?;
    let etag = format!("\"{}\"", original.sha256);
    if ranges::not_modified(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, header_value(&etag))]).into_response());
    }
    let part = ranges::requested(&headers, &etag, original.size)?;
    let (status, range) = match &part {
        Part::Whole => (StatusCode::OK, None),
        Part::Range(range) => (StatusCode::PARTIAL_CONTENT, Some(range.clone())),
    };
    let length = range.as_ref().map_or(original.size, |range| range.end - range.start);
    let bytes = app.operations.read_original(&context, &original, range.clone()).await?;
    let media_type = original.media_type.as_deref().unwrap_or("application/octet-stream");
    let body = if range.is_none() && original.size <= VERIFIED_FIRST {
        // Found damaged before the head is sent, it can be told.
        let parts: Vec<Bytes> = bytes.try_collect().await?;
        Body::from(parts.concat())
    } else {
        Body::from_stream(bytes)
    };
    let mut response = (status, body).into_response();
    let out = response.headers_mut();
    out.insert(CONTENT_TYPE, header_value(media_type));
    out.insert(CONTENT_LENGTH, HeaderValue::from(length));
    out.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    out.insert(ETAG, header_value(&etag));
    out.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    out.insert(CONTENT_DISPOSITION, header_value(&ranges::attachment(&original.file_name)));
    // Whatever the bytes are, a browser must not run them.
    out.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    if let Some(range) = range {
        let value = format!("bytes {}-{}/{}", range.start, range.end - 1, original.size);
        out.insert(CONTENT_RANGE, header_value(&value));
    }
    Ok(response)
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"))
}
