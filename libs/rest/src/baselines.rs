//! `/api/v1/baselines`

use crate::app::App;
use crate::convert;
use crate::extract::{Caller, Json, Path, Query};
use crate::idempotency;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use carrel_domain::BaselineId;
use carrel_domain::baseline::{Baseline, Change, Member};
use carrel_operations::NewBaseline;
use carrel_wire::{BaselineBody, ChangeBody, ErasedBody, MemberBody, NewBaselineBody, Page, ProblemBody};
use serde::Deserialize;
use utoipa::IntoParams;

/// Which page of baselines.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct BaselinesQuery {
    /// Only the baseline of this name.
    name: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200.
    #[serde(default = "convert::fifty")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: u32,
}

/// Which page of a baseline's documents.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct MembersQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200.
    #[serde(default = "convert::fifty")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: u32,
}

/// What to compare with.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangesQuery {
    /// The earlier baseline.
    #[param(value_type = Uuid)]
    from: BaselineId,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200.
    #[serde(default = "convert::fifty")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: u32,
}

/// Freeze a baseline.
///
/// Keeps the current version of every chosen document under a name. Searches and research can be pinned to it
/// (`filter.baseline`); the same question then gets the same answer, whatever is added to the archive later.
#[utoipa::path(post, path = "/api/v1/baselines", operation_id = "create_baseline", tag = "Baselines", security(("oauth2" = ["documents:write"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with the same key repeats the reply.")),
    request_body = NewBaselineBody,
    responses(
        (status = 201, body = BaselineBody, description = "The baseline."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`: a collection"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`name_taken`"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid_value`")))]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(context): Caller,
    headers: HeaderMap,
    Json(body): Json<NewBaselineBody>,
) -> Result<Response, Problem> {
    let fields = serde_json::to_vec(&body).unwrap_or_default();
    let key = idempotency::key(&context, &headers, &[b"baselines", &fields])?;
    let new = NewBaseline {
        name: body.name,
        description: body.description,
        collections: body.collections,
        filter: convert::filter(body.filter)?,
    };
    let write = |made: &Baseline| idempotency::reply(StatusCode::CREATED, baseline(made.clone()));
    let answer = app.operations.freeze(&context, &new, idempotency::once(key.as_ref(), &write)).await?;
    Ok(idempotency::send(answer, &write))
}

/// List baselines, oldest first.
///
/// With `name`, the page holds the one baseline of that name, or nothing.
#[utoipa::path(get, path = "/api/v1/baselines", operation_id = "list_baselines", tag = "Baselines", security(("oauth2" = ["documents:read"])),
    params(BaselinesQuery),
    responses((status = 200, body = Page<BaselineBody>, description = "A page.")))]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(context): Caller,
    Query(query): Query<BaselinesQuery>,
) -> Result<axum::Json<Page<BaselineBody>>, Problem> {
    let listing =
        app.operations.list_baselines(&context, query.name.as_deref(), query.cursor.as_deref(), query.limit).await?;
    Ok(axum::Json(convert::page(listing, baseline)))
}

/// See a baseline.
///
/// Its digest covers every member with its digests; two baselines with the same digest hold the same versions.
#[utoipa::path(get, path = "/api/v1/baselines/{id}", operation_id = "get_baseline", tag = "Baselines", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The baseline.")),
    responses(
        (status = 200, body = BaselineBody, description = "The baseline."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<BaselineId>,
) -> Result<axum::Json<BaselineBody>, Problem> {
    Ok(axum::Json(baseline(app.operations.get_baseline(&context, id).await?)))
}

/// List the documents of a baseline, by id.
///
/// Each in the version that was frozen, with its digests. They stay listed when a document is deleted later;
/// one that was erased says when and why.
#[utoipa::path(get, path = "/api/v1/baselines/{id}/documents", operation_id = "list_baseline_documents", tag = "Baselines", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The baseline."), MembersQuery),
    responses(
        (status = 200, body = Page<MemberBody>, description = "A page."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn members(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<BaselineId>,
    Query(query): Query<MembersQuery>,
) -> Result<axum::Json<Page<MemberBody>>, Problem> {
    let listing = app.operations.baseline_members(&context, id, query.cursor.as_deref(), query.limit).await?;
    Ok(axum::Json(convert::page(listing, |(frozen, mark)| {
        let erased =
            mark.map(|mark| Box::new(ErasedBody { erasure_id: mark.erasure, at: mark.at, reason: mark.reason }));
        MemberBody { erased, ..member(frozen) }
    })))
}

/// Compare a baseline with an earlier one.
///
/// Lists what was added, removed and changed since `from`, by document id; equal members are left out.
#[utoipa::path(get, path = "/api/v1/baselines/{id}/changes", operation_id = "compare_baselines", tag = "Baselines", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The later baseline."), ChangesQuery),
    responses(
        (status = 200, body = Page<ChangeBody>, description = "A page."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn changes(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<BaselineId>,
    Query(query): Query<ChangesQuery>,
) -> Result<axum::Json<Page<ChangeBody>>, Problem> {
    let listing =
        app.operations.compare_baselines(&context, query.from, id, query.cursor.as_deref(), query.limit).await?;
    Ok(axum::Json(convert::page(listing, change)))
}

fn baseline(baseline: Baseline) -> BaselineBody {
    BaselineBody {
        id: baseline.id,
        name: baseline.name,
        description: baseline.description,
        digest: baseline.digest.to_string(),
        documents: baseline.documents,
        collections: baseline.collections,
        created_at: baseline.created_at,
    }
}

fn member(member: Member) -> MemberBody {
    MemberBody {
        document_id: member.document_id,
        collection_id: member.collection_id,
        external_id: member.external_id,
        name: member.name,
        version_id: member.version_id,
        number: member.number,
        size: member.size,
        sha256: member.sha256.to_string(),
        blake3: member.blake3.to_string(),
        rendition_sha256: member.rendition_sha256.to_string(),
        erased: None,
    }
}

fn change(change: Change) -> ChangeBody {
    match change {
        Change::Added(after) => ChangeBody::Added { after: member(after) },
        Change::Removed(before) => ChangeBody::Removed { before: member(before) },
        Change::Changed { before, after } => ChangeBody::Changed { before: member(before), after: member(after) },
    }
}
