//! Extractors whose refusals are problems.

use crate::app::App;
use crate::problem::{Problem, UNAUTHENTICATED};
use axum::extract::{FromRequest, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use carrel_domain::{Actor, OperationContext, RequestId};

/// A JSON body.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Problem))]
pub(crate) struct Json<T>(pub(crate) T);

/// Path parameters.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub(crate) struct Path<T>(pub(crate) T);

/// Query parameters.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub(crate) struct Query<T>(pub(crate) T);

/// The caller, from a bearer token (RFC 6750).
pub(crate) struct Caller(pub(crate) OperationContext);

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (scheme, token) = header.split_once(' ').unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Problem::new(UNAUTHENTICATED, "the request carries no bearer token"));
        }
        let now = app.operations.clock.now();
        let Some(bearer) = app.operations.tokens.check(token.trim(), now) else {
            return Err(Problem::new(UNAUTHENTICATED, "the access token is not valid or has ended"));
        };
        tracing::Span::current().record("workspace", tracing::field::display(bearer.workspace));
        Ok(Self(OperationContext {
            actor: Actor::Client { id: bearer.client },
            workspace: bearer.workspace,
            scopes: bearer.scopes,
            request_id: crate::observe::request_id(&parts.extensions).unwrap_or(RequestId(app.operations.ids.new_id())),
            now,
            traceparent: (app.traceparent)(),
        }))
    }
}
