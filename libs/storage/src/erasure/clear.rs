//! What is cleared, in which order.

use super::{as_json, insert_targets};
use crate::{StorageError, Transaction};
use carrel_domain::ErasureId;
use carrel_domain::custody::{ClearedPlace, ErasureProgress, Remainder};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

/// What stands for a claim that quoted what was erased.
pub const ERASED_CLAIM: &str = "Erased: this claim quoted a document that was erased.";

/// Passages that are looked for afterwards.
const PROBES: i64 = 8;

/// Which ids a place is cleared by.
#[derive(Clone, Copy)]
pub(super) enum Key {
    /// `uuid[]` of documents.
    Documents,
    /// `uuid[]` of versions.
    Versions,
    /// `int[]` of passage numbers.
    Passages,
    /// `text[]` of the ids of documents and versions.
    Names,
}

/// A table with rows of documents.
pub(super) struct Place {
    pub(super) table: &'static str,
    pub(super) key: Key,
    /// Which rows; `$1` are the key's ids.
    pub(super) condition: &'static str,
}

const fn place(table: &'static str, key: Key, condition: &'static str) -> Place {
    Place { table, key, condition }
}

/// In the order of clearing. What somebody may be adding to at this moment comes after what he must hold on to for it
/// (versions and renditions), so that a row that is committed in between is seen.
pub(super) const PLACES: &[Place] = &[
    place("rendition", Key::Versions, "version_id = any($1)"),
    place("posting_history", Key::Versions, "version_id = any($1)"),
    place("embedding", Key::Passages, "passage_no = any($1)"),
    place("passage", Key::Versions, "version_id = any($1)"),
    place("tombstone", Key::Passages, "passage_no = any($1)"),
    place("research_evidence", Key::Versions, "version_id = any($1)"),
    place("research_citation", Key::Versions, "version_id = any($1)"),
    place("screening_finding", Key::Versions, "version_id = any($1)"),
    place("screening", Key::Versions, "version_id = any($1)"),
    place("similarity", Key::Versions, "version_id = any($1)"),
    place("custody_event", Key::Documents, "document_id = any($1)"),
    place(
        "idempotency",
        Key::Names,
        "exists (select from unnest($1::text[]) as n (name) where strpos(reply::text, n.name) > 0)",
    ),
    place("document_version", Key::Documents, "document_id = any($1)"),
    place("document", Key::Documents, "id = any($1)"),
];

/// Ids by which places are cleared.
#[derive(Debug, Default)]
pub(super) struct Keys {
    documents: Vec<Uuid>,
    versions: Vec<Uuid>,
    passages: Vec<i32>,
    names: Vec<String>,
}

impl Keys {
    pub(super) fn of(progress: &ErasureProgress) -> Self {
        let documents: Vec<Uuid> = progress.documents.iter().map(|id| id.0).collect();
        let versions: Vec<Uuid> = progress.versions.iter().map(|version| version.id.0).collect();
        let names = documents.iter().chain(&versions).map(Uuid::to_string).collect();
        Self { documents, versions, passages: progress.passages.clone(), names }
    }
}

fn count(progress: &mut ErasureProgress, place: &str, rows: u64) {
    match progress.places.iter_mut().find(|known| known.place == place) {
        Some(known) => known.count += rows,
        None => progress.places.push(ClearedPlace { place: place.to_owned(), count: rows }),
    }
}

