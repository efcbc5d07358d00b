//! `Idempotency-Key` on POST: the same request again gets the same reply
//! (draft-ietf-httpapi-idempotency-key-header).

use crate::problem::{INVALID_PARAMETER, Problem};
use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use carrel_domain::OperationContext;
use carrel_operations::{Answer, IdempotencyKey, Once, Reply};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The key that the request carries, if any; `parts` is what makes the request the same one.
pub(crate) fn key(
    context: &OperationContext,
    headers: &HeaderMap,
    parts: &[&[u8]],
) -> Result<Option<IdempotencyKey>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::new(INVALID_PARAMETER, "Idempotency-Key: must be sent once"));
    }
    let text = value.to_str().unwrap_or_default().trim();
    // The draft has a string of RFC 9651, in quotes; most clients send the bare key. Both name the same key.
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    Ok(Some(IdempotencyKey::new(context, text, digest.finalize().to_vec())?))
}

/// How the operation is to act: once if there is a key.
pub(crate) fn once<'a, T>(
    key: Option<&'a IdempotencyKey>,
    write: &'a (dyn Fn(&T) -> Reply + Send + Sync),
) -> Once<'a, T> {
    key.map_or_else(Once::without_key, |key| Once::with_key(key, write))
}

/// A reply with a JSON body.
pub(crate) fn reply(status: StatusCode, body: impl Serialize) -> Reply {
    Reply { status: status.as_u16(), body: serde_json::to_value(body).unwrap_or(Value::Null) }
}

/// Sends what was answered, now or the first time. A reply whose body is null has none.
pub(crate) fn send<T>(answer: Answer<T>, write: &(dyn Fn(&T) -> Reply + Send + Sync)) -> Response {
    let (reply, repeated) = match answer {
        Answer::Fresh(value) => (write(&value), false),
        Answer::Repeated(reply) => (reply, true),
    };
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let mut response =
        if reply.body.is_null() { status.into_response() } else { (status, Json(reply.body)).into_response() };
    if repeated {
        response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    response
}
