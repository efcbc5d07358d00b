//! One id, one span, one log line and one set of figures per request.

use crate::app::App;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Extensions, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use carrel_domain::RequestId;
use std::time::Instant;
use tracing::Instrument;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// The id of the request that is being served, for its problem; empty outside of one.
pub(crate) fn current_request_id() -> String {
    CURRENT.try_with(ToString::to_string).unwrap_or_default()
}

pub(crate) fn request_id(extensions: &Extensions) -> Option<RequestId> {
    extensions.get::<RequestId>().copied()
}

/// The outermost layer.
pub(crate) async fn observe(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id: RequestId = RequestId(app.operations.ids.new_id());
    request.extensions_mut().insert(id);
    let route = request.extensions().get::<MatchedPath>().map_or("page", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let parent = request.headers().get("traceparent").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let span = tracing::info_span!(
        "request",
        otel.name = %format_args!("{method} {route}"),
        otel.kind = "server",
        http.request.method = %method,
        http.route = %route,
        request_id = %id,
        workspace = tracing::field::Empty,
        http.response.status_code = tracing::field::Empty,
    );
    (app.adopt_parent)(&span, parent.as_deref());
    let mut response = CURRENT.scope(id, next.run(request).instrument(span.clone())).await;
    let status = response.status().as_u16();
    let seconds = started.elapsed().as_secs_f64();
    span.record("http.response.status_code", status);
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert("x-request-id", value);
    }
    let labels = [
        ("http_request_method", known(&method).to_owned()),
        ("http_route", route.clone()),
        ("http_response_status_code", status.to_string()),
    ];
    metrics::histogram!("http_server_request_duration_seconds", &labels).record(seconds);
    let _entered = span.enter();
    if status >= 500 {
        tracing::warn!(status, duration_ms = seconds * 1e3, "{method} {route} failed");
    } else if route == "page" || route.starts_with("/health") {
        tracing::debug!(status, duration_ms = seconds * 1e3, "{method} {route}");
    } else {
        tracing::info!(status, duration_ms = seconds * 1e3, "{method} {route}");
    }
    response
}

/// A client can invent any number of methods; figures know the usual ones (OpenTelemetry, HTTP semantic conventions).
fn known(method: &Method) -> &str {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE | Method::OPTIONS => {
            method.as_str()
        }
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::known;
    use axum::http::Method;

    #[test]
    fn invented_methods_share_a_label() {
        assert_eq!(known(&Method::GET), "GET");
        assert_eq!(known(&Method::from_bytes(b"BREW").unwrap()), "_OTHER");
    }
}
