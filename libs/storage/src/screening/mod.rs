//! Screening: policies, what was found in each version, reviews, and answers of the collection of breaches.
//!
//! Never a value that was found: findings carry masks and keyed digests.

mod answers;
mod collection;
mod policies;

pub use answers::{breach_answer, expire_breach_answers, keep_breach_answer};
pub use collection::{KindSum, Occurrence, ScreenedDocument, Sums, documents, occurrences, screenable, sums};
pub use policies::{StoredPolicy, policy, set_policy};

use crate::{StorageError, Transaction};
use carrel_domain::digest::Digest;
use carrel_domain::{Actor, Span, VersionId};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// What was decided about a version, to store.
#[derive(Clone, Debug)]
pub struct NewScreening {
    /// The version.
    pub version: VersionId,
    /// `clean`, `allowed`, `masked` or `held`.
    pub verdict: &'static str,
    /// The rules that were applied.
    pub policy: Value,
    /// Counts by kind.
    pub kinds: Value,
    /// Findings in all; of many, only the first are stored.
    pub total: u32,
    /// The findings.
    pub findings: Vec<Finding>,
    /// Profile of a data set.
    pub dataset: Option<Value>,
    /// The same for people.
    pub dataset_markdown: Option<String>,
    /// Why there is no profile.
    pub dataset_problem: Option<String>,
    /// What the collection of breaches said.
    pub breaches: Option<Value>,
    /// Now.
    pub now: DateTime<Utc>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// From 0, by position.
    pub ordinal: u32,
    /// `text` or `title`.
    pub place: String,
    /// What it is.
    pub kind: String,
    /// What policies speak about.
    pub category: String,
    /// How grave it is.
    pub severity: String,
    /// `allow`, `mask` or `hold`.
    pub action: String,
    /// Percent.
    pub confidence: u8,
    /// True when a checksum, a plan or a mark agreed.
    pub validated: bool,
    /// Where, in code points.
    pub span: Span,
    /// The value for human eyes.
    pub mask: String,
    /// Keyed digest.
    pub digest: Option<Digest>,
}

/// Stores what was decided about a version, in place of what was decided before; a review stays.
pub async fn put(transaction: &mut Transaction, new: &NewScreening) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    sqlx::query!(
        "insert into carrel.screening
             (version_id, workspace_id, verdict, policy, kinds, findings, dataset, dataset_markdown, dataset_problem,
              breaches, screened_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         on conflict (version_id) do update
         set verdict = excluded.verdict, policy = excluded.policy, kinds = excluded.kinds, findings = excluded.findings,
             dataset = excluded.dataset, dataset_markdown = excluded.dataset_markdown,
             dataset_problem = excluded.dataset_problem, breaches = excluded.breaches,
             screened_at = excluded.screened_at",
        new.version.0,
        workspace.0,
        new.verdict,
        new.policy,
        new.kinds,
        new.total.cast_signed(),
        new.dataset,
        new.dataset_markdown,
        new.dataset_problem,
        new.breaches,
        new.now
    )
    .execute(transaction.connection())
    .await?;
    sqlx::query!("delete from carrel.screening_finding where version_id = $1", new.version.0)
        .execute(transaction.connection())
        .await?;
    insert_findings(transaction, new.version, &new.findings).await
}

