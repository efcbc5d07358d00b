//! Documents that are alike: the same bytes, nearly the same words, nearly the same meaning. They are told, never dropped.

use crate::index::Generation;
use crate::{StorageError, Transaction};
use carrel_domain::{CollectionId, DocumentId, VersionId};
use pgvector::HalfVector;
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

/// Candidates that share a band and are compared in full.
const CANDIDATES: i32 = 2_000;
/// Passages near a document's middle whose documents are compared with it.
const NEAR_PASSAGES: i64 = 200;
/// Documents that are compared by meaning.
const NEAR_DOCUMENTS: i64 = 20;

/// The signature of a version's text, as the text crate made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSignature {
    /// Different shingles of the text.
    pub shingles: u32,
    /// 128 numbers of 32 bits, least significant byte first.
    pub bytes: Vec<u8>,
    /// 32 numbers; two texts that share one are worth comparing.
    pub bands: Vec<i64>,
}

/// Stores the signature of a version. A second time changes nothing.
pub async fn insert(
    transaction: &mut Transaction,
    version: VersionId,
    document: DocumentId,
    signature: &StoredSignature,
) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    sqlx::query!(
        "insert into carrel.similarity (version_id, workspace_id, document_id, shingles, signature, bands)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (version_id) do nothing",
        version.0,
        workspace.0,
        document.0,
        signature.shingles.cast_signed(),
        &signature.bytes,
        &signature.bands
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// A document that may be like another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// The document.
    pub document: DocumentId,
    /// Its collection.
    pub collection: CollectionId,
    /// Its name.
    pub name: String,
    /// The sender's own id.
    pub external_id: String,
    /// The version that is alike.
    pub version: VersionId,
}

/// Other documents whose newest version has the bytes of the newest version of `document`, in any collection, oldest first.
pub async fn same_bytes(
    transaction: &mut Transaction,
    document: DocumentId,
    limit: u32,
) -> Result<Vec<Alike>, StorageError> {
    let rows = sqlx::query!(
        "select d.id, d.collection_id, d.name, d.external_id, v.id as version_id
         from carrel.document_version v
         join carrel.document d on d.id = v.document_id
         join carrel.collection c on c.id = d.collection_id
         where v.sha256 = (select o.sha256 from carrel.document_version o
                           where o.document_id = $1 order by o.number desc limit 1)
           and v.document_id <> $1
           and not exists (select from carrel.document_version n
                           where n.document_id = v.document_id and n.number > v.number)
         order by d.created_at, d.id
         limit $2",
        document.0,
        i64::from(limit)
    )
    .fetch_all(transaction.connection())
    .await?;
    let row = rows.into_iter().map(|row| Alike {
        document: DocumentId(row.id),
        collection: CollectionId(row.collection_id),
        name: row.name,
        external_id: row.external_id,
        version: VersionId(row.version_id),
    });
    Ok(row.collect())
}

/// The signature of a document's current version, or before that of its newest one with a text.
pub async fn signature(
    transaction: &mut Transaction,
    document: DocumentId,
) -> Result<Option<StoredSignature>, StorageError> {
    let row = sqlx::query!(
        "select s.shingles, s.signature, s.bands
         from carrel.similarity s
         join carrel.document_version v on v.id = s.version_id
         join carrel.document d on d.id = v.document_id
         where s.document_id = $1
         order by (d.current_version_id is not distinct from v.id) desc, v.number desc
         limit 1",
        document.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(|row| StoredSignature { shingles: row.shingles.unsigned_abs(), bytes: row.signature, bands: row.bands }))
}

