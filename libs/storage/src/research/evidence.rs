//! Sentences that the steps of a run found.

use crate::{StorageError, Transaction};
use carrel_domain::{DocumentId, RunId, Span, StepId, VersionId};
use pgvector::HalfVector;
use sqlx::Row;
use uuid::Uuid;

/// A sentence that a step found.
#[derive(Clone, Debug)]
pub struct EvidenceRow {
    /// The step.
    pub step: StepId,
    /// From 0 in the step, best first.
    pub ordinal: u32,
    /// The document.
    pub document: DocumentId,
    /// The version.
    pub version: VersionId,
    /// Where it stands in the rendition.
    pub span: Span,
    /// Page of its first character.
    pub page: Option<u32>,
    /// The exact words.
    pub quote: String,
    /// How well it answers the step, in 0 to 1.
    pub score: f32,
    /// Its vector, for telling repetitions.
    pub vector: Option<Vec<f32>>,
}

/// How much a step looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Passages that were read.
    pub passages: u32,
    /// Sentences that were weighed.
    pub sentences: u32,
}

/// What all steps of a run looked at together.
pub async fn read_in_all(transaction: &mut Transaction, run: RunId) -> Result<Read, StorageError> {
    let row = sqlx::query!(
        r#"select coalesce(sum(passages_read), 0)::int as "passages!", coalesce(sum(sentences_weighed), 0)::int as "sentences!"
           from carrel.research_step
           where run_id = $1"#,
        run.0
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(Read { passages: row.passages.unsigned_abs(), sentences: row.sentences.unsigned_abs() })
}

/// Stores a step's evidence and marks the step completed. A second time replaces the first.
pub async fn insert_evidence(
    transaction: &mut Transaction,
    run: RunId,
    step: StepId,
    read: Read,
    evidence: &[EvidenceRow],
) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    sqlx::query!("delete from carrel.research_evidence where step_id = $1", step.0)
        .execute(transaction.connection())
        .await?;
    let ordinals: Vec<i32> = evidence.iter().map(|row| row.ordinal.cast_signed()).collect();
    let documents: Vec<Uuid> = evidence.iter().map(|row| row.document.0).collect();
    let versions: Vec<Uuid> = evidence.iter().map(|row| row.version.0).collect();
    let starts: Vec<i32> = evidence.iter().map(|row| row.span.start.cast_signed()).collect();
    let ends: Vec<i32> = evidence.iter().map(|row| row.span.end.cast_signed()).collect();
    let pages: Vec<Option<i32>> = evidence.iter().map(|row| row.page.map(u32::cast_signed)).collect();
    let quotes: Vec<&str> = evidence.iter().map(|row| row.quote.as_str()).collect();
    let scores: Vec<f32> = evidence.iter().map(|row| row.score).collect();
    let vectors: Vec<Option<HalfVector>> =
        evidence.iter().map(|row| row.vector.as_deref().map(HalfVector::from_f32_slice)).collect();
    sqlx::query(
        "with held as (
             -- Until the commit: a version that is erased meanwhile waits, and then sees what was quoted of it.
             select v.id from carrel.document_version v where v.id = any($6) for key share
         )
         insert into carrel.research_evidence
             (workspace_id, run_id, step_id, ordinal, document_id, version_id, span_start, span_end, page, quote, score, vector)
         select $1, $2, $3, e.*
         from unnest($4::int[], $5::uuid[], $6::uuid[], $7::int[], $8::int[], $9::int[], $10::text[], $11::real[], $12::halfvec[])
              as e (ordinal, document_id, version_id, span_start, span_end, page, quote, score, vector)
         where e.version_id in (select h.id from held h)",
    )
    .bind(workspace.0)
    .bind(run.0)
    .bind(step.0)
    .bind(&ordinals)
    .bind(&documents)
    .bind(&versions)
    .bind(&starts)
    .bind(&ends)
    .bind(&pages)
    .bind(&quotes)
    .bind(&scores)
    .bind(&vectors)
    .execute(transaction.connection())
    .await?;
    sqlx::query!(
        "update carrel.research_step set state = 'completed', passages_read = $2, sentences_weighed = $3 where id = $1",
        step.0,
        read.passages.cast_signed(),
        read.sentences.cast_signed()
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// The evidence of a run, by step and rank.
pub async fn evidence(transaction: &mut Transaction, run: RunId) -> Result<Vec<EvidenceRow>, StorageError> {
    let rows = sqlx::query(
        "select e.step_id, e.ordinal, e.document_id, e.version_id, e.span_start, e.span_end, e.page, e.quote, e.score, e.vector
         from carrel.research_evidence e
         join carrel.research_step s on s.id = e.step_id
         where e.run_id = $1
         order by s.ordinal, e.ordinal",
    )
    .bind(run.0)
    .fetch_all(transaction.connection())
    .await?;
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        let vector: Option<HalfVector> = row.try_get("vector")?;
        out.push(EvidenceRow {
            step: StepId(row.try_get("step_id")?),
            ordinal: row.try_get::<i32, _>("ordinal")?.unsigned_abs(),
            document: DocumentId(row.try_get("document_id")?),
            version: VersionId(row.try_get("version_id")?),
            span: Span {
                start: row.try_get::<i32, _>("span_start")?.unsigned_abs(),
                end: row.try_get::<i32, _>("span_end")?.unsigned_abs(),
            },
            page: row.try_get::<Option<i32>, _>("page")?.map(i32::unsigned_abs),
            quote: row.try_get("quote")?,
            score: row.try_get("score")?,
            vector: vector.map(|vector| vector.to_vec().into_iter().map(f32::from).collect()),
        });
    }
    Ok(out)
}
