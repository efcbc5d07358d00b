//! Reports of documents and collections: JSON in pages, CSV and Markdown as streams.

use super::policy_body;
use crate::app::App;
use crate::convert;
use crate::extract::{Caller, Path, Query};
use crate::problem::Problem;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use carrel_domain::{CollectionId, DocumentId, OperationContext};
use carrel_operations::OperationError;
use carrel_operations::screening::DocumentScreening;
use carrel_screening::report::{csv, escaped, markdown};
use carrel_storage::screening::{Finding, ScreenedDocument, Sums};
use carrel_wire::{
    CollectionScreeningBody, DocumentScreeningBody, FindingBody, KindCountBody, ProblemBody, ReviewBody,
    ScreenedDocumentBody,
};
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write;
use utoipa::IntoParams;

/// Rows that a stream reads at a time.
const PART: u32 = 200;
const CSV: &str = "text/csv; charset=utf-8";
const MARKDOWN: &str = "text/markdown; charset=utf-8";

/// Which page of findings.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct FindingsQuery {
    /// Number of the first finding.
    #[serde(default)]
    #[param(default = 0)]
    first: u32,
    /// Findings of a page, 1 to 200.
    #[serde(default = "convert::fifty")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: u32,
}

/// Which page of documents.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScreenedQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200.
    #[serde(default = "convert::fifty")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: u32,
}

