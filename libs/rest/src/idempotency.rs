//! `Idempotency-Key` on POST: the same request again gets the same reply.

use crate::app::App;
use crate::problem::Problem;
use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use carrel_domain::OperationContext;
use carrel_operations::{IdempotencyKey, OperationError, Replay};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Runs `perform`, unless the request carries a key under which it was performed before; then repeats that reply.
///
/// `parts` is what makes the request the same one.
pub(crate) async fn once<B, F>(
    app: &App,
    context: &OperationContext,
    headers: &HeaderMap,
    parts: &[&[u8]],
    perform: F,
) -> Result<Response, Problem>
where
    B: Serialize,
    F: AsyncFnOnce() -> Result<(StatusCode, B), OperationError>,
{
    let Some(header) = headers.get("idempotency-key") else {
        let (status, body) = perform().await?;
        return Ok((status, Json(body)).into_response());
    };
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let text = header.to_str().unwrap_or_default();
    let key = IdempotencyKey::new(context, text, digest.finalize().to_vec())?;
    if let Replay::Answer { status, reply } = app.operations.begin_idempotent(context, &key).await? {
        return Ok(repeated(status, reply));
    }
    let performed = perform().await;
    let (status, body) = match performed {
        Ok(done) => done,
        Err(error) => {
            app.operations.finish_idempotent(context, &key, None).await?;
            return Err(error.into());
        }
    };
    let reply = serde_json::to_value(body).unwrap_or(Value::Null);
    app.operations.finish_idempotent(context, &key, Some((status.as_u16(), &reply))).await?;
    Ok((status, Json(reply)).into_response())
}

fn repeated(status: u16, reply: Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = (status, Json(reply)).into_response();
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    response
}
