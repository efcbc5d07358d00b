//! The router with its layers and bounds.

use crate::health::Readiness;
use crate::problem::{METHOD_NOT_ALLOWED, NOT_FOUND, Problem, TIMED_OUT};
use crate::{
    access, audit, baselines, collections, custody, documents, erasures, health, jobs, observe, openapi, page,
    research, screening, search, unread, upkeep, versions,
};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use carrel_operations::Operations;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Bounds of HTTP itself.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Bytes of a JSON body.
    pub body_bytes: usize,
    /// Time of a request that is neither an upload nor a download nor a stream of events.
    pub request: Duration,
    /// Time of an upload.
    pub upload: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { body_bytes: 1 << 20, request: Duration::from_secs(30), upload: Duration::from_secs(3_600) }
    }
}

/// Everything that handlers need.
#[derive(Clone)]
pub struct App {
    /// What can be done.
    pub operations: Operations,
    /// Where readiness comes from.
    pub readiness: Arc<dyn Readiness>,
    /// Ids of research runs in which something happened.
    pub run_signals: broadcast::Sender<carrel_domain::RunId>,
    /// The trace context of the request in hand, for its jobs.
    pub traceparent: fn() -> Option<String>,
    /// Makes a request's span the child of the caller's.
    pub adopt_parent: fn(&tracing::Span, Option<&str>),
    /// Bounds.
    pub limits: HttpLimits,
    /// Ends streams of events when the process stops.
    pub shutdown: CancellationToken,
}

/// The documented routes, grouped by how long they may take.
pub(crate) fn routes() -> (OpenApiRouter<App>, OpenApiRouter<App>, OpenApiRouter<App>) {
    let quick = OpenApiRouter::new()
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(access::issue_token))
        .routes(routes!(access::jwks))
        .routes(routes!(access::metadata))
        .routes(routes!(collections::create, collections::list))
        .routes(routes!(collections::get, collections::delete))
        .routes(routes!(documents::get, documents::delete))
        .routes(routes!(documents::list_versions))
        .routes(routes!(upkeep::duplicates))
        .routes(routes!(upkeep::fixity))
        .routes(routes!(upkeep::generations))
        .routes(routes!(versions::get))
        .routes(routes!(versions::text))
        .routes(routes!(versions::diff))
        .routes(routes!(versions::restore))
        .routes(routes!(baselines::create, baselines::list))
        .routes(routes!(baselines::get))
        .routes(routes!(baselines::members))
        .routes(routes!(baselines::changes))
        .routes(routes!(audit::list))
        .routes(routes!(custody::label))
        .routes(routes!(custody::scan))
        .routes(routes!(custody::events))
        .routes(routes!(custody::place, custody::holds))
        .routes(routes!(custody::release))
        .routes(routes!(erasures::erase))
        .routes(routes!(erasures::get))
        .routes(routes!(erasures::receipt))
        .routes(routes!(search::search))
        .routes(routes!(screening::policy, screening::set_policy))
        .routes(routes!(screening::collection_policy, screening::set_collection_policy))
        .routes(routes!(screening::rescreen))
        .routes(routes!(screening::release))
        .routes(routes!(screening::reject))
        .routes(routes!(screening::look_up))
        .routes(routes!(screening::document))
        .routes(routes!(screening::collection))
        .routes(routes!(research::ask, research::list))
        .routes(routes!(research::get))
        .routes(routes!(research::report_markdown))
        .routes(routes!(research::report_json))
        .routes(routes!(research::verify))
        .routes(routes!(research::reproduce))
        .routes(routes!(research::compare))
        .routes(routes!(research::bundle))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::get))
        .routes(routes!(jobs::retry))
        .routes(routes!(jobs::retry_dead))
        .routes(routes!(jobs::cancel));
    let uploads = OpenApiRouter::new().routes(routes!(documents::upload, documents::list));
    let streams = OpenApiRouter::new().routes(routes!(versions::original)).routes(routes!(research::events));
    let streams = streams
        .routes(routes!(screening::document_csv))
        .routes(routes!(screening::document_markdown))
        .routes(routes!(screening::collection_csv))
        .routes(routes!(screening::collection_markdown));
    (quick, uploads, streams)
}

/// The whole application.
pub fn router(app: App) -> Router {
    let (quick, uploads, streams) = routes();
    let quick: Router<App> = quick.into();
    let uploads: Router<App> = uploads.into();
    let streams: Router<App> = streams.into();
    let HttpLimits { body_bytes, request, upload } = app.limits;
    let in_time = |post| middleware::from_fn_with_state(TimeLimits { post, other: request }, in_time);
    let quick = quick.layer(DefaultBodyLimit::max(body_bytes)).layer(in_time(request));
    let uploads = uploads.layer(DefaultBodyLimit::disable()).layer(in_time(upload));
    let header = |name: &'static str, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    let compressible = SizeAbove::new(1024)
        .and(NotForContentType::SSE)
        .and(NotForContentType::const_new("application/octet-stream"))
        .and(NotForContentType::const_new("application/pdf"));
    Router::new()
        .merge(quick)
        .merge(uploads)
        .merge(streams)
        .merge(openapi::router())
        .fallback(page::serve)
        .method_not_allowed_fallback(async || Problem::new(METHOD_NOT_ALLOWED, METHOD_NOT_ALLOWED.title))
        .layer(CompressionLayer::new().compress_when(compressible))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(header("x-content-type-options", "nosniff"))
        .layer(header("referrer-policy", "no-referrer"))
        .layer(header("x-frame-options", "DENY"))
        .layer(header("content-security-policy", "default-src 'none'; frame-ancestors 'none'"))
        .layer(middleware::from_fn(unread::read_on))
        .layer(middleware::from_fn_with_state(app.clone(), observe::observe))
        .with_state(app)
}

/// How long a request may take.
#[derive(Clone, Copy)]
struct TimeLimits {
    post: Duration,
    other: Duration,
}

/// Gives a request up that takes too long. What it has begun is rolled back, because its transaction is dropped with it.
async fn in_time(State(limits): State<TimeLimits>, request: Request, next: Next) -> Response {
    let limit = if request.method() == Method::POST { limits.post } else { limits.other };
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("the request took longer than {} s and was given up", limit.as_secs_f64());
            Problem::new(TIMED_OUT, detail).into_response()
        }
    }
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    // The panic hook has logged the message and the place.
    Problem::new(crate::problem::INTERNAL, "the request met a fault").into_response()
}

/// For API addresses that do not exist.
pub(crate) fn unknown_address() -> Problem {
    Problem::new(NOT_FOUND, "there is no such address; /docs lists them")
}
