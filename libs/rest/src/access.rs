//! The token endpoint and discovery (RFC 6749, RFC 7517, RFC 8414).

use crate::app::App;
use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, PRAGMA, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use carrel_domain::Scope;
use carrel_operations::OperationError;
use carrel_wire::{TokenBody, TokenErrorBody};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
pub(crate) struct TokenForm {
    /// `client_credentials`.
    grant_type: String,
    /// The client, unless it comes by HTTP Basic.
    client_id: Option<String>,
    /// Its secret, unless it comes by HTTP Basic.
    client_secret: Option<String>,
    /// Fewer scopes than the client has, separated by spaces.
    scope: Option<String>,
}

/// Get an access token.
///
/// The client-credentials grant (RFC 6749 section 4.4). The client shows its id and secret in the form or by HTTP Basic.
#[utoipa::path(post, path = "/oauth/token", operation_id = "issue_token", tag = "Access",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, body = TokenBody, description = "A token."),
        (status = 400, body = TokenErrorBody, description = "The request is wrong."),
        (status = 401, body = TokenErrorBody, description = "The client or its secret is wrong."),
        (status = 503, body = TokenErrorBody, description = "The database does not answer.")),
    security(()))]
pub(crate) async fn issue_token(
    State(app): State<App>,
    headers: HeaderMap,
    form: Result<Form<TokenForm>, FormRejection>,
) -> Response {
    let used_basic = headers.get(AUTHORIZATION).is_some();
    let scheme = if used_basic { r#"Basic realm="carrel""# } else { r#"Bearer realm="carrel""# };
    let Ok(Form(form)) = form else {
        return refused(
            scheme,
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "send a form with grant_type=client_credentials",
        );
    };
    if form.grant_type != "client_credentials" {
        return refused(
            scheme,
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "the only grant is client_credentials",
        );
    }
    let credentials = match basic(&headers) {
        Some(pair) => Some(pair),
        None => form.client_id.zip(form.client_secret),
    };
    let Some((client, secret)) = credentials else {
        return refused(scheme, StatusCode::UNAUTHORIZED, "invalid_client", "the client's id and secret are missing");
    };
    match app.operations.issue_token(&client, &secret, form.scope.as_deref()).await {
        Ok(issued) => {
            let body = TokenBody {
                access_token: issued.token,
                token_type: "Bearer".to_owned(),
                expires_in: issued.expires_in,
                scope: issued.scopes.to_string(),
            };
            uncached((StatusCode::OK, Json(body)).into_response())
        }
        Err(OperationError::InvalidClient) => {
            refused(scheme, StatusCode::UNAUTHORIZED, "invalid_client", "the client's id or secret is wrong")
        }
        Err(OperationError::InvalidScope(scope)) => {
            refused(scheme, StatusCode::BAD_REQUEST, "invalid_scope", &format!("the client may not have scope {scope}"))
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no token could be issued");
            refused(scheme, StatusCode::SERVICE_UNAVAILABLE, "server_error", "try again shortly")
        }
    }
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (client, secret) = decoded.split_once(':')?;
    Some((client.to_owned(), secret.to_owned()))
}

fn refused(scheme: &'static str, status: StatusCode, error: &str, description: &str) -> Response {
    let body = TokenErrorBody { error: error.to_owned(), error_description: description.to_owned() };
    let mut response = uncached((status, Json(body)).into_response());
    if status == StatusCode::UNAUTHORIZED {
        // RFC 6749 section 5.2 wants the scheme that the client used. To one that used the form, `Basic` would be an
        // invitation for its browser to ask the user for a password.
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
    }
    response
}

fn uncached(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// The keys that sign access tokens.
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "get_jwks", tag = "Access",
    responses((status = 200, body = Object, description = "A JWK set (RFC 7517).")), security(()))]
pub(crate) async fn jwks(State(app): State<App>) -> Json<Value> {
    Json(app.operations.tokens.jwks())
}

/// What this authorization server can do.
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", operation_id = "get_authorization_server",
    tag = "Access", responses((status = 200, body = Object, description = "Metadata (RFC 8414).")), security(()))]
pub(crate) async fn metadata(State(app): State<App>) -> Json<Value> {
    let issuer = app.operations.tokens.issuer();
    let scopes: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    Json(json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/oauth/token"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "service_documentation": format!("{issuer}/docs"),
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "scopes_supported": scopes,
    }))
}
