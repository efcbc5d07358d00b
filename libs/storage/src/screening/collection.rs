//! What was found in a whole collection.

use crate::page::{After, Page};
use crate::{StorageError, Transaction};
use carrel_domain::digest::Digest;
use carrel_domain::{CollectionId, DocumentId, VersionId};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// A document's line in the report of its collection.
#[derive(Clone, Debug)]
pub struct ScreenedDocument {
    /// The document.
    pub document: DocumentId,
    /// Its newest version.
    pub version: VersionId,
    /// Its name.
    pub name: String,
    /// State of the newest version.
    pub state: String,
    /// `None` when it was not screened.
    pub verdict: Option<String>,
    /// Findings in all.
    pub findings: u32,
    /// Counts by kind.
    pub kinds: Value,
    /// When the document was added.
    pub created_at: DateTime<Utc>,
}

/// Documents of a collection with what was found in their newest versions, by age.
pub async fn documents(
    transaction: &mut Transaction,
    collection: CollectionId,
    after: Option<After>,
    limit: u32,
) -> Result<Page<ScreenedDocument>, StorageError> {
    let rows = sqlx::query!(
        r#"select d.id, d.name, d.created_at, v.id as version_id, v.state, s.verdict as "verdict?",
                  s.findings as "findings?", s.kinds as "kinds?"
           from carrel.document d
           join carrel.collection c on c.id = d.collection_id
           join lateral (select n.id, n.state from carrel.document_version n
                         where n.document_id = d.id order by n.number desc limit 1) v on true
           left join carrel.screening s on s.version_id = v.id
           where d.collection_id = $1
             and ($2::timestamptz is null or (d.created_at, d.id) > ($2, $3))
           order by d.created_at, d.id
           limit $4"#,
        collection.0,
        after.map(|after| after.at),
        after.map(|after| after.id),
        i64::from(limit) + 1
    )
    .fetch_all(transaction.connection())
    .await?;
    let rows = rows
        .into_iter()
        .map(|row| ScreenedDocument {
            document: DocumentId(row.id),
            version: VersionId(row.version_id),
            name: row.name,
            state: row.state,
            verdict: row.verdict,
            findings: row.findings.unwrap_or(0).unsigned_abs(),
            kinds: row.kinds.unwrap_or_else(|| Value::Array(Vec::new())),
            created_at: row.created_at,
        })
        .collect();
    Ok(Page::cut(rows, limit, |row| After { at: row.created_at, id: row.document.0 }))
}

/// Sums over the newest versions of a collection.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// Documents.
    pub documents: u64,
    /// Documents by verdict; those that were not screened are missing.
    pub verdicts: Vec<(String, u64)>,
    /// Sums by kind: kind, category, severity, gravest action, findings, validated, values (once per document).
    pub kinds: Vec<KindSum>,
}

/// The sum of a kind.
#[derive(Clone, Debug)]
pub struct KindSum {
    /// What it is.
    pub kind: String,
    /// What policies speak about.
    pub category: String,
    /// How grave it is.
    pub severity: String,
    /// Gravest action.
    pub action: String,
    /// Findings.
    pub count: u64,
    /// Validated findings.
    pub validated: u64,
    /// Different values, counted once in each document.
    pub values: u64,
}

