//! `/api/v1/audit`

use crate::app::App;
use crate::convert;
use crate::extract::{Caller, Query};
use crate::problem::Problem;
use axum::extract::State;
use carrel_domain::digest::Digest;
use carrel_storage::audit::{AuditFilter, AuditRow};
use carrel_wire::{AuditEntryBody, Page};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// Only entries about this: a document, a version, a collection, a run, a job, a hold.
    subject: Option<Uuid>,
    /// Only entries of this client or job.
    actor: Option<Uuid>,
    /// Only entries of this operation, for example `get_original`.
    action: Option<String>,
    /// Only entries from this time on.
    from: Option<DateTime<Utc>>,
    /// Only entries before this time.
    before: Option<DateTime<Utc>>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200.
    #[serde(default = "convert::fifty")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: u32,
}

/// Read the audit trail, newest entries first.
///
/// Every change and every access to an original, with its place in the chain. `carrel admin audit verify` checks the chain.
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "list_audit", tag = "Custody", security(("oauth2" = ["audit:read"])),
    params(AuditQuery),
    responses((status = 200, body = Page<AuditEntryBody>, description = "A page.")))]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(context): Caller,
    Query(query): Query<AuditQuery>,
) -> Result<axum::Json<Page<AuditEntryBody>>, Problem> {
    let filter = AuditFilter {
        subject: query.subject,
        actor: query.actor,
        action: query.action,
        from: query.from,
        before: query.before,
    };
    let listing = app.operations.list_audit(&context, &filter, query.cursor.as_deref(), query.limit).await?;
    Ok(axum::Json(convert::page(listing, entry)))
}

fn entry(row: AuditRow) -> AuditEntryBody {
    let digest = row.digest.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    AuditEntryBody {
        seq: row.seq,
        at: row.at,
        actor: row.actor,
        action: row.action,
        subject: row.subject,
        request_id: row.request,
        details: row.details,
        position: row.position,
        seal: row.seal,
        digest: digest.map(|bytes| Digest(bytes).to_string()),
    }
}
