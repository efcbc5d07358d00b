//! Baselines: frozen lists of document versions. Inserted once, never changed.

use crate::page::{After, Page};
use crate::{StorageError, Transaction};
use carrel_domain::baseline::{Baseline, Change, Member};
use carrel_domain::digest::Digest;
use carrel_domain::search::Filter;
use carrel_domain::{Actor, BaselineId, CollectionId, DocumentId, Language, VersionId};
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

/// The current versions of the given collections (all of them when none is given) that fit `filter`, by document; at
/// most `limit`.
pub async fn choose(
    transaction: &mut Transaction,
    collections: &[CollectionId],
    filter: &Filter,
    limit: u32,
) -> Result<Vec<Member>, StorageError> {
    let collections: Vec<Uuid> = collections.iter().map(|id| id.0).collect();
    let documents: Vec<Uuid> = filter.documents.iter().map(|id| id.0).collect();
    let languages: Vec<&str> = filter.languages.iter().map(Language::as_str).collect();
    let rows = sqlx::query_as!(
        MemberRow,
        "select d.id as document_id, d.collection_id, d.external_id, d.name, v.id as version_id, v.number, o.size,
                o.sha256, o.blake3, r.sha256 as rendition_sha256
         from carrel.document d
         join carrel.collection c on c.id = d.collection_id
         join carrel.document_version v on v.id = d.current_version_id
         join carrel.rendition r on r.version_id = v.id
         join carrel.original o on o.workspace_id = v.workspace_id and o.sha256 = v.sha256
         where (cardinality($1::uuid[]) = 0 or d.collection_id = any($1))
           and (cardinality($2::uuid[]) = 0 or d.id = any($2))
           and (cardinality($3::text[]) = 0 or r.language = any($3))
           and (cardinality($4::text[]) = 0 or r.media_type = any($4))
           and ($5::timestamptz is null or v.created_at >= $5)
           and ($6::timestamptz is null or v.created_at < $6)
           and ($7::jsonb = '{}' or d.metadata @> $7)
         order by d.id
         limit $8",
        &collections,
        &documents,
        &languages as &[&str],
        &filter.media_types,
        filter.created_from,
        filter.created_before,
        Value::Object(filter.metadata.clone()),
        i64::from(limit)
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter().map(Member::try_from).collect()
}

/// Stores a baseline with its members.
pub async fn insert(
    transaction: &mut Transaction,
    baseline: &Baseline,
    members: &[Member],
) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    let collections: Vec<Uuid> = baseline.collections.iter().map(|id| id.0).collect();
    let filter = serde_json::to_value(&baseline.filter)
        .map_err(|error| inconsistent("filter", baseline.id.0, error.to_string()))?;
    sqlx::query!(
        "insert into carrel.baseline
             (id, workspace_id, name, description, digest, documents, collections, filter, created_at, created_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        baseline.id.0,
        workspace.0,
        baseline.name,
        baseline.description,
        &baseline.digest.0,
        baseline.documents.cast_signed(),
        &collections,
        filter,
        baseline.created_at,
        crate::access::actor_value(&baseline.created_by)
    )
    .execute(transaction.connection())
    .await?;
    // One statement for all members: ten thousand of them are frozen in a fraction of a second.
    let documents: Vec<Uuid> = members.iter().map(|member| member.document_id.0).collect();
    let homes: Vec<Uuid> = members.iter().map(|member| member.collection_id.0).collect();
    let external_ids: Vec<&str> = members.iter().map(|member| member.external_id.as_str()).collect();
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let versions: Vec<Uuid> = members.iter().map(|member| member.version_id.0).collect();
    let numbers: Vec<i32> = members.iter().map(|member| member.number.cast_signed()).collect();
    let sizes: Vec<i64> = members.iter().map(|member| member.size.cast_signed()).collect();
    let sha256: Vec<&[u8]> = members.iter().map(|member| member.sha256.0.as_slice()).collect();
    let blake3: Vec<&[u8]> = members.iter().map(|member| member.blake3.0.as_slice()).collect();
    let renditions: Vec<&[u8]> = members.iter().map(|member| member.rendition_sha256.0.as_slice()).collect();
    sqlx::query!(
        "insert into carrel.baseline_member
             (workspace_id, baseline_id, document_id, collection_id, external_id, name, version_id, number, size, sha256,
              blake3, rendition_sha256)
         select $1, $2, m.*
         from unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::uuid[], $8::int[], $9::bigint[], $10::bytea[],
                     $11::bytea[], $12::bytea[]) as m",
        workspace.0,
        baseline.id.0,
        &documents,
        &homes,
        &external_ids as &[&str],
        &names as &[&str],
        &versions,
        &numbers,
        &sizes,
        &sha256 as &[&[u8]],
        &blake3 as &[&[u8]],
        &renditions as &[&[u8]]
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// One baseline.
pub async fn get(transaction: &mut Transaction, id: BaselineId) -> Result<Option<Baseline>, StorageError> {
    let row = sqlx::query_as!(
        BaselineRow,
        "select id, name, description, digest, documents, collections, filter, created_at, created_by
         from carrel.baseline
         where id = $1",
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.map(Baseline::try_from).transpose()
}

/// Baselines, oldest first; with `name`, only the one of that name.
pub async fn list(
    transaction: &mut Transaction,
    name: Option<&str>,
    after: Option<After>,
    limit: u32,
) -> Result<Page<Baseline>, StorageError> {
    let rows = sqlx::query_as!(
        BaselineRow,
        "select id, name, description, digest, documents, collections, filter, created_at, created_by
         from carrel.baseline
         where ($1::timestamptz is null or (created_at, id) > ($1, $2)) and ($4::text is null or name = $4)
         order by created_at, id
         limit $3",
        after.map(|after| after.at),
        after.map(|after| after.id),
        i64::from(limit) + 1,
        name
    )
    .fetch_all(transaction.connection())
    .await?;
    let rows = rows.into_iter().map(Baseline::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::cut(rows, limit, |baseline| After { at: baseline.created_at, id: baseline.id.0 }))
}

/// Members after the given document, by document id.
pub async fn members(
    transaction: &mut Transaction,
    id: BaselineId,
    after: Option<DocumentId>,
    limit: u32,
) -> Result<Vec<Member>, StorageError> {
    let rows = sqlx::query_as!(
        MemberRow,
        "select document_id, collection_id, external_id, name, version_id, number, size, sha256, blake3, rendition_sha256
         from carrel.baseline_member
         where baseline_id = $1 and ($2::uuid is null or document_id > $2)
         order by document_id
         limit $3",
        id.0,
        after.map(|id| id.0),
        i64::from(limit)
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter().map(Member::try_from).collect()
}

/// The given versions as members would be, by document id; versions that were deleted are left out.
pub async fn of_versions(transaction: &mut Transaction, versions: &[VersionId]) -> Result<Vec<Member>, StorageError> {
    let versions: Vec<Uuid> = versions.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        MemberRow,
        "select d.id as document_id, d.collection_id, d.external_id, d.name, v.id as version_id, v.number, o.size,
                o.sha256, o.blake3, r.sha256 as rendition_sha256
         from carrel.document_version v
         join carrel.document d on d.id = v.document_id
         join carrel.collection c on c.id = d.collection_id
         join carrel.rendition r on r.version_id = v.id
         join carrel.original o on o.workspace_id = v.workspace_id and o.sha256 = v.sha256
         where v.id = any($1)
         order by d.id, v.number",
        &versions
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter().map(Member::try_from).collect()
}

/// What differs between two baselines, by document id, after the given document.
pub async fn changes(
    transaction: &mut Transaction,
    before: BaselineId,
    after: BaselineId,
    beyond: Option<DocumentId>,
    limit: u32,
) -> Result<Vec<Change>, StorageError> {
    // The same columns twice: those of the earlier member, and those of the later one.
    let rows = sqlx::query_as!(
        PairRow,
        r#"select coalesce(b.document_id, a.document_id) as "document_id!",
                  to_jsonb(b) - '{workspace_id,baseline_id}'::text[] as before,
                  to_jsonb(a) - '{workspace_id,baseline_id}'::text[] as after
           from (select * from carrel.baseline_member where baseline_id = $1) b
           full join (select * from carrel.baseline_member where baseline_id = $2) a on a.document_id = b.document_id
           where b.version_id is distinct from a.version_id
             and ($3::uuid is null or coalesce(b.document_id, a.document_id) > $3)
           order by 1
           limit $4"#,
        before.0,
        after.0,
        beyond.map(|id| id.0),
        i64::from(limit)
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            let side = |value: Option<Value>| value.map(|value| from_row(value, row.document_id)).transpose();
            match (side(row.before)?, side(row.after)?) {
                (None, Some(member)) => Ok(Change::Added(member)),
                (Some(member), None) => Ok(Change::Removed(member)),
                (Some(before), Some(after)) => Ok(Change::Changed { before, after }),
                (None, None) => Err(inconsistent("document_id", row.document_id, "neither side has it".to_owned())),
            }
        })
        .collect()
}

struct PairRow {
    document_id: Uuid,
    before: Option<Value>,
    after: Option<Value>,
}

// PostgreSQL writes bytea in JSON as `\x` and hexadecimal digits.
fn from_row(mut value: Value, document: Uuid) -> Result<Member, StorageError> {
    for column in ["sha256", "blake3", "rendition_sha256"] {
        if let Some(digits) = value.get(column).and_then(Value::as_str).and_then(|text| text.strip_prefix("\\x")) {
            value[column] = Value::from(digits.to_owned());
        }
    }
    serde_json::from_value(value).map_err(|error| inconsistent("member", document, error.to_string()))
}

struct MemberRow {
    document_id: Uuid,
    collection_id: Uuid,
    external_id: String,
    name: String,
    version_id: Uuid,
    number: i32,
    size: i64,
    sha256: Vec<u8>,
    blake3: Vec<u8>,
    rendition_sha256: Vec<u8>,
}

impl TryFrom<MemberRow> for Member {
    type Error = StorageError;

    fn try_from(row: MemberRow) -> Result<Self, StorageError> {
        let digest = |column, bytes: Vec<u8>| digest(column, row.document_id, &bytes);
        Ok(Self {
            document_id: DocumentId(row.document_id),
            collection_id: CollectionId(row.collection_id),
            external_id: row.external_id,
            name: row.name,
            version_id: VersionId(row.version_id),
            number: row.number.unsigned_abs(),
            size: row.size.unsigned_abs(),
            sha256: digest("sha256", row.sha256)?,
            blake3: digest("blake3", row.blake3)?,
            rendition_sha256: digest("rendition_sha256", row.rendition_sha256)?,
        })
    }
}

struct BaselineRow {
    id: Uuid,
    name: String,
    description: String,
    digest: Vec<u8>,
    documents: i32,
    collections: Vec<Uuid>,
    filter: Value,
    created_at: DateTime<Utc>,
    created_by: Value,
}

impl TryFrom<BaselineRow> for Baseline {
    type Error = StorageError;

    fn try_from(row: BaselineRow) -> Result<Self, StorageError> {
        Ok(Self {
            id: BaselineId(row.id),
            name: row.name,
            description: row.description,
            digest: digest("digest", row.id, &row.digest)?,
            documents: row.documents.unsigned_abs(),
            collections: row.collections.into_iter().map(CollectionId).collect(),
            filter: serde_json::from_value(row.filter)
                .map_err(|error| inconsistent("filter", row.id, error.to_string()))?,
            created_at: row.created_at,
            created_by: serde_json::from_value::<Actor>(row.created_by)
                .map_err(|error| inconsistent("created_by", row.id, error.to_string()))?,
        })
    }
}

fn digest(column: &'static str, row: Uuid, bytes: &[u8]) -> Result<Digest, StorageError> {
    let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| inconsistent(column, row, "not 32 bytes".to_owned()))?;
    Ok(Digest(bytes))
}

fn inconsistent(column: &'static str, row: Uuid, problem: String) -> StorageError {
    StorageError::Inconsistent { table: "baseline", column, row: row.to_string(), problem }
}
