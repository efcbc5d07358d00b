//! Looking for what may be left of an erased document.

use super::clear::{Keys, PLACES, run};
use crate::{StorageError, Transaction};
use carrel_domain::ErasureId;
use carrel_domain::custody::{ClearedPlace, ErasureProgress};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

/// Rows that the erased ids still have, by table.
pub async fn leftovers(
    transaction: &mut Transaction,
    progress: &ErasureProgress,
) -> Result<Vec<ClearedPlace>, StorageError> {
    sqlx::query("set local statement_timeout = '10min'").execute(transaction.connection()).await?;
    let keys = Keys::of(progress);
    let mut found = Vec::new();
    for place in PLACES {
        let sql = format!("select 1 from carrel.{} where {}", place.table, place.condition);
        let rows = run(transaction, sql, place.key, &keys).await?;
        found.push(ClearedPlace { place: place.table.to_owned(), count: rows });
    }
    let collections: Vec<Uuid> = progress.collections.iter().map(|id| id.0).collect();
    let blocks: i64 = sqlx::query_scalar(
        "select count(*) from carrel.posting p
         where p.collection_id = any($1)
           and exists (select from unnest(p.passages) as u (no) where u.no in (select d from unnest($2::int[]) d))",
    )
    .bind(&collections)
    .bind(&progress.passages)
    .fetch_one(transaction.connection())
    .await?;
    found.push(ClearedPlace { place: "posting".to_owned(), count: blocks.unsigned_abs() });
    Ok(found)
}

/// Words to look for, and which of them other documents hold as well.
pub async fn probes(
    transaction: &mut Transaction,
    erasure: ErasureId,
) -> Result<(Vec<String>, Vec<String>), StorageError> {
    sqlx::query("set local statement_timeout = '10min'").execute(transaction.connection()).await?;
    let rows = sqlx::query!(
        r#"select p as "probe!", exists (select from carrel.rendition r where strpos(r.text, p) > 0) as "elsewhere!"
           from (select distinct unnest(e.probes) as p from carrel.erasure e where e.id = $1) as w"#,
        erasure.0
    )
    .fetch_all(transaction.connection())
    .await?;
    let (elsewhere, alone): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.elsewhere);
    let words = |rows: Vec<_>, of: fn(_) -> String| -> Vec<String> { rows.into_iter().map(of).collect() };
    Ok((words(alone, |row| row.probe), words(elsewhere, |row| row.probe)))
}

/// Looks for words in every column of every table that can hold text; answers the tables that were looked at, each with
/// the rows in which one of them stands.
pub async fn scan(transaction: &mut Transaction, words: &[String]) -> Result<Vec<ClearedPlace>, StorageError> {
    sqlx::query("set local statement_timeout = '10min'").execute(transaction.connection()).await?;
    // Partitions are read through their tables. The erasures themselves hold the words for as long as they run.
    let tables: Vec<(String, Vec<String>, Vec<bool>)> = sqlx::query_as(
        "select c.relname::text, array_agg(quote_ident(a.attname) order by a.attnum),
                array_agg(a.atttypid = 'bytea'::regtype order by a.attnum)
         from pg_class c
         join pg_namespace n on n.oid = c.relnamespace
         join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
         where n.nspname = 'carrel' and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> 'erasure'
           and a.atttypid in ('text'::regtype, 'varchar'::regtype, 'text[]'::regtype, 'json'::regtype, 'jsonb'::regtype,
                              'bytea'::regtype)
           and has_table_privilege(c.oid, 'select')
         group by c.relname
         order by c.relname",
    )
    .fetch_all(transaction.connection())
    .await?;
    let mut found = Vec::with_capacity(tables.len());
    for (table, columns, bytes) in tables {
        let tests = columns.iter().zip(bytes).map(|(column, bytes)| {
            if bytes {
                format!("position(convert_to(w.word, 'UTF8') in t.{column}) > 0")
            } else {
                format!("strpos(t.{column}::text, w.word) > 0")
            }
        });
        let tests = tests.collect::<Vec<_>>().join(" or ");
        let sql = format!(
            "select count(*) from carrel.{table} t where exists (select from unnest($1::text[]) as w (word) where {tests})"
        );
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).bind(words).fetch_one(transaction.connection()).await?;
        found.push(ClearedPlace { place: table, count: rows.unsigned_abs() });
    }
    Ok(found)
}