async fn insert_findings(
    transaction: &mut Transaction,
    version: VersionId,
    findings: &[Finding],
) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    let ordinals: Vec<i32> = findings.iter().map(|finding| finding.ordinal.cast_signed()).collect();
    let texts = |of: fn(&Finding) -> &str| -> Vec<&str> { findings.iter().map(of).collect() };
    let confidences: Vec<i16> = findings.iter().map(|finding| i16::from(finding.confidence)).collect();
    let validated: Vec<bool> = findings.iter().map(|finding| finding.validated).collect();
    let starts: Vec<i32> = findings.iter().map(|finding| finding.span.start.cast_signed()).collect();
    let ends: Vec<i32> = findings.iter().map(|finding| finding.span.end.cast_signed()).collect();
    let digests: Vec<Option<&[u8]>> =
        findings.iter().map(|finding| finding.digest.as_ref().map(|digest| digest.0.as_slice())).collect();
    sqlx::query!(
        "insert into carrel.screening_finding
             (version_id, workspace_id, ordinal, place, kind, category, severity, action, confidence, validated,
              span_start, span_end, mask, digest)
         select $1, $2, f.*
         from unnest($3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::smallint[], $10::bool[],
                     $11::int[], $12::int[], $13::text[], $14::bytea[]) as f",
        version.0,
        workspace.0,
        &ordinals,
        &texts(|finding| &finding.place) as &[&str],
        &texts(|finding| &finding.kind) as &[&str],
        &texts(|finding| &finding.category) as &[&str],
        &texts(|finding| &finding.severity) as &[&str],
        &texts(|finding| &finding.action) as &[&str],
        &confidences,
        &validated,
        &starts,
        &ends,
        &texts(|finding| &finding.mask) as &[&str],
        &digests as &[Option<&[u8]>]
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// What is stored about a version.
#[derive(Clone, Debug)]
pub struct StoredScreening {
    /// `clean`, `allowed`, `masked` or `held`.
    pub verdict: String,
    /// The rules that were applied.
    pub policy: Value,
    /// Counts by kind.
    pub kinds: Value,
    /// Findings in all.
    pub findings: i32,
    /// Profile of a data set.
    pub dataset: Option<Value>,
    /// The same for people.
    pub dataset_markdown: Option<String>,
    /// Why there is no profile.
    pub dataset_problem: Option<String>,
    /// What the collection of breaches said.
    pub breaches: Option<Value>,
    /// When.
    pub screened_at: DateTime<Utc>,
    /// `released` or `rejected`.
    pub review: Option<String>,
    /// `masked` or `plain`.
    pub review_as: Option<String>,
    /// Why.
    pub review_reason: Option<String>,
    /// When.
    pub reviewed_at: Option<DateTime<Utc>>,
    /// Who.
    pub reviewed_by: Option<Value>,
}

/// What was decided about a version; `None` when it was not screened.
pub async fn get(transaction: &mut Transaction, version: VersionId) -> Result<Option<StoredScreening>, StorageError> {
    let row = sqlx::query_as!(
        StoredScreening,
        "select verdict, policy, kinds, findings, dataset, dataset_markdown, dataset_problem, breaches, screened_at, review,
                review_as, review_reason, reviewed_at, reviewed_by
         from carrel.screening
         where version_id = $1",
        version.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row)
}

/// Findings of a version from `first` on, at most `limit`.
pub async fn findings(
    transaction: &mut Transaction,
    version: VersionId,
    first: u32,
    limit: u32,
) -> Result<Vec<Finding>, StorageError> {
    let rows = sqlx::query!(
        "select ordinal, place, kind, category, severity, action, confidence, validated, span_start, span_end, mask, digest
         from carrel.screening_finding
         where version_id = $1 and ordinal >= $2
         order by ordinal
         limit $3",
        version.0,
        first.min(i32::MAX.unsigned_abs()).cast_signed(),
        i64::from(limit)
    )
    .fetch_all(transaction.connection())
    .await?;
    let findings = rows.into_iter().map(|row| Finding {
        ordinal: row.ordinal.unsigned_abs(),
        place: row.place,
        kind: row.kind,
        category: row.category,
        severity: row.severity,
        action: row.action,
        confidence: u8::try_from(row.confidence).unwrap_or(0),
        validated: row.validated,
        span: Span { start: row.span_start.unsigned_abs(), end: row.span_end.unsigned_abs() },
        mask: row.mask,
        digest: row.digest.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(Digest),
    });
    Ok(findings.collect())
}

/// What a reviewer decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Review {
    /// It may be read; what was held is shown as it is, or stays hidden.
    Released {
        /// `masked` or `plain`.
        shown: &'static str,
    },
    /// It stays out.
    Rejected,
}