/// Sums over the newest versions of a collection.
pub async fn sums(transaction: &mut Transaction, collection: CollectionId) -> Result<Sums, StorageError> {
    let verdicts = sqlx::query!(
        r#"select s.verdict as "verdict?", count(*) as "documents!"
           from carrel.document d
           join lateral (select n.id from carrel.document_version n
                         where n.document_id = d.id order by n.number desc limit 1) v on true
           left join carrel.screening s on s.version_id = v.id
           where d.collection_id = $1
           group by s.verdict
           order by s.verdict"#,
        collection.0
    )
    .fetch_all(transaction.connection())
    .await?;
    let kinds = sqlx::query!(
        r#"select k.kind as "kind!", min(k.category) as "category!", min(k.severity) as "severity!",
                  (array['allow', 'mask', 'hold'])[max(array_position(array['allow', 'mask', 'hold'], k.action))] as "action!",
                  sum(k.count)::bigint as "count!", sum(k.validated)::bigint as "validated!", sum(k."values")::bigint as "values!"
           from carrel.document d
           join lateral (select n.id from carrel.document_version n
                         where n.document_id = d.id order by n.number desc limit 1) v on true
           join carrel.screening s on s.version_id = v.id
           cross join lateral jsonb_to_recordset(s.kinds)
               as k (kind text, category text, severity text, action text, count bigint, validated bigint, "values" bigint)
           where d.collection_id = $1
           group by k.kind
           order by sum(k.count) desc, k.kind"#,
        collection.0
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(Sums {
        documents: verdicts.iter().map(|row| row.documents.unsigned_abs()).sum(),
        verdicts: verdicts.into_iter().filter_map(|row| Some((row.verdict?, row.documents.unsigned_abs()))).collect(),
        kinds: kinds
            .into_iter()
            .map(|row| KindSum {
                kind: row.kind,
                category: row.category,
                severity: row.severity,
                action: row.action,
                count: row.count.unsigned_abs(),
                validated: row.validated.unsigned_abs(),
                values: row.values.unsigned_abs(),
            })
            .collect(),
    })
}

/// Where a value occurs.
#[derive(Clone, Debug)]
pub struct Occurrence {
    /// The document.
    pub document: DocumentId,
    /// Its name.
    pub name: String,
    /// The version.
    pub version: VersionId,
    /// Its number.
    pub number: u32,
    /// What it was taken for.
    pub kind: String,
    /// How often.
    pub count: u64,
}

/// Versions that hold a value with one of these digests, at most `limit`.
pub async fn occurrences(
    transaction: &mut Transaction,
    digests: &[Digest],
    limit: u32,
) -> Result<Vec<Occurrence>, StorageError> {
    let workspace = transaction.workspace();
    let digests: Vec<&[u8]> = digests.iter().map(|digest| digest.0.as_slice()).collect();
    let rows = sqlx::query!(
        r#"select d.id, d.name, v.id as version_id, v.number, f.kind, count(*) as "count!"
           from carrel.screening_finding f
           join carrel.document_version v on v.id = f.version_id
           join carrel.document d on d.id = v.document_id
           join carrel.collection c on c.id = d.collection_id
           where f.workspace_id = $1 and f.digest = any($2)
           group by d.id, v.id, f.kind
           order by d.created_at, d.id, v.number desc, f.kind
           limit $3"#,
        workspace.0,
        &digests as &[&[u8]],
        i64::from(limit)
    )
    .fetch_all(transaction.connection())
    .await?;
    let found = rows.into_iter().map(|row| Occurrence {
        document: DocumentId(row.id),
        name: row.name,
        version: VersionId(row.version_id),
        number: row.number.unsigned_abs(),
        kind: row.kind,
        count: row.count.unsigned_abs(),
    });
    Ok(found.collect())
}

/// Versions of a collection that screening can decide about again, by id, beyond `after`.
pub async fn screenable(
    transaction: &mut Transaction,
    collection: CollectionId,
    after: Option<VersionId>,
    limit: u32,
) -> Result<Vec<VersionId>, StorageError> {
    let ids = sqlx::query_scalar!(
        "select v.id
         from carrel.document_version v
         join carrel.document d on d.id = v.document_id
         join carrel.collection c on c.id = d.collection_id
         where d.collection_id = $1
           and v.state in ('extracted', 'searchable', 'quarantined')
           and ($2::uuid is null or v.id > $2)
         order by v.id
         limit $3",
        collection.0,
        after.map(|id| id.0),
        i64::from(limit)
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(ids.into_iter().map(VersionId).collect())
}
