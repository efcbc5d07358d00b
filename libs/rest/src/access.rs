//! The token endpoint and discovery (RFC 6749, RFC 7517, RFC 8414).

use crate::app::App;
use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use carrel_domain::Scope;
use carrel_operations::OperationError;
use carrel_wire::{TokenBody, TokenErrorBody};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The form of a token request; [`TokenRequest`] reads it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
pub(crate) struct TokenForm {
    /// `client_credentials`.
    #[schema(example = "client_credentials")]
    grant_type: String,
    /// The client, unless it comes by HTTP Basic.
    client_id: Option<String>,
    /// Its secret, unless it comes by HTTP Basic.
    client_secret: Option<String>,
    /// Fewer scopes than the client has, separated by spaces.
    #[schema(example = "documents:read search")]
    scope: Option<String>,
}

/// Get an access token.
///
/// The client-credentials grant (RFC 6749 section 4.4). The client shows its id and secret in the form or by HTTP Basic,
/// not in both. Errors are those of RFC 6749 section 5.2.
#[utoipa::path(post, path = "/oauth/token", operation_id = "issue_token", tag = "Access",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, body = TokenBody, description = "A token."),
        (status = 400, body = TokenErrorBody, description = "`invalid_request`, `invalid_scope` or `unsupported_grant_type`"),
        (status = 401, body = TokenErrorBody, description = "`invalid_client`: the client or its secret is wrong."),
        (status = 503, body = TokenErrorBody, description = "`server_error`: the database does not answer.")),
    security(()))]
pub(crate) async fn issue_token(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let request = match TokenRequest::read(query.as_deref(), &headers, body) {
        Ok(request) => request,
        Err(refusal) => return refusal.into_response(),
    };
    let scheme = request.scheme;
    match app.operations.issue_token(&request.client, &request.secret, request.scope.as_deref()).await {
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
            Refusal::client(scheme, "the client's id or secret is wrong").into_response()
        }
        Err(OperationError::InvalidScope(scope)) => {
            Refusal::request("invalid_scope", &format!("the client may not have scope {scope}")).into_response()
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no token could be issued");
            let mut refusal = Refusal::request("server_error", "try again shortly");
            refusal.status = StatusCode::SERVICE_UNAVAILABLE;
            refusal.into_response()
        }
    }
}

const BASIC: &str = r#"Basic realm="carrel", charset="UTF-8""#;
const BEARER: &str = r#"Bearer realm="carrel""#;

/// A token request as RFC 6749 has it: every parameter once and in the body (section 3.2), one way to show the client
/// (section 2.3).
#[derive(Debug)]
struct TokenRequest {
    client: String,
    secret: String,
    scope: Option<String>,
    /// What to challenge with. RFC 6749 section 5.2 wants the scheme that the client used. To one that used the form,
    /// `Basic` would be an invitation for its browser to ask the user for a password.
    scheme: &'static str,
}

impl TokenRequest {
    fn read(query: Option<&str>, headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Self, Refusal> {
        let wrong = |description| Refusal::request("invalid_request", description);
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(wrong("send a form (application/x-www-form-urlencoded) with grant_type=client_credentials"));
        }
        // A secret in an address ends in somebody's log.
        if query.is_some_and(|query| !query.is_empty()) {
            return Err(wrong("the parameters belong into the body, not into the address"));
        }
        let body = body.map_err(|_| wrong("the body cannot be read or is too large"))?;
        let mut known: [(&str, Option<String>); 4] =
            [("grant_type", None), ("client_id", None), ("client_secret", None), ("scope", None)];
        for (name, value) in form_urlencoded::parse(&body) {
            // What is unknown is ignored, what is empty counts as left out (section 3.2).
            let Some((_, place)) = known.iter_mut().find(|(known, _)| *known == name) else { continue };
            if value.is_empty() {
                continue;
            }
            if place.replace(value.into_owned()).is_some() {
                return Err(wrong("a parameter occurs more than once"));
            }
        }
        let [grant_type, form_client, form_secret, scope] = known.map(|(_, value)| value);
        let grant_type = grant_type.ok_or_else(|| wrong("grant_type is missing"))?;
        let (client, secret, scheme) = Self::credentials(headers, form_client, form_secret)?;
        if grant_type != "client_credentials" {
            return Err(Refusal::request("unsupported_grant_type", "the only grant is client_credentials"));
        }
        Ok(Self { client, secret, scope, scheme })
    }

    fn credentials(
        headers: &HeaderMap,
        form_client: Option<String>,
        form_secret: Option<String>,
    ) -> Result<(String, String, &'static str), Refusal> {
        let mut sent = headers.get_all(AUTHORIZATION).iter();
        let Some(header) = sent.next() else {
            let both = form_client.zip(form_secret);
            let (client, secret) =
                both.ok_or_else(|| Refusal::client(BEARER, "the client's id and secret are missing"))?;
            return Ok((client, secret, BEARER));
        };
        if form_secret.is_some() || sent.next().is_some() {
            let description = "the client shows itself in more than one way: use HTTP Basic or the form";
            return Err(Refusal::request("invalid_request", description));
        }
        let (client, secret) = basic(header)
            .ok_or_else(|| Refusal::client(BASIC, "the Authorization header holds no HTTP Basic credentials"))?;
        // Naming itself once more is harmless; naming another is not.
        if form_client.is_some_and(|named| named != client) {
            return Err(Refusal::request("invalid_request", "client_id and the Authorization header differ"));
        }
        Ok((client, secret, BASIC))
    }
}

/// HTTP Basic credentials, each part of which is form-encoded before (RFC 6749 section 2.3.1).
fn basic(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (client, secret) = decoded.split_once(':')?;
    Some((form_decoded(client), form_decoded(secret)))
}

fn form_decoded(text: &str) -> String {
    // Without `=` the whole text is a name. One that has `=` or `&` was not encoded.
    if text.contains(['=', '&']) {
        return text.to_owned();
    }
    form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

/// Why no token was issued (RFC 6749 section 5.2).
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    error: &'static str,
    description: String,
    challenge: Option<&'static str>,
}

impl Refusal {
    fn request(error: &'static str, description: &str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, description: description.to_owned(), challenge: None }
    }

    fn client(challenge: &'static str, description: &str) -> Self {
        let mut refusal = Self::request("invalid_client", description);
        refusal.status = StatusCode::UNAUTHORIZED;
        refusal.challenge = Some(challenge);
        refusal
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // The characters that the standard allows; a scope that was asked for may hold others.
        let allowed = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
        let error_description = self.description.chars().filter(allowed).take(200).collect();
        let body = TokenErrorBody { error: self.error.to_owned(), error_description };
        let mut response = uncached((self.status, Json(body)).into_response());
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

fn uncached(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// The keys that sign access tokens.
///
/// A JWK set (RFC 7517) with the public key of ES256, for services that check tokens themselves.
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "get_jwks", tag = "Access",
    responses((status = 200, body = Object, description = "A JWK set (RFC 7517).")), security(()))]
pub(crate) async fn jwks(State(app): State<App>) -> Json<Value> {
    Json(app.operations.tokens.jwks())
}

/// What this authorization server can do.
///
/// The metadata of RFC 8414: addresses, grants and scopes.
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