/// Records a review and moves a quarantined version on: to `received`, from where a job indexes it, or to `rejected`.
/// `false` when the version is not quarantined.
pub async fn review(
    transaction: &mut Transaction,
    version: VersionId,
    review: &Review,
    reason: &str,
    now: DateTime<Utc>,
    by: &Actor,
) -> Result<bool, StorageError> {
    let (state, name, shown) = match review {
        Review::Released { shown } => ("received", "released", Some(*shown)),
        Review::Rejected => ("rejected", "rejected", None),
    };
    let moved = sqlx::query!(
        "update carrel.document_version set state = $2 where id = $1 and state = 'quarantined'",
        version.0,
        state
    )
    .execute(transaction.connection())
    .await?;
    if moved.rows_affected() == 0 {
        return Ok(false);
    }
    let done = sqlx::query!(
        "update carrel.screening
         set review = $2, review_as = $3, review_reason = $4, reviewed_at = $5, reviewed_by = $6
         where version_id = $1",
        version.0,
        name,
        shown,
        reason,
        now,
        crate::access::actor_value(by)
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Puts a version that is held into quarantine: it has no text and no passages.
pub async fn quarantine(transaction: &mut Transaction, version: VersionId) -> Result<(), StorageError> {
    sqlx::query!(
        "update carrel.document_version
         set state = 'quarantined', failure_code = null, failure_message = null, searchable_at = null
         where id = $1",
        version.0
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Replaces the title that came with an upload by what may be seen of it.
pub async fn hide_title(transaction: &mut Transaction, version: VersionId, title: &str) -> Result<(), StorageError> {
    sqlx::query!("update carrel.document_version set title = $2 where id = $1", version.0, title)
        .execute(transaction.connection())
        .await?;
    Ok(())
}

/// What stands in the way of reading a version's text, and whose text it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenditionState {
    /// State of the version.
    pub state: String,
    /// SHA-256 of the stored text, when there is one.
    pub sha256: Option<Digest>,
    /// Title of the stored text.
    pub title: Option<String>,
}

/// The state of a version, locked until the end of the transaction; `None` when there is no such version.
pub async fn lock(transaction: &mut Transaction, version: VersionId) -> Result<Option<RenditionState>, StorageError> {
    let row = sqlx::query!(
        r#"select v.state, r.sha256 as "sha256?", r.title as "title?"
           from carrel.document_version v
           join carrel.document d on d.id = v.document_id
           join carrel.collection c on c.id = d.collection_id
           left join carrel.rendition r on r.version_id = v.id
           where v.id = $1
           for update of v"#,
        version.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(|row| RenditionState {
        state: row.state,
        sha256: row.sha256.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(Digest),
        title: row.title,
    }))
}

/// Makes what quotes a version say what its text says now. Spans stay, because a masked text is as long as its original.
/// Answers the number of citations that changed.
pub async fn requote(transaction: &mut Transaction, version: VersionId) -> Result<u64, StorageError> {
    let claims = sqlx::query!(
        "update carrel.research_claim c
         set text = replace(c.text, q.quote, substring(r.text from q.span_start + 1 for q.span_end - q.span_start))
         from carrel.research_citation q
         join carrel.rendition r on r.version_id = q.version_id
         where q.version_id = $1 and c.id = q.claim_id and position(q.quote in c.text) > 0",
        version.0
    )
    .execute(transaction.connection())
    .await?;
    let citations = sqlx::query!(
        "update carrel.research_citation q
         set quote = substring(r.text from q.span_start + 1 for q.span_end - q.span_start),
             prefix = substring(r.text from greatest(q.span_start - length(q.prefix), 0) + 1
                                for least(length(q.prefix), q.span_start)),
             suffix = substring(r.text from q.span_end + 1 for length(q.suffix))
         from carrel.rendition r
         where q.version_id = $1 and r.version_id = $1",
        version.0
    )
    .execute(transaction.connection())
    .await?;
    sqlx::query!(
        "update carrel.research_evidence e
         set quote = substring(r.text from e.span_start + 1 for e.span_end - e.span_start), vector = null
         from carrel.rendition r
         where e.version_id = $1 and r.version_id = $1",
        version.0
    )
    .execute(transaction.connection())
    .await?;
    // Events repeat the words of claims for those who watch a run.
    sqlx::query!(
        "update carrel.research_event e
         set payload = jsonb_set(e.payload, '{text}', to_jsonb(''::text))
         where e.kind = 'claim'
           and e.run_id in (select q.run_id from carrel.research_citation q where q.version_id = $1)",
        version.0
    )
    .execute(transaction.connection())
    .await?;
    Ok(citations.rows_affected().max(claims.rows_affected()))
}