/// Other documents whose current version shares a band with `bands`, each with its signature; the bands are not read back.
pub async fn candidates(
    transaction: &mut Transaction,
    document: DocumentId,
    bands: &[i64],
) -> Result<Vec<(Alike, StoredSignature)>, StorageError> {
    let rows = sqlx::query!(
        r#"select d.id, d.collection_id, d.name, d.external_id, s.version_id as "version_id!",
                  s.shingles as "shingles!", s.signature as "signature!"
           from carrel.similar_versions($2, $3) s
           join carrel.document d on d.id = s.document_id and d.current_version_id = s.version_id
           join carrel.collection c on c.id = d.collection_id
           where d.id <> $1"#,
        document.0,
        bands,
        CANDIDATES
    )
    .fetch_all(transaction.connection())
    .await?;
    let row = rows.into_iter().map(|row| {
        let alike = Alike {
            document: DocumentId(row.id),
            collection: CollectionId(row.collection_id),
            name: row.name,
            external_id: row.external_id,
            version: VersionId(row.version_id),
        };
        let (shingles, bytes) = (row.shingles.unsigned_abs(), row.signature);
        (alike, StoredSignature { shingles, bytes, bands: Vec::new() })
    });
    Ok(row.collect())
}

/// Versions with a text and without a signature, as releases before left them.
pub async fn unsigned(transaction: &mut Transaction, limit: u32) -> Result<Vec<(VersionId, DocumentId)>, StorageError> {
    let rows = sqlx::query!(
        "select v.id, v.document_id
         from carrel.document d
         join carrel.document_version v on v.id = d.current_version_id
         where not exists (select from carrel.similarity s where s.version_id = v.id)
         limit $1",
        i64::from(limit)
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows.into_iter().map(|row| (VersionId(row.id), DocumentId(row.document_id))).collect())
}

/// Cosines between the middle of a document (the mean of its passages' vectors) and the middles of others: of `named` ones,
/// and of those that have passages near it. Empty when the document has no vector.
pub async fn closeness(
    transaction: &mut Transaction,
    document: DocumentId,
    named: &[DocumentId],
    generation: &Generation,
) -> Result<Vec<(Alike, f32)>, StorageError> {
    let Generation { no, dimension, .. } = generation;
    let middle: Option<HalfVector> = sqlx::query_scalar(AssertSqlSafe(format!(
        "select avg(e.vector) from carrel.embedding_{no} e
         join carrel.passage p on p.no = e.passage_no
         where p.document_id = $1 and e.searchable"
    )))
    .bind(document.0)
    .fetch_one(transaction.connection())
    .await?;
    let Some(middle) = middle else { return Ok(Vec::new()) };
    let named: Vec<Uuid> = named.iter().map(|id| id.0).collect();
    let rows = sqlx::query(AssertSqlSafe(format!(
        "with near as materialized (
             select e.passage_no
             from carrel.embedding_{no} e
             where e.searchable
             order by e.vector::halfvec({dimension}) <=> $2::halfvec({dimension})
             limit {NEAR_PASSAGES}
         ), chosen as materialized (
             select p.document_id
             from near n
             join carrel.passage p on p.no = n.passage_no
             where p.document_id <> $1
             group by p.document_id
             order by count(*) desc, p.document_id
             limit {NEAR_DOCUMENTS}
         ), compared as (
             select document_id from chosen union select unnest($3::uuid[])
         )
         select d.id, d.collection_id, d.name, d.external_id, d.current_version_id,
                (1 - (m.middle <=> $2::halfvec({dimension})))::float4 as cosine
         from compared k
         join carrel.document d on d.id = k.document_id
         join carrel.collection c on c.id = d.collection_id
         cross join lateral (
             select avg(e.vector) as middle
             from carrel.passage p
             join carrel.embedding_{no} e on e.passage_no = p.no
             where p.document_id = d.id and e.searchable
         ) m
         where m.middle is not null and d.current_version_id is not null"
    )))
    .bind(document.0)
    .bind(&middle)
    .bind(&named)
    .fetch_all(transaction.connection())
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let alike = Alike {
            document: DocumentId(row.try_get("id")?),
            collection: CollectionId(row.try_get("collection_id")?),
            name: row.try_get("name")?,
            external_id: row.try_get("external_id")?,
            version: VersionId(row.try_get("current_version_id")?),
        };
        found.push((alike, row.try_get("cosine")?));
    }
    Ok(found)
}
