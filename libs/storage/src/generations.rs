//! Index generations: a second one is filled beside the live one, takes its place in one transaction, and is dropped on
//! request.
//!
//! Whoever publishes a version holds [`hold_still`] until the commit; the switch waits for all of them and lets none begin
//! meanwhile. So what is published has its vectors in whichever generation is live afterwards.

use crate::begin::begin;
use crate::index::Generation;
use crate::{Database, StorageError, Transaction};
use carrel_domain::VersionId;
use chrono::{DateTime, Utc};
use pgvector::HalfVector;

/// What a generation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GenerationState {
    /// New vectors go to it, and jobs add the old ones; it does not answer.
    Filling,
    /// It answers.
    Live,
    /// It answered once, and gets nothing new.
    Retired,
}

impl GenerationState {
    /// The name on the wire and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Filling => "filling",
            Self::Live => "live",
            Self::Retired => "retired",
        }
    }

    fn parse(text: &str) -> Result<Self, StorageError> {
        let all = [Self::Filling, Self::Live, Self::Retired];
        all.into_iter().find(|state| state.as_str() == text).ok_or_else(|| StorageError::Inconsistent {
            table: "index_generation",
            column: "state",
            row: text.to_owned(),
            problem: "it is no state".to_owned(),
        })
    }
}

/// A generation as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerationRow {
    /// Number, space and dimension.
    pub generation: Generation,
    /// What it is for.
    pub state: GenerationState,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// Since when it answers, or when it last began to.
    pub live_since: Option<DateTime<Utc>>,
}

/// All generations by number.
pub async fn list(database: &Database) -> Result<Vec<GenerationRow>, StorageError> {
    let rows = sqlx::query!(
        "select no, space, dimension, state, created_at, live_since from carrel.index_generation order by no"
    )
    .fetch_all(database.app_pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let dimension = row.dimension.unsigned_abs() as usize;
            Ok(GenerationRow {
                generation: Generation { no: row.no, space: row.space, dimension },
                state: GenerationState::parse(&row.state)?,
                created_at: row.created_at,
                live_since: row.live_since,
            })
        })
        .collect()
}

