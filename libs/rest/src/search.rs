//! `/api/v1/search`

use crate::app::App;
use crate::convert;
use crate::extract::{Caller, Json};
use crate::problem::Problem;
use axum::extract::State;
use carrel_operations::SearchRequest;
use carrel_wire::{ProblemBody, SearchAnswerBody, SearchBody};

/// Search.
///
/// Hits are passages of the current versions. `hybrid` ranks by words (BM25) and by meaning (vectors) together.
#[utoipa::path(post, path = "/api/v1/search", operation_id = "search", tag = "Search", security(("oauth2" = ["search"])),
    request_body = SearchBody,
    responses(
        (status = 200, body = SearchAnswerBody, description = "What was found, best first."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`: a collection"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid_value`"),
        (status = 503, body = ProblemBody, content_type = "application/problem+json", description = "`model_unavailable` or `space_mismatch`; `lexical` works")))]
pub(crate) async fn search(
    State(app): State<App>,
    Caller(context): Caller,
    Json(body): Json<SearchBody>,
) -> Result<axum::Json<SearchAnswerBody>, Problem> {
    let request = SearchRequest {
        query: body.query,
        mode: convert::mode(body.mode),
        collections: body.collections,
        filter: convert::filter(body.filter)?,
        limit: body.limit,
    };
    let answer = app.operations.search(&context, &request).await?;
    Ok(axum::Json(convert::search_answer(answer)))
}
