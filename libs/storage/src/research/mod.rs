//! Research runs, their evidence, claims, citations and events.

mod evidence;
mod signals;

pub use evidence::{EvidenceRow, Read, evidence, insert_evidence, read_in_all};
pub use signals::RunSignals;

use crate::page::{After, Page};
use crate::{StorageError, Transaction};
use carrel_domain::research::{Citation, Claim, Run, RunEvent, RunState, Searched, Step};
use carrel_domain::search::Filter;
use carrel_domain::{Actor, CitationId, ClaimId, CollectionId, DocumentId, JobId, RunId, Span, StepId, VersionId};
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

/// Stores a new run in state `planning`.
pub async fn insert_run(transaction: &mut Transaction, run: &Run, by: &Actor) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    let collections: Vec<Uuid> = run.collections.iter().map(|id| id.0).collect();
    sqlx::query!(
        "insert into carrel.research_run
             (id, workspace_id, question, collections, filter, state, engine, job_id, created_at, created_by)
         values ($1, $2, $3, $4, $5, 'planning', $6, $7, $8, $9)",
        run.id.0,
        workspace.0,
        run.question,
        &collections,
        as_json(&run.filter, "research_run", "filter", run.id.0)?,
        run.engine,
        run.job.0,
        run.created_at,
        crate::access::actor_value(by)
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

struct RunRow {
    id: Uuid,
    question: String,
    collections: Vec<Uuid>,
    filter: Value,
    state: String,
    failure_code: Option<String>,
    failure_message: Option<String>,
    engine: String,
    job_id: Uuid,
    searched: Value,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<RunRow> for Run {
    type Error = StorageError;

    fn try_from(row: RunRow) -> Result<Self, StorageError> {
        let state = match row.state.as_str() {
            "planning" => RunState::Planning,
            "gathering" => RunState::Gathering,
            "writing" => RunState::Writing,
            "completed" => RunState::Completed,
            "abstained" => RunState::Abstained,
            "cancelled" => RunState::Cancelled,
            "failed" => RunState::Failed {
                code: row.failure_code.unwrap_or_default(),
                message: row.failure_message.unwrap_or_default(),
            },
            other => return Err(inconsistent("research_run", "state", row.id, format!("unknown state {other}"))),
        };
        Ok(Self {
            id: RunId(row.id),
            question: row.question,
            collections: row.collections.into_iter().map(CollectionId).collect(),
            filter: from_json::<Filter>(row.filter, "research_run", "filter", row.id)?,
            state,
            engine: row.engine,
            job: JobId(row.job_id),
            searched: from_json::<Searched>(row.searched, "research_run", "searched", row.id)?,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

/// One run.
pub async fn run(transaction: &mut Transaction, id: RunId) -> Result<Option<Run>, StorageError> {
    let row = sqlx::query_as!(
        RunRow,
        "select id, question, collections, filter, state, failure_code, failure_message, engine, job_id, searched,
                created_at, finished_at
         from carrel.research_run
         where id = $1",
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.map(Run::try_from).transpose()
}

/// Runs, newest first.
pub async fn list(transaction: &mut Transaction, after: Option<After>, limit: u32) -> Result<Page<Run>, StorageError> {
    let rows = sqlx::query_as!(
        RunRow,
        "select id, question, collections, filter, state, failure_code, failure_message, engine, job_id, searched,
                created_at, finished_at
         from carrel.research_run
         where $1::timestamptz is null or (created_at, id) < ($1, $2)
         order by created_at desc, id desc
         limit $3",
        after.map(|after| after.at),
        after.map(|after| after.id),
        i64::from(limit) + 1
    )
    .fetch_all(transaction.connection())
    .await?;
    let rows = rows.into_iter().map(Run::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::cut(rows, limit, |run| After { at: run.created_at, id: run.id.0 }))
}

/// Moves a run on, unless it has ended for good; answers whether it moved. A failed run moves again when its job is replayed.
pub async fn set_state(
    transaction: &mut Transaction,
    id: RunId,
    state: &RunState,
    now: DateTime<Utc>,
) -> Result<bool, StorageError> {
    let (code, message) = match state {
        RunState::Failed { code, message } => (Some(code.as_str()), Some(message.as_str())),
        _ => (None, None),
    };
    let done = sqlx::query!(
        "update carrel.research_run
         set state = $2, failure_code = $3, failure_message = $4, finished_at = $5
         where id = $1 and state in ('planning', 'gathering', 'writing', 'failed')",
        id.0,
        state.as_str(),
        code,
        message,
        state.is_final().then_some(now)
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Records what was searched.
pub async fn set_searched(transaction: &mut Transaction, id: RunId, searched: &Searched) -> Result<(), StorageError> {
    sqlx::query!(
        "update carrel.research_run set searched = $2 where id = $1",
        id.0,
        as_json(searched, "research_run", "searched", id.0)?
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Stores the plan.
pub async fn insert_steps(transaction: &mut Transaction, run: RunId, steps: &[Step]) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    let ids: Vec<Uuid> = steps.iter().map(|step| step.id.0).collect();
    let ordinals: Vec<i32> = steps.iter().map(|step| step.ordinal.cast_signed()).collect();
    let questions: Vec<&str> = steps.iter().map(|step| step.question.as_str()).collect();
    sqlx::query!(
        "insert into carrel.research_step (id, workspace_id, run_id, ordinal, question, state)
         select s.id, $1, $2, s.ordinal, s.question, 'pending'
         from unnest($3::uuid[], $4::int[], $5::text[]) as s (id, ordinal, question)",
        workspace.0,
        run.0,
        &ids,
        &ordinals,
        &questions as &[&str]
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// The plan in order.
pub async fn steps(transaction: &mut Transaction, run: RunId) -> Result<Vec<Step>, StorageError> {
    let rows = sqlx::query!(
        "select id, ordinal, question, state from carrel.research_step where run_id = $1 order by ordinal",
        run.0
    )
    .fetch_all(transaction.connection())
    .await?;
    let steps = rows.into_iter().map(|row| Step {
        id: StepId(row.id),
        ordinal: row.ordinal.unsigned_abs(),
        question: row.question,
        completed: row.state == "completed",
    });
    Ok(steps.collect())
}

/// Stores the report's claims with their citations. The schema refuses a quote that does not stand at its span
/// (`citation_quote_verified`).
pub async fn insert_claims(transaction: &mut Transaction, run: RunId, claims: &[Claim]) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    for claim in claims {
        sqlx::query!(
            "insert into carrel.research_claim (id, workspace_id, run_id, step_id, ordinal, text, score)
             values ($1, $2, $3, $4, $5, $6, $7)",
            claim.id.0,
            workspace.0,
            run.0,
            claim.step.0,
            claim.ordinal.cast_signed(),
            claim.text,
            claim.score
        )
        .execute(transaction.connection())
        .await?;
        for citation in &claim.citations {
            sqlx::query!(
                "insert into carrel.research_citation
                     (id, workspace_id, run_id, claim_id, ordinal, document_id, version_id, document_name, version_number,
                      span_start, span_end, page, quote, prefix, suffix)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
                citation.id.0,
                workspace.0,
                run.0,
                claim.id.0,
                citation.number.cast_signed(),
                citation.document.0,
                citation.version.0,
                citation.document_name,
                citation.version_number.cast_signed(),
                citation.span.start.cast_signed(),
                citation.span.end.cast_signed(),
                citation.page.map(u32::cast_signed),
                citation.quote,
                citation.prefix,
                citation.suffix
            )
            .execute(transaction.connection())
            .await?;
        }
    }
    Ok(())
}

/// The claims of a run with their citations, in the report's order.
pub async fn claims(transaction: &mut Transaction, run: RunId) -> Result<Vec<Claim>, StorageError> {
    let rows = sqlx::query!(
        "select id, step_id, ordinal, text, score from carrel.research_claim where run_id = $1 order by ordinal",
        run.0
    )
    .fetch_all(transaction.connection())
    .await?;
    let citations = sqlx::query!(
        "select id, claim_id, ordinal, document_id, version_id, document_name, version_number, span_start, span_end, page,
                quote, prefix, suffix
         from carrel.research_citation
         where run_id = $1
         order by ordinal",
        run.0
    )
    .fetch_all(transaction.connection())
    .await?;
    let mut claims: Vec<Claim> = rows
        .into_iter()
        .map(|row| Claim {
            id: ClaimId(row.id),
            step: StepId(row.step_id),
            ordinal: row.ordinal.unsigned_abs(),
            text: row.text,
            score: row.score,
            citations: Vec::new(),
        })
        .collect();
    for row in citations {
        let Some(claim) = claims.iter_mut().find(|claim| claim.id.0 == row.claim_id) else { continue };
        claim.citations.push(Citation {
            id: CitationId(row.id),
            number: row.ordinal.unsigned_abs(),
            document: DocumentId(row.document_id),
            document_name: row.document_name,
            version: VersionId(row.version_id),
            version_number: row.version_number.unsigned_abs(),
            span: Span { start: row.span_start.unsigned_abs(), end: row.span_end.unsigned_abs() },
            page: row.page.map(i32::unsigned_abs),
            quote: row.quote,
            prefix: row.prefix,
            suffix: row.suffix,
        });
    }
    Ok(claims)
}

/// Numbers of a run's citations whose document has a newer version that answers, or is gone.
pub async fn outdated(transaction: &mut Transaction, run: RunId) -> Result<Vec<u32>, StorageError> {
    let numbers = sqlx::query_scalar!(
        "select c.ordinal
         from carrel.research_citation c
         left join (carrel.document d join carrel.collection l on l.id = d.collection_id) on d.id = c.document_id
         where c.run_id = $1 and d.current_version_id is distinct from c.version_id
         order by c.ordinal",
        run.0
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(numbers.into_iter().map(i32::unsigned_abs).collect())
}

/// Tells watchers that something happened; heard when the transaction commits.
pub async fn announce(
    transaction: &mut Transaction,
    run: RunId,
    kind: &str,
    payload: Value,
) -> Result<(), StorageError> {
    // Numbers are given before the commit. Whoever has seen a number must never miss a smaller one that is committed
    // later, so events of a run wait for each other.
    sqlx::query!("select 1 as locked from carrel.research_run where id = $1 for no key update", run.0)
        .fetch_optional(transaction.connection())
        .await?;
    let workspace = transaction.workspace();
    sqlx::query!(
        "insert into carrel.research_event (workspace_id, run_id, kind, payload) values ($1, $2, $3, $4)",
        workspace.0,
        run.0,
        kind,
        payload
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Events after `seq`, oldest first, at most 200.
pub async fn events(transaction: &mut Transaction, run: RunId, seq: i64) -> Result<Vec<RunEvent>, StorageError> {
    let rows = sqlx::query_as!(
        RunEvent,
        "select seq, at, kind, payload from carrel.research_event where run_id = $1 and seq > $2 order by seq limit 200",
        run.0,
        seq
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows)
}

/// Documents that search answers from in the given collections (all of them when none is given): those of the baseline or
/// the time that `filter` names, else those with a current version.
pub async fn searchable_documents(
    transaction: &mut Transaction,
    collections: &[CollectionId],
    filter: &Filter,
) -> Result<u64, StorageError> {
    let ids: Vec<Uuid> = collections.iter().map(|id| id.0).collect();
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from carrel.document d
           where (cardinality($1::uuid[]) = 0 or d.collection_id = any($1))
             and case
                 when $2::uuid is not null then exists (
                     select from carrel.baseline_member m where m.baseline_id = $2 and m.document_id = d.id)
                 when $3::timestamptz is not null then exists (
                     select from carrel.document_version v where v.document_id = d.id and v.searchable_at <= $3)
                 else d.current_version_id is not null end"#,
        &ids,
        filter.baseline.map(|id| id.0),
        filter.as_of
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(count.unsigned_abs())
}

/// Citations of a run whose quote no longer stands where it stood: none, unless somebody changed the database by hand.
/// Citations of deleted documents are counted apart.
pub async fn verify(transaction: &mut Transaction, run: RunId) -> Result<Verification, StorageError> {
    let row = sqlx::query!(
        r#"select count(*) filter (where r.version_id is null) as "gone!",
                  count(*) filter (where convert_to(substring(r.text from c.span_start + 1 for c.span_end - c.span_start), 'UTF8')
                                         = convert_to(c.quote, 'UTF8')) as "exact!",
                  count(*) as "total!"
           from carrel.research_citation c
           left join carrel.rendition r on r.version_id = c.version_id
           where c.run_id = $1"#,
        run.0
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(Verification {
        citations: row.total.unsigned_abs(),
        exact: row.exact.unsigned_abs(),
        deleted: row.gone.unsigned_abs(),
    })
}

/// What [`verify`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Citations of the run.
    pub citations: u64,
    /// Those whose quote equals the rendition at its span.
    pub exact: u64,
    /// Those whose version is no longer there.
    pub deleted: u64,
}

fn as_json<T: serde::Serialize>(
    value: &T,
    table: &'static str,
    column: &'static str,
    row: Uuid,
) -> Result<Value, StorageError> {
    serde_json::to_value(value).map_err(|error| inconsistent(table, column, row, error.to_string()))
}

fn from_json<T: serde::de::DeserializeOwned>(
    value: Value,
    table: &'static str,
    column: &'static str,
    row: Uuid,
) -> Result<T, StorageError> {
    serde_json::from_value(value).map_err(|error| inconsistent(table, column, row, error.to_string()))
}

fn inconsistent(table: &'static str, column: &'static str, row: Uuid, problem: String) -> StorageError {
    StorageError::Inconsistent { table, column, row: row.to_string(), problem }
}