/// Vectors of each generation by its number, over all workspaces.
pub async fn count_all(database: &Database) -> Result<Vec<(i16, u64)>, StorageError> {
    let rows = sqlx::query!(r#"select no as "no!", vectors as "vectors!" from carrel.count_embeddings()"#)
        .fetch_all(database.app_pool())
        .await?;
    Ok(rows.into_iter().map(|row| (row.no, row.vectors.unsigned_abs())).collect())
}

/// Vectors of each generation by its number, in this workspace.
pub async fn count(transaction: &mut Transaction) -> Result<Vec<(i16, u64)>, StorageError> {
    let rows = sqlx::query!(
        r#"select g.no, (select count(*) from carrel.embedding e where e.generation = g.no) as "vectors!"
           from carrel.index_generation g
           order by g.no"#
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows.into_iter().map(|row| (row.no, row.vectors.unsigned_abs())).collect())
}

/// Opens a generation for a space, or goes on with one of it that does not answer; answers its number. Refused by
/// `generation_live` when the live one is of this space, by `index_generation_one_filling` when another is being filled.
pub async fn open(database: &Database, space: &str, dimension: usize) -> Result<i16, StorageError> {
    let dimension = i32::try_from(dimension).unwrap_or(i32::MAX);
    let no = sqlx::query_scalar!(r#"select carrel.open_index_generation($1, $2) as "no!""#, space, dimension)
        .fetch_one(database.app_pool())
        .await?;
    Ok(no)
}

/// Vectors of the live generation without a counterpart in `no`, over all workspaces.
pub async fn missing(database: &Database, no: i16) -> Result<u64, StorageError> {
    let missing = sqlx::query_scalar!(r#"select carrel.missing_embeddings($1) as "missing!""#, no)
        .fetch_one(database.app_pool())
        .await?;
    Ok(missing.unsigned_abs())
}

/// Makes the generation that is being filled the live one, in one transaction. Refused by `generation_incomplete` while a
/// vector is missing, by `generation_not_filling` when it is not the one that is being filled.
pub async fn switch(database: &Database, no: i16) -> Result<(), StorageError> {
    let mut transaction = begin(database.app_pool(), "begin").await?;
    // Every vector is looked at; a request's time does not do for a large archive.
    sqlx::query("set local statement_timeout = '30min'").execute(&mut *transaction).await?;
    sqlx::query!("select carrel.switch_index_generation($1)", no).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Drops a generation with its vectors; `false` when there is none. Refused by `generation_live`.
pub async fn drop(database: &Database, no: i16) -> Result<bool, StorageError> {
    let dropped = sqlx::query_scalar!(r#"select carrel.drop_index_generation($1) as "dropped!""#, no)
        .fetch_one(database.app_pool())
        .await?;
    Ok(dropped)
}

/// Keeps the generations as they are until the end of the transaction, and answers those that new vectors go to: the live
/// one first, then the one that is being filled.
pub async fn hold_still(transaction: &mut Transaction) -> Result<Vec<Generation>, StorageError> {
    // In a statement of its own: what a switch has done is seen by the next one only.
    sqlx::query!("select pg_advisory_xact_lock_shared(hashtext('carrel.index_generation'))")
        .execute(transaction.connection())
        .await?;
    let rows = sqlx::query!(
        "select no, space, dimension from carrel.index_generation
         where state in ('live', 'filling')
         order by state = 'live' desc, no"
    )
    .fetch_all(transaction.connection())
    .await?;
    let generation = rows.into_iter().map(|row| Generation {
        no: row.no,
        space: row.space,
        dimension: row.dimension.unsigned_abs() as usize,
    });
    Ok(generation.collect())
}

/// Ordinals of a version's passages that have no vector in a generation, at most `limit`.
pub async fn lacking(
    transaction: &mut Transaction,
    version: VersionId,
    generation: &Generation,
    limit: u32,
) -> Result<Vec<u32>, StorageError> {
    let rows = sqlx::query_scalar!(
        "select p.ordinal from carrel.passage p
         where p.version_id = $1
           and not exists (select from carrel.embedding e where e.passage_no = p.no and e.generation = $2)
         order by p.ordinal
         limit $3",
        version.0,
        generation.no,
        i64::from(limit)
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows.into_iter().map(i32::unsigned_abs).collect())
}

/// A passage that a generation lacks.
#[derive(Clone, Debug)]
pub struct Lack {
    /// Its number.
    pub no: i32,
    /// Title of its document.
    pub title: Option<String>,
    /// Headings above it, outermost first.
    pub headings: Vec<String>,
    /// Its text.
    pub text: String,
}

/// Passages of the workspace after number `after` that have a vector in the live generation and none in `generation`.
pub async fn lacks(
    transaction: &mut Transaction,
    generation: i16,
    after: i32,
    limit: u32,
) -> Result<Vec<Lack>, StorageError> {
    let rows = sqlx::query!(
        r#"select p.no, coalesce(v.title, r.title) as "title?", p.headings, p.text
           from carrel.embedding e
           join carrel.passage p on p.no = e.passage_no
           join carrel.document_version v on v.id = p.version_id
           left join carrel.rendition r on r.version_id = p.version_id
           where e.generation = (select g.no from carrel.index_generation g where g.state = 'live')
             and e.passage_no > $2
             and not exists (select from carrel.embedding n where n.passage_no = e.passage_no and n.generation = $1)
           order by e.passage_no
           limit $3"#,
        generation,
        after,
        i64::from(limit)
    )
    .fetch_all(transaction.connection())
    .await?;
    let lack =
        rows.into_iter().map(|row| Lack { no: row.no, title: row.title, headings: row.headings, text: row.text });
    Ok(lack.collect())
}

/// Stores vectors of passages by number; those that have one by now keep it. The switch puts right whether they answer.
pub async fn fill(
    transaction: &mut Transaction,
    generation: i16,
    passages: &[i32],
    vectors: &[Vec<f32>],
) -> Result<u64, StorageError> {
    let vectors: Vec<HalfVector> = vectors.iter().map(|vector| HalfVector::from_f32_slice(vector)).collect();
    let done = sqlx::query(
        "insert into carrel.embedding (generation, passage_no, workspace_id, collection_id, searchable, vector)
         select $1, p.no, p.workspace_id, p.collection_id, p.searchable, e.vector
         from unnest($2::int[], $3::halfvec[]) as e (passage_no, vector)
         join carrel.passage p on p.no = e.passage_no
         on conflict (passage_no, generation) do nothing",
    )
    .bind(generation)
    .bind(passages)
    .bind(&vectors)
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected())
}
