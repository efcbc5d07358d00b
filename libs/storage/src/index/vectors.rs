//! Vectors, in generations: one for each embedding space that is or was in use.

use crate::{StorageError, Transaction};
use carrel_domain::VersionId;
use pgvector::HalfVector;

/// An index generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number.
    pub no: i16,
    /// Name of its embedding space.
    pub space: String,
    /// Numbers in a vector.
    pub dimension: usize,
}

/// The live generation; opened for `space` when there is none yet.
pub async fn ensure_generation(
    database: &crate::Database,
    space: &str,
    dimension: usize,
) -> Result<Generation, StorageError> {
    let row = sqlx::query!(
        r#"select no as "no!", space as "space!", dimension as "dimension!" from carrel.ensure_index_generation($1, $2)"#,
        space,
        i32::try_from(dimension).unwrap_or(i32::MAX)
    )
    .fetch_one(database.app_pool())
    .await?;
    Ok(Generation { no: row.no, space: row.space, dimension: row.dimension.unsigned_abs() as usize })
}

/// The live generation, when one was opened.
pub async fn live_generation(database: &crate::Database) -> Result<Option<Generation>, StorageError> {
    let row = sqlx::query!("select no, space, dimension from carrel.index_generation where state = 'live'")
        .fetch_optional(database.app_pool())
        .await?;
    Ok(row.map(|row| Generation { no: row.no, space: row.space, dimension: row.dimension.unsigned_abs() as usize }))
}

/// Stores the vectors of passages `first..first + vectors.len()` of a version; they do not answer before [`super::publish`].
pub async fn insert_embeddings(
    transaction: &mut Transaction,
    version: VersionId,
    generation: &Generation,
    first: u32,
    vectors: &[Vec<f32>],
) -> Result<(), StorageError> {
    put_embeddings(transaction, version, generation, first, vectors, false).await
}

pub(super) async fn put_embeddings(
    transaction: &mut Transaction,
    version: VersionId,
    generation: &Generation,
    first: u32,
    vectors: &[Vec<f32>],
    searchable: bool,
) -> Result<(), StorageError> {
    let vectors: Vec<HalfVector> = vectors.iter().map(|vector| HalfVector::from_f32_slice(vector)).collect();
    let ordinals: Vec<i32> = (first..).take(vectors.len()).map(u32::cast_signed).collect();
    sqlx::query(
        "insert into carrel.embedding (generation, passage_no, workspace_id, collection_id, searchable, vector)
         select $1, p.no, p.workspace_id, p.collection_id, $5, e.vector
         from unnest($2::int[], $3::halfvec[]) as e (ordinal, vector)
         join carrel.passage p on p.version_id = $4 and p.ordinal = e.ordinal
         on conflict (generation, passage_no) do update set vector = excluded.vector",
    )
    .bind(generation.no)
    .bind(&ordinals)
    .bind(&vectors)
    .bind(version.0)
    .bind(searchable)
    .execute(transaction.connection())
    .await?;
    Ok(())
}