/// See what screening found in a document.
///
/// About the newest version: the verdict, counts by kind, a page of findings, the review, and for a data set its profile.
/// No value is shown.
#[utoipa::path(get, path = "/api/v1/documents/{id}/screening", operation_id = "get_document_screening", tag = "Screening", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The document."), FindingsQuery),
    responses(
        (status = 200, body = DocumentScreeningBody, description = "The report."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found` or `not_ready_yet`")))]
pub(crate) async fn document(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<DocumentId>,
    Query(query): Query<FindingsQuery>,
) -> Result<axum::Json<DocumentScreeningBody>, Problem> {
    let found = app.operations.document_screening(&context, id).await?;
    let findings = app.operations.findings(&context, found.version.id, query.first, query.limit).await?;
    Ok(axum::Json(document_body(found, findings, query.limit)))
}

/// Get what screening found in a document, as CSV.
///
/// One line for each finding of the newest version.
#[utoipa::path(get, path = "/api/v1/documents/{id}/screening.csv", operation_id = "get_document_screening_csv", tag = "Screening", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The document.")),
    responses(
        (status = 200, content_type = "text/csv", body = String, description = "The report."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found` or `not_ready_yet`")))]
pub(crate) async fn document_csv(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<DocumentId>,
) -> Result<Response, Problem> {
    let found = app.operations.document_screening(&context, id).await?;
    let header = [
        "version",
        "place",
        "kind",
        "category",
        "severity",
        "action",
        "start",
        "end",
        "confidence",
        "validated",
        "mask",
        "digest",
    ];
    let head = table(&header, Vec::new());
    let version = found.version.id.to_string();
    let parts = findings(app, context, &found).map(move |part| {
        let rows = part?.into_iter().map(|one| finding_row(&version, &one)).collect();
        Ok(table(&[], rows))
    });
    Ok(text(CSV, head, parts, String::new()))
}

/// Get what screening found in a document, in Markdown.
///
/// About the newest version, for people.
#[utoipa::path(get, path = "/api/v1/documents/{id}/screening.md", operation_id = "get_document_screening_markdown", tag = "Screening", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The document.")),
    responses(
        (status = 200, content_type = "text/markdown", body = String, description = "The report."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found` or `not_ready_yet`")))]
pub(crate) async fn document_markdown(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<DocumentId>,
) -> Result<Response, Problem> {
    let found = app.operations.document_screening(&context, id).await?;
    let mut head = format!("# Screening of {}\n\n", escaped(&found.name));
    // Writing to a string cannot fail.
    let _ = writeln!(
        head,
        "Version {} ({}): **{}**, {} findings.\n",
        found.version.number,
        found.version.state.as_str(),
        found.screening.verdict,
        found.screening.findings
    );
    if let Some(review) = review(&found) {
        let shown = review.shown.map(|shown| format!(" ({shown})")).unwrap_or_default();
        let _ = writeln!(head, "Reviewed {}: {}{shown}: {}\n", review.at, review.decision, escaped(&review.reason));
    }
    kinds_markdown(&mut head, &kinds(&found.screening.kinds));
    if found.screening.findings > 0 {
        head.push_str("| kind | place | mask | confidence | action |\n| --- | --- | --- | --- | --- |\n");
    }
    let mut tail = String::from("\n");
    if let Some(profile) = &found.screening.dataset_markdown {
        tail.push_str(&profile.replacen("# Screening of a data set", "## Data set", 1));
    }
    if let Some(problem) = &found.screening.dataset_problem {
        let _ = writeln!(tail, "\nThe data set has no profile: {}\n", escaped(problem));
    }
    if let Some(breaches) = &found.screening.breaches {
        breaches_markdown(&mut tail, breaches);
    }
    let parts = findings(app, context, &found).map(|part| {
        let mut lines = String::new();
        for one in part? {
            let place = format!("{} {}-{}", one.place, one.span.start, one.span.end);
            let cells = [one.kind, place, one.mask, format!("{} %", one.confidence), one.action];
            let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
            let _ = writeln!(lines, "| {} |", cells.join(" | "));
        }
        Ok(lines)
    });
    Ok(text(MARKDOWN, head, parts, tail))
}

/// See what screening found in a collection.
///
/// Sums over the newest versions of all documents, and a page of documents.
#[utoipa::path(get, path = "/api/v1/collections/{id}/screening", operation_id = "get_collection_screening", tag = "Screening", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The collection."), ScreenedQuery),
    responses(
        (status = 200, body = CollectionScreeningBody, description = "The report."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn collection(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<CollectionId>,
    Query(query): Query<ScreenedQuery>,
) -> Result<axum::Json<CollectionScreeningBody>, Problem> {
    let (name, sums) = app.operations.collection_screening(&context, id).await?;
    let page = app.operations.screened_documents(&context, id, query.cursor.as_deref(), query.limit).await?;
    Ok(axum::Json(CollectionScreeningBody {
        collection_id: id,
        name,
        documents: sums.documents,
        verdicts: sums.verdicts.iter().cloned().collect(),
        kinds: sum_bodies(sums),
        items: page.rows.into_iter().map(line_body).collect(),
        next_cursor: page.next,
    }))
}

/// Get what screening found in a collection, as CSV.
///
/// One line for each document and kind.
#[utoipa::path(get, path = "/api/v1/collections/{id}/screening.csv", operation_id = "get_collection_screening_csv", tag = "Screening", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The collection.")),
    responses(
        (status = 200, content_type = "text/csv", body = String, description = "The report."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn collection_csv(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<CollectionId>,
) -> Result<Response, Problem> {
    app.operations.get_collection(&context, id).await?;
    let header = ["document", "name", "state", "verdict", "kind", "category", "action", "count", "validated", "values"];
    let parts = documents(app, context, id).map(|part| {
        let rows = part?.iter().flat_map(document_rows).collect();
        Ok(table(&[], rows))
    });
    Ok(text(CSV, table(&header, Vec::new()), parts, String::new()))
}

/// Get what screening found in a collection, in Markdown.
///
/// Sums, then every document in which something was found.
#[utoipa::path(get, path = "/api/v1/collections/{id}/screening.md", operation_id = "get_collection_screening_markdown", tag = "Screening", security(("oauth2" = ["documents:read"])),
    params(("id" = Uuid, Path, description = "The collection.")),
    responses(
        (status = 200, content_type = "text/markdown", body = String, description = "The report."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`not_found`")))]
pub(crate) async fn collection_markdown(
    State(app): State<App>,
    Caller(context): Caller,
    Path(id): Path<CollectionId>,
) -> Result<Response, Problem> {
    let (name, sums) = app.operations.collection_screening(&context, id).await?;
    let mut head = format!("# Screening of the collection {}\n\n", escaped(&name));
    let screened: u64 = sums.verdicts.iter().map(|(_, documents)| documents).sum();
    let mut verdicts: Vec<String> =
        sums.verdicts.iter().map(|(verdict, documents)| format!("{documents} {verdict}")).collect();
    if sums.documents > screened {
        verdicts.push(format!("{} not screened", sums.documents - screened));
    }
    let _ = writeln!(head, "{} documents: {}.\n", sums.documents, verdicts.join(", "));
    kinds_markdown(&mut head, &sum_bodies(sums));
    head.push_str("| document | state | verdict | findings |\n| --- | --- | --- | --- |\n");
    let parts = documents(app, context, id).map(|part| {
        let mut lines = String::new();
        for one in part?.into_iter().filter(|one| one.findings > 0) {
            let verdict = one.verdict.unwrap_or_default();
            let _ = writeln!(lines, "| {} | {} | {verdict} | {} |", escaped(&one.name), one.state, one.findings);
        }
        Ok(lines)
    });
    Ok(text(MARKDOWN, head, parts, String::new()))
}

/// A text whose parts are read as the client takes them. A fault in the middle breaks the connection, so that no half
/// report looks whole.
fn text(
    media_type: &'static str,
    head: String,
    parts: impl Stream<Item = Result<String, OperationError>> + Send + 'static,
    tail: String,
) -> Response {
    let whole = stream::once(async { Ok(head) }).chain(parts).chain(stream::once(async { Ok(tail) }));
    let whole = whole.map(|part| {
        part.map(Bytes::from).inspect_err(|error| {
            tracing::warn!(error = error as &dyn std::error::Error, "a screening report broke off");
        })
    });
    ([(CONTENT_TYPE, media_type)], Body::from_stream(whole)).into_response()
}

fn findings(
    app: App,
    context: OperationContext,
    found: &DocumentScreening,
) -> impl Stream<Item = Result<Vec<Finding>, OperationError>> + use<> {
    let version = found.version.id;
    stream::try_unfold((app, context, Some(0)), move |(app, context, first)| async move {
        let Some(first) = first else { return Ok(None) };
        let part = app.operations.findings(&context, version, first, PART).await?;
        let next = part.last().filter(|_| part.len() == PART as usize).map(|last| last.ordinal + 1);
        Ok(Some((part, (app, context, next))))
    })
}

fn documents(
    app: App,
    context: OperationContext,
    id: CollectionId,
) -> impl Stream<Item = Result<Vec<ScreenedDocument>, OperationError>> {
    stream::try_unfold((app, context, Some(None::<String>)), move |(app, context, cursor)| async move {
        let Some(cursor) = cursor else { return Ok(None) };
        let page = app.operations.screened_documents(&context, id, cursor.as_deref(), PART).await?;
        Ok(Some((page.rows, (app, context, page.next.map(Some)))))
    })
}

fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    // Strings in memory cannot fail to be written.
    csv(header, rows).unwrap_or_default()
}

fn finding_row(version: &str, one: &Finding) -> Vec<String> {
    vec![
        version.to_owned(),
        one.place.clone(),
        one.kind.clone(),
        one.category.clone(),
        one.severity.clone(),
        one.action.clone(),
        one.span.start.to_string(),
        one.span.end.to_string(),
        one.confidence.to_string(),
        one.validated.to_string(),
        one.mask.clone(),
        one.digest.map(|digest| digest.to_string()).unwrap_or_default(),
    ]
}

fn document_rows(one: &ScreenedDocument) -> Vec<Vec<String>> {
    let verdict = one.verdict.clone().unwrap_or_default();
    let line = |rest: [String; 6]| {
        let mut row = vec![one.document.to_string(), one.name.clone(), one.state.clone(), verdict.clone()];
        row.extend(rest);
        row
    };
    let found = kinds(&one.kinds);
    if found.is_empty() {
        let none = String::new;
        return vec![line([none(), none(), none(), "0".to_owned(), "0".to_owned(), "0".to_owned()])];
    }
    let rows = found.into_iter().map(|kind| {
        let numbers = [kind.count, kind.validated, kind.values].map(|number| number.to_string());
        let [count, validated, values] = numbers;
        line([kind.kind, kind.category, kind.action, count, validated, values])
    });
    rows.collect()
}

fn kinds_markdown(out: &mut String, kinds: &[KindCountBody]) {
    let rows = kinds.iter().map(|kind| {
        let numbers = [kind.count, kind.values, kind.validated].map(|number| number.to_string());
        let [count, values, validated] = numbers;
        vec![kind.kind.clone(), kind.category.clone(), kind.action.clone(), count, values, validated]
    });
    markdown(out, &["kind", "category", "action", "found", "different values", "validated"], rows);
}

fn breaches_markdown(out: &mut String, breaches: &Value) {
    out.push_str("\n## Breaches\n\n");
    for what in ["passwords", "accounts"] {
        let number = |name: &str| breaches[format!("{what}_{name}")].as_u64().unwrap_or(0);
        let _ = writeln!(out, "- {what}: {} looked up, {} breached", number("asked"), number("breached"));
        if let Some(reason) = breaches[format!("{what}_unavailable")].as_str() {
            let _ = writeln!(out, "- {what}: the service gave no further answer ({reason})");
        }
    }
    for (name, count) in breaches["breaches"].as_object().into_iter().flatten() {
        let _ = writeln!(out, "- {}: {count} accounts", escaped(name));
    }
}

fn kinds(stored: &Value) -> Vec<KindCountBody> {
    serde_json::from_value(stored.clone()).unwrap_or_default()
}

fn sum_bodies(sums: Sums) -> Vec<KindCountBody> {
    let bodies = sums.kinds.into_iter().map(|kind| KindCountBody {
        kind: kind.kind,
        category: kind.category,
        severity: kind.severity,
        action: kind.action,
        count: kind.count,
        validated: kind.validated,
        values: kind.values,
    });
    bodies.collect()
}

fn line_body(one: ScreenedDocument) -> ScreenedDocumentBody {
    ScreenedDocumentBody {
        document_id: one.document,
        version_id: one.version,
        name: one.name,
        state: one.state,
        verdict: one.verdict,
        findings: one.findings,
        kinds: kinds(&one.kinds),
    }
}

fn review(found: &DocumentScreening) -> Option<ReviewBody> {
    let stored = &found.screening;
    Some(ReviewBody {
        decision: stored.review.clone()?,
        shown: stored.review_as.clone(),
        reason: stored.review_reason.clone()?,
        at: stored.reviewed_at?,
    })
}

fn document_body(found: DocumentScreening, findings: Vec<Finding>, limit: u32) -> DocumentScreeningBody {
    let next_first = findings.last().filter(|_| findings.len() == limit as usize).map(|last| last.ordinal + 1);
    let review = review(&found);
    let DocumentScreening { version, name, screening } = found;
    DocumentScreeningBody {
        document_id: version.document,
        version_id: version.id,
        name,
        state: version.state.as_str().to_owned(),
        verdict: screening.verdict,
        screened_at: screening.screened_at,
        policy: policy_body(&screening.policy),
        kinds: kinds(&screening.kinds),
        total: screening.findings.unsigned_abs(),
        findings: findings.into_iter().map(finding_body).collect(),
        next_first,
        review,
        dataset: screening.dataset,
        dataset_problem: screening.dataset_problem,
        breaches: screening.breaches,
    }
}

fn finding_body(one: Finding) -> FindingBody {
    FindingBody {
        ordinal: one.ordinal,
        place: one.place,
        kind: one.kind,
        category: one.category,
        severity: one.severity,
        action: one.action,
        confidence: one.confidence,
        validated: one.validated,
        span: one.span.into(),
        mask: one.mask,
        digest: one.digest.map(|digest| digest.to_string()),
    }
}
