//! Texts of versions.

use super::digest;
use crate::{StorageError, Transaction};
use carrel_domain::digest::Digest;
use carrel_domain::text::{Rendition, TextMap};
use carrel_domain::{Language, Span, VersionId};
use chrono::{DateTime, Utc};

/// A rendition as stored, with its text.
#[derive(Clone, Debug)]
pub struct StoredRendition {
    /// Title found inside.
    pub title: Option<String>,
    /// Language.
    pub language: Language,
    /// Whole text.
    pub text: String,
    /// Pages and sections.
    pub map: TextMap,
    /// SHA-256 of the text's UTF-8 bytes.
    pub sha256: Digest,
}

/// The rendition of a version.
pub async fn rendition(transaction: &mut Transaction, id: VersionId) -> Result<Option<StoredRendition>, StorageError> {
    let row =
        sqlx::query!("select title, language, text, map, sha256 from carrel.rendition where version_id = $1", id.0)
            .fetch_optional(transaction.connection())
            .await?;
    let Some(row) = row else { return Ok(None) };
    let inconsistent = |column: &'static str, problem: String| StorageError::Inconsistent {
        table: "rendition",
        column,
        row: id.to_string(),
        problem,
    };
    Ok(Some(StoredRendition {
        title: row.title,
        language: Language::parse(&row.language).unwrap_or(Language::UNDETERMINED),
        map: serde_json::from_value(row.map).map_err(|error| inconsistent("map", error.to_string()))?,
        sha256: digest(&row.sha256).ok_or_else(|| inconsistent("sha256", "not 32 bytes".to_owned()))?,
        text: row.text,
    }))
}

/// A part of a rendition's text with the number of code points in all; the part is cut at the text's end.
pub async fn rendition_slice(
    transaction: &mut Transaction,
    id: VersionId,
    span: Span,
) -> Result<Option<(String, u32)>, StorageError> {
    // Positions count from one in SQL, so the last of them must stay free.
    let start = span.start.min(i32::MAX.unsigned_abs() - 1);
    let row = sqlx::query!(
        r#"select substring(r.text from $2::int + 1 for $3::int) as "part!", r.characters
           from carrel.rendition r
           join carrel.document_version v on v.id = r.version_id
           join carrel.document d on d.id = v.document_id
           join carrel.collection c on c.id = d.collection_id
           where r.version_id = $1"#,
        id.0,
        start.cast_signed(),
        span.len().cast_signed()
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(|row| (row.part, row.characters.unsigned_abs())))
}

/// A rendition to store.
#[derive(Debug)]
pub struct NewRendition<'a> {
    /// Its version.
    pub version: VersionId,
    /// What was extracted.
    pub rendition: &'a Rendition,
    /// Its language.
    pub language: Language,
    /// SHA-256 of the text's UTF-8 bytes.
    pub sha256: Digest,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Stores a rendition and moves its version on to `extracted`. A second time changes nothing.
pub async fn insert_rendition(transaction: &mut Transaction, new: &NewRendition<'_>) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    let map = serde_json::to_value(&new.rendition.map).map_err(|error| StorageError::Inconsistent {
        table: "rendition",
        column: "map",
        row: new.version.to_string(),
        problem: error.to_string(),
    })?;
    sqlx::query!(
        "insert into carrel.rendition
             (version_id, workspace_id, media_type, title, language, characters, sha256, text, map, warnings, created_at)
         values ($1, $2, $3, $4, $5, length($7), $6, $7, $8, $9, $10)
         on conflict (version_id) do nothing",
        new.version.0,
        workspace.0,
        new.rendition.media_type,
        new.rendition.title,
        new.language.as_str(),
        &new.sha256.0[..],
        new.rendition.text,
        map,
        &new.rendition.warnings,
        new.now
    )
    .execute(transaction.connection())
    .await?;
    sqlx::query!(
        "update carrel.document_version set state = 'extracted', failure_code = null, failure_message = null
         where id = $1 and state in ('received', 'failed')",
        new.version.0
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Removes a rendition. Its version is not readable until another one is stored.
pub async fn remove_rendition(transaction: &mut Transaction, id: VersionId) -> Result<(), StorageError> {
    sqlx::query!("delete from carrel.rendition where version_id = $1", id.0).execute(transaction.connection()).await?;
    sqlx::query!(
        "update carrel.document_version set state = 'received', searchable_at = null
         where id = $1 and state in ('extracted', 'searchable', 'quarantined')",
        id.0
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}