/// Clears every table of what `erasure` names and keeps what it did in the erasure itself. Doing it again clears what is
/// left. The documents must be locked ([`super::family`]).
pub async fn clear(
    transaction: &mut Transaction,
    erasure: ErasureId,
    progress: &mut ErasureProgress,
) -> Result<(), StorageError> {
    sqlx::query("set local statement_timeout = '10min'").execute(transaction.connection()).await?;
    insert_targets(transaction, erasure, &progress.documents).await?;
    // Before anything is deleted: whoever merges segments must not wait for these rows while this waits for him.
    for collection in &progress.collections {
        sqlx::query("select pg_advisory_xact_lock(hashtextextended('merge:' || $1, 0))")
            .bind(collection.to_string())
            .execute(transaction.connection())
            .await?;
    }
    let versions: Vec<Uuid> = progress.versions.iter().map(|version| version.id.0).collect();
    let passages =
        sqlx::query!("select no, text from carrel.passage where version_id = any($1) order by no", &versions)
            .fetch_all(transaction.connection())
            .await?;
    let step = (passages.len() / PROBES as usize).max(1);
    let probes: Vec<String> = passages.iter().step_by(step).filter_map(|row| probe(&row.text)).collect();
    progress.passages.extend(passages.iter().map(|row| row.no));
    progress.passages.sort_unstable();
    progress.passages.dedup();
    drop(passages);
    clear_postings(transaction, progress).await?;
    clear_claims(transaction, &versions, progress).await?;
    let keys = Keys::of(progress);
    for place in PLACES {
        let sql = format!("delete from carrel.{} where {}", place.table, place.condition);
        let rows = run(transaction, sql, place.key, &keys).await?;
        count(progress, place.table, rows);
    }
    // Once more: a report that was being written held on to its rendition until now.
    clear_claims(transaction, &versions, progress).await?;
    let ids: Vec<Uuid> = keys.documents.iter().chain(&keys.versions).copied().collect();
    let removed: Vec<(String, i64)> = sqlx::query_as("select place, removed from carrel.erase_jobs_of($1, $2)")
        .bind(&versions)
        .bind(&ids)
        .fetch_all(transaction.connection())
        .await?;
    for (place, rows) in removed {
        count(progress, &place, rows.unsigned_abs());
    }
    progress.remains = remains(transaction, &versions, &keys.documents).await?;
    sqlx::query!(
        "update carrel.erasure
         set state = 'clearing', progress = $2, probes = coalesce(probes, '{}') || $3::text[]
         where id = $1",
        erasure.0,
        as_json(progress, erasure.0)?,
        &probes
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

pub(super) async fn run(
    transaction: &mut Transaction,
    sql: String,
    key: Key,
    keys: &Keys,
) -> Result<u64, StorageError> {
    // Made of this file's own words.
    let query = sqlx::query(AssertSqlSafe(sql));
    let query = match key {
        Key::Documents => query.bind(&keys.documents),
        Key::Versions => query.bind(&keys.versions),
        Key::Passages => query.bind(&keys.passages),
        Key::Names => query.bind(&keys.names),
    };
    Ok(query.execute(transaction.connection()).await?.rows_affected())
}

/// The longest stretch of a text's beginning that every column shows as it is: JSON writes quotes and controls otherwise.
fn probe(text: &str) -> Option<String> {
    let plain = |c: char| !c.is_control() && c != '"' && c != '\\';
    let parts = text.split(|c| !plain(c)).map(str::trim);
    let longest = parts.max_by_key(|part| part.chars().count())?;
    let cut: String = longest.chars().take(60).collect();
    let cut = cut.trim().to_owned();
    (cut.chars().count() >= 12).then_some(cut)
}

/// Takes the passages out of the blocks of the segments. Blocks are in the order of passages, so a look at their ends
/// tells which can hold one.
async fn clear_postings(transaction: &mut Transaction, progress: &mut ErasureProgress) -> Result<(), StorageError> {
    let (Some(first), Some(last)) = (progress.passages.first(), progress.passages.last()) else {
        count(progress, "posting", 0);
        return Ok(());
    };
    let collections: Vec<Uuid> = progress.collections.iter().map(|id| id.0).collect();
    let rows: i64 = sqlx::query_scalar(
        "with dead as materialized (
             select d.no from unnest($2::int[]) as d (no)
         ), touched as (
             delete from carrel.posting p
             where p.collection_id = any($1)
               and p.passages[1] <= $4 and p.passages[cardinality(p.passages)] >= $3
               and exists (select from unnest(p.passages) as u (no) where u.no in (select d.no from dead d))
             returning p.workspace_id, p.collection_id, p.term, p.segment_no, p.passages, p.impacts
         ), rewritten as (
             insert into carrel.posting (workspace_id, collection_id, term, segment_no, passages, impacts)
             select t.workspace_id, t.collection_id, t.term, t.segment_no, array_agg(u.no order by u.place),
                    array_agg(u.impact order by u.place)
             from touched t
             cross join lateral unnest(t.passages, t.impacts) with ordinality as u (no, impact, place)
             where u.no not in (select d.no from dead d)
             group by t.workspace_id, t.collection_id, t.term, t.segment_no, t.passages[1]
         )
         select count(*) from touched",
    )
    .bind(&collections)
    .bind(&progress.passages)
    .bind(first)
    .bind(last)
    .fetch_one(transaction.connection())
    .await?;
    count(progress, "posting", rows.unsigned_abs());
    Ok(())
}

/// Takes the words of claims that quote the versions, and of what was announced of them.
async fn clear_claims(
    transaction: &mut Transaction,
    versions: &[Uuid],
    progress: &mut ErasureProgress,
) -> Result<(), StorageError> {
    let events = sqlx::query!(
        "update carrel.research_event e
         set payload = jsonb_build_object('text', $2::text, 'citations', 0)
         from carrel.research_claim l
         where e.run_id = l.run_id and e.kind = 'claim' and e.payload ->> 'text' = l.text and l.text <> $2
           and l.id in (select c.claim_id from carrel.research_citation c where c.version_id = any($1))",
        versions,
        ERASED_CLAIM
    )
    .execute(transaction.connection())
    .await?;
    count(progress, "research_event", events.rows_affected());
    let claims = sqlx::query!(
        "update carrel.research_claim l set text = $2
         where l.text <> $2
           and l.id in (select c.claim_id from carrel.research_citation c where c.version_id = any($1))",
        versions,
        ERASED_CLAIM
    )
    .execute(transaction.connection())
    .await?;
    count(progress, "research_claim", claims.rows_affected());
    let citations = sqlx::query!("delete from carrel.research_citation where version_id = any($1)", versions)
        .execute(transaction.connection())
        .await?;
    count(progress, "research_citation", citations.rows_affected());
    Ok(())
}

/// What stays: lines of baselines, and the trail.
async fn remains(
    transaction: &mut Transaction,
    versions: &[Uuid],
    documents: &[Uuid],
) -> Result<Vec<Remainder>, StorageError> {
    let row = sqlx::query!(
        r#"select (select count(*) from carrel.baseline_member m where m.document_id = any($2)) as "members!",
                  (select count(*) from carrel.audit_entry e where e.subject = any($1) or e.subject = any($2)) as "entries!",
                  (select count(*) from carrel.legal_hold h where h.document_id = any($2)) as "holds!""#,
        versions,
        documents
    )
    .fetch_one(transaction.connection())
    .await?;
    let stays = [
        (
            "baseline_member",
            row.members,
            "ids, names, sizes and digests, which the digest of a baseline covers; no text",
        ),
        ("audit_entry", row.entries, "who did what and when, with ids and digests; no text"),
        ("legal_hold", row.holds, "released holds with their reasons"),
    ];
    let stays = stays.into_iter().filter(|(_, rows, _)| *rows > 0).map(|(place, rows, why)| Remainder {
        place: place.to_owned(),
        count: rows.unsigned_abs(),
        why: why.to_owned(),
    });
    Ok(stays.collect())
}

#[cfg(test)]
mod tests {
    use super::probe;

    #[test]
    fn probes_are_what_every_column_shows_as_it_is() {
        assert_eq!(probe("short"), None);
        assert_eq!(probe("He said \"the gate closes in ninety\" twice").as_deref(), Some("the gate closes in ninety"));
        assert_eq!(probe(&"wort ".repeat(40)).map(|found| found.chars().count() <= 60), Some(true));
    }
}
