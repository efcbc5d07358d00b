//! `/api/v1/fixity`, `/api/v1/documents/{id}/duplicates` and `/api/v1/index/generations`

use crate::app::App;
use crate::convert;
use crate::extract::{Caller, Path, Query};
use crate::problem::Problem;
use axum::extract::State;
use carrel_domain::DocumentId;
use carrel_domain::archive::Fixity;
use carrel_operations::{Duplicate, GenerationView};
use carrel_storage::fixity::Damage;
use carrel_wire::{DamageBody, DuplicateBody, FixityBody, FixityReportBody, GenerationBody, ProblemBody};
use serde::Deserialize;
use utoipa::IntoParams;

/// Which page of damaged originals.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct FixityQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200.
    #[serde(default = "convert::fifty")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: u32,
}

/// Which duplicates.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DuplicatesQuery {
    /// Least similarity of the words, 0.3 to 1.
    #[serde(default = "usual")]
    #[param(minimum = 0.3, maximum = 1.0, default = 0.7)]
    least: f32,
}

fn usual() -> f32 {
    0.7
}

/// See whether the originals are sound.
///
/// A job reads every original again, each once in a period, and compares its digests. The list holds those that are damaged
/// or missing, the longest so first; adding the same file again heals one.
#[utoipa::path(get, path = "/api/v1/fixity", operation_id = "get_fixity", tag = "Documents", security(("oauth2" = ["documents:read"])),
    params(FixityQuery),
    responses((status = 200, body = FixityReportBody, description = "Counts, and a page of what is not sound.")))]
pub(crate) async fn fixity(
    State(app): State<App>,
    Caller(context): Caller,
    Query(query): Query<FixityQuery>,
) -> Result<axum::Json<FixityReportBody>, Problem> {
    let report = app.operations.get_fixity(&context, query.cursor.as_deref(), query.limit).await?;
    Ok(axum::Json(FixityReportBody {
        originals: report.summary.originals,
        checked: report.summary.checked,
        damaged: report.summary.damaged,
        missing: report.summary.missing,
        oldest_check: report.summary.oldest,
        items: report.damaged.rows.into_iter().map(damage).collect(),
        next_cursor: report.damaged.next,
    }))
}

/// List the documents that are like a document.
///
/// The same bytes, nearly the same words, or nearly the same meaning, in every collection of the workspace; at most 200.
/// Nothing is ever left out of a search because of it.
#[utoipa::path(get, path = "/api/v1/documents/{id}/duplicates", operation_id = "list_duplicates", tag = "Documents", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The document."), DuplicatesQuery),
    responses(
        (status = 200, body = Vec<DuplicateBody>, description = "Exact ones first, then the most alike."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid_value`")))]
pub(crate) async fn duplicates(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<DocumentId>,
    Query(query): Query<DuplicatesQuery>,
) -> Result<axum::Json<Vec<DuplicateBody>>, Problem> {
    let found = app.operations.list_duplicates(&context, id, query.least).await?;
    Ok(axum::Json(found.into_iter().map(duplicate).collect()))
}

/// List the index generations.
///
/// One is live and answers. While the embedding model is changed, a second one is filled beside it; `vectors` of `wanted`
/// says how far that is.
#[utoipa::path(get, path = "/api/v1/index/generations", operation_id = "list_generations", tag = "Jobs", security(("oauth2" = ["jobs:read"])),
    responses((status = 200, body = Vec<GenerationBody>, description = "By number.")))]
pub(crate) async fn generations(
    State(app): State<App>,
    Caller(context): Caller,
) -> Result<axum::Json<Vec<GenerationBody>>, Problem> {
    let views = app.operations.list_generations(&context).await?;
    Ok(axum::Json(views.into_iter().map(generation).collect()))
}

pub(crate) fn fixity_body(fixity: Fixity) -> FixityBody {
    FixityBody {
        verdict: fixity.verdict.as_str().to_owned(),
        problem: fixity.problem,
        checked_at: fixity.checked_at,
        damaged_since: fixity.damaged_since,
    }
}

fn damage(damage: Damage) -> DamageBody {
    DamageBody {
        sha256: damage.sha256.to_string(),
        size: damage.size,
        fixity: fixity_body(damage.fixity),
        versions: damage.versions,
    }
}

pub(crate) fn duplicate(duplicate: Duplicate) -> DuplicateBody {
    DuplicateBody {
        kind: duplicate.kind.as_str().to_owned(),
        document_id: duplicate.alike.document,
        collection_id: duplicate.alike.collection,
        name: duplicate.alike.name,
        external_id: duplicate.alike.external_id,
        version_id: duplicate.alike.version,
        similarity: duplicate.similarity,
        closeness: duplicate.closeness,
    }
}

fn generation(view: GenerationView) -> GenerationBody {
    GenerationBody {
        number: u32::from(view.row.generation.no.unsigned_abs()),
        space: view.row.generation.space,
        dimension: view.row.generation.dimension as u64,
        state: view.row.state.as_str().to_owned(),
        created_at: view.row.created_at,
        live_since: view.row.live_since,
        vectors: view.vectors,
        wanted: view.wanted,
    }
}
