//! Passages: the pieces of a version's text that answer.

use super::VersionPlace;
use crate::{StorageError, Transaction};
use carrel_domain::{Language, Span, VersionId};

/// A passage to store.
#[derive(Clone, Debug)]
pub struct NewPassage {
    /// From 0.
    pub ordinal: u32,
    /// In the rendition.
    pub span: Span,
    /// Page of its first character.
    pub page: Option<u32>,
    /// Where further pages begin in it: code points from its start, and the page's number.
    pub page_breaks: Vec<(u32, u32)>,
    /// Headings above it, outermost first.
    pub headings: Vec<String>,
    /// Its text.
    pub text: String,
}

/// A passage with what belongs to its meaning.
#[derive(Clone, Debug)]
pub struct PassageText {
    /// From 0.
    pub ordinal: u32,
    /// Headings above it, outermost first.
    pub headings: Vec<String>,
    /// Its text.
    pub text: String,
}

/// Replaces the passages of a version that is not searchable yet. They answer after [`super::publish`].
pub async fn replace_passages(
    transaction: &mut Transaction,
    version: VersionId,
    place: VersionPlace,
    language: Language,
    passages: &[NewPassage],
) -> Result<(), StorageError> {
    put_passages(transaction, version, place, language, passages, None).await
}

/// With the number of terms in each, by ordinal, the passages answer from the commit on.
pub(super) async fn put_passages(
    transaction: &mut Transaction,
    version: VersionId,
    place: VersionPlace,
    language: Language,
    passages: &[NewPassage],
    lengths: Option<&[i32]>,
) -> Result<(), StorageError> {
    let workspace = transaction.workspace();
    sqlx::query!("delete from carrel.passage where version_id = $1", version.0)
        .execute(transaction.connection())
        .await?;
    let ordinals: Vec<i32> = passages.iter().map(|passage| passage.ordinal.cast_signed()).collect();
    let starts: Vec<i32> = passages.iter().map(|passage| passage.span.start.cast_signed()).collect();
    let ends: Vec<i32> = passages.iter().map(|passage| passage.span.end.cast_signed()).collect();
    let pages: Vec<Option<i32>> = passages.iter().map(|passage| passage.page.map(u32::cast_signed)).collect();
    // Arrays of arrays must be rectangular, so headings travel as JSON.
    let breaks = passages.iter().map(|passage| &passage.page_breaks);
    let breaks: Vec<Option<serde_json::Value>> =
        breaks.map(|breaks| (!breaks.is_empty()).then(|| serde_json::json!(breaks))).collect();
    let headings: Vec<serde_json::Value> =
        passages.iter().map(|passage| serde_json::Value::from(passage.headings.clone())).collect();
    let texts: Vec<&str> = passages.iter().map(|passage| passage.text.as_str()).collect();
    sqlx::query!(
        "insert into carrel.passage
             (workspace_id, collection_id, document_id, version_id, ordinal, span_start, span_end, page, page_breaks,
              headings, language, text, tokens, searchable)
         select $1, $2, $3, $4, p.ordinal, p.span_start, p.span_end, p.page, p.page_breaks,
                array(select jsonb_array_elements_text(p.headings)), $5, p.text, ($12::int[])[p.ordinal + 1],
                $12::int[] is not null
         from unnest($6::int[], $7::int[], $8::int[], $9::int[], $10::jsonb[], $11::text[], $13::jsonb[])
              as p (ordinal, span_start, span_end, page, headings, text, page_breaks)",
        workspace.0,
        place.collection.0,
        place.document.0,
        version.0,
        language.as_str(),
        &ordinals,
        &starts,
        &ends,
        &pages as &[Option<i32>],
        &headings,
        &texts as &[&str],
        lengths,
        &breaks as &[Option<serde_json::Value>]
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Passages of a version with `first <= ordinal < end`, in order.
pub async fn passages(
    transaction: &mut Transaction,
    version: VersionId,
    first: u32,
    end: u32,
) -> Result<Vec<PassageText>, StorageError> {
    let rows = sqlx::query!(
        "select ordinal, headings, text from carrel.passage
         where version_id = $1 and ordinal >= $2 and ordinal < $3
         order by ordinal",
        version.0,
        first.cast_signed(),
        end.cast_signed()
    )
    .fetch_all(transaction.connection())
    .await?;
    let passages = rows.into_iter().map(|row| PassageText {
        ordinal: row.ordinal.unsigned_abs(),
        headings: row.headings,
        text: row.text,
    });
    Ok(passages.collect())
}
