//! The OpenAPI document and the page that shows it.

mod complete;
mod examples;

use crate::app::App;
use crate::problem::CODES;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use std::fmt::Write;
use utoipa::OpenApi;
use utoipa::openapi::security::{ClientCredentials, Flow, OAuth2, Scopes, SecurityRequirement, SecurityScheme};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Carrel",
        description = "A self-hosted research archive: documents in, cited answers out.\n\nEvery error is a problem \
                       (RFC 9457) whose `code` stands in the table at /docs/problems. Lists are pages: send \
                       `next_cursor` back as `cursor`. Spans count Unicode code points, from 0, end excluded.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "Access", description = "OAuth 2.0 client credentials and discovery."),
        (name = "Collections", description = "Named sets of documents."),
        (name = "Documents", description = "Documents and uploads."),
        (name = "Versions", description = "Immutable versions, their text and their originals."),
        (name = "Custody", description = "The audit trail, labels and scans, legal holds, erasure with its proof."),
        (name = "Screening", description = "Personal data and credentials: policies, reports, reviews."),
        (name = "Search", description = "Passages by words and by meaning."),
        (name = "Research", description = "Questions in, cited reports out."),
        (name = "Jobs", description = "What runs, why it waits, what failed."),
        (name = "Operation", description = "Health."),
    )
)]
struct Document;

/// The OpenAPI 3.1 document of every route.
pub fn document() -> utoipa::openapi::OpenApi {
    let (quick, uploads, streams) = crate::app::routes();
    let mut document = Document::openapi();
    for routes in [quick, uploads, streams] {
        document.merge(routes.into_openapi());
    }
    let scopes: Vec<(String, String)> = carrel_domain::Scope::ALL
        .iter()
        .map(|scope| (scope.as_str().to_owned(), describe(*scope).to_owned()))
        .collect();
    let flow = Flow::ClientCredentials(ClientCredentials::new("/oauth/token", Scopes::from_iter(scopes)));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("oauth2", SecurityScheme::OAuth2(OAuth2::new([flow])));
    document.security = Some(vec![SecurityRequirement::new("oauth2", Vec::<String>::new())]);
    complete::complete(&mut document);
    document
}

fn describe(scope: carrel_domain::Scope) -> &'static str {
    use carrel_domain::Scope;
    match scope {
        Scope::DocumentsRead => "Read collections, documents, versions, texts and originals.",
        Scope::DocumentsWrite => "Make and delete collections; add and delete documents.",
        Scope::Search => "Search.",
        Scope::Research => "Ask questions and read reports.",
        Scope::JobsRead => "See jobs.",
        Scope::JobsWrite => "Retry and cancel jobs.",
        Scope::AuditRead => "Read the audit trail.",
        Scope::CustodyWrite => "Record custody events by scanning labels.",
        Scope::HoldsWrite => "Place and release legal holds.",
        Scope::DocumentsErase => "Erase documents for good, and get the receipts.",
        Scope::ScreeningPolicy => "Set screening policies; screen again.",
        Scope::ScreeningReview => "Release and reject what screening holds; read veiled originals; look values up.",
    }
}

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/api/openapi.json", get(openapi))
        .route("/docs", get(reference))
        .route("/docs/reference.js", get(script))
        .route("/docs/problems", get(problems))
}

async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}

// The reference page is a bundle of its own, which styles itself inline and compiles its templates.
const POLICY: &str = "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src blob:; \
                      base-uri 'none'; frame-ancestors 'none'";

async fn reference() -> Response {
    let configuration = serde_json::json!({
        "url": "/api/openapi.json",
        "withDefaultFonts": false,
        "telemetry": false,
        "hideClientButton": true,
        "proxyUrl": "",
        "agent": { "disabled": true },
        "mcp": { "disabled": true },
    });
    with_policy(Html(scalar_api_reference::scalar_html(&configuration, Some("/docs/reference.js"))).into_response())
}

async fn script() -> Response {
    let Some(bundle) = scalar_api_reference::get_asset("scalar.js") else {
        return crate::app::unknown_address().into_response();
    };
    let mut response = bundle.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    response
}

/// The table of problem codes, for the `type` of a problem.
async fn problems() -> Response {
    let mut rows = String::new();
    for code in CODES {
        // Writing to a String cannot fail.
        let _ = write!(
            rows,
            "<tr id=\"{0}\"><td><code>{0}</code></td><td>{1}</td><td>{2}</td><td>{3}</td><td>{4}</td></tr>",
            code.code,
            code.status,
            code.title,
            code.advice.replace('&', "&amp;").replace('<', "&lt;"),
            if code.retryable { "yes" } else { "no" },
        );
    }
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Problems · Carrel</title>\
         <h1>Problems</h1><table><thead><tr><th>Code</th><th>Status</th><th>Meaning</th><th>What to do</th>\
         <th>Worth retrying</th></tr></thead><tbody>{rows}</tbody></table></html>"
    );
    with_policy(Html(page).into_response())
}

fn with_policy(mut response: Response) -> Response {
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
