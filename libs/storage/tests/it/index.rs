//! Segments, tombstones and merges.

use crate::archive::Shelf;
use carrel_domain::VersionId;
use carrel_domain::search::{Filter, SearchMode};
use carrel_storage::search::{Ranking, SearchQuery, search};
use carrel_storage::{documents, index};

async fn ranked(shelf: &Shelf, words: &[&str]) -> Vec<(VersionId, f32)> {
    let terms: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let mut tx = shelf.begin().await;
    let query = SearchQuery {
        mode: SearchMode::Lexical,
        terms: &terms,
        vector: None,
        generation: None,
        model_languages: &[],
        collections: &[],
        filter: &Filter::default(),
        limit: 100,
        ranking: Ranking::default(),
    };
    let found = search(&mut tx, &query).await.unwrap();
    found.hits.into_iter().map(|hit| (hit.version, hit.scores.lexical.unwrap())).collect()
}

async fn merge(shelf: &Shelf) -> u64 {
    let mut tx = shelf.begin().await;
    let folded = index::merge_segments(&mut tx, shelf.collection).await.unwrap();
    tx.commit().await.unwrap();
    folded
}

fn text(number: u32) -> String {
    let gates = "gate ".repeat(1 + number as usize % 5);
    let filling = "water ".repeat(number as usize % 7);
    format!("{gates}{filling}lock{} quay", number % 3)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_changes_no_score() {
    let shelf = Shelf::new().await;
    let count = u32::try_from(index::MERGE_FACTOR).unwrap();
    for number in 0..count {
        assert_eq!(merge(&shelf).await, 0, "not before {count} segments have gathered");
        shelf.add(&format!("d{number}"), &text(number)).await;
    }
    let queries: [&[&str]; 4] = [&["gate"], &["gate", "lock1"], &["water", "quay", "lock2"], &["absent"]];
    let mut before = Vec::new();
    for query in queries {
        before.push(ranked(&shelf, query).await);
    }
    assert_eq!(merge(&shelf).await, u64::from(count));
    assert_eq!(shelf.database.number("select count(*) from carrel.segment").await, 1);
    for (query, before) in queries.into_iter().zip(before) {
        assert_eq!(ranked(&shelf, query).await, before, "{query:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_drops_what_no_longer_answers() {
    let shelf = Shelf::new().await;
    let count = u32::try_from(index::MERGE_FACTOR).unwrap();
    let mut versions = Vec::new();
    for number in 0..count {
        versions.push(shelf.add(&format!("d{number}"), &text(number)).await);
    }
    let new = shelf.add("d3", "gate gate renewed").await;
    let mut tx = shelf.begin().await;
    let gone = documents::version(&mut tx, versions[4]).await.unwrap().unwrap().document;
    documents::delete(&mut tx, gone).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    assert_eq!(shelf.database.number("select count(*) from carrel.tombstone").await, 2);
    let order = |hits: Vec<(VersionId, f32)>| hits.into_iter().map(|(version, _)| version).collect::<Vec<_>>();
    let before = order(ranked(&shelf, &["gate"]).await);
    assert_eq!(before.len(), count as usize - 1);
    assert!(before.contains(&new) && !before.contains(&versions[3]) && !before.contains(&versions[4]));

    assert_eq!(merge(&shelf).await, u64::from(count) + 1);
    assert_eq!(order(ranked(&shelf, &["gate"]).await), before);
    assert_eq!(shelf.database.number("select count(*) from carrel.tombstone").await, 0);
    let dead = shelf
        .database
        .number(
            "select count(*) from carrel.posting p cross join lateral unnest(p.passages) as u (no)
             where not exists (select from carrel.passage s where s.no = u.no and s.searchable)",
        )
        .await;
    assert_eq!(dead, 0, "postings of passages that no longer answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_merges_do_not_meet() {
    let shelf = Shelf::new().await;
    for number in 0..u32::try_from(index::MERGE_FACTOR).unwrap() {
        shelf.add(&format!("d{number}"), &text(number)).await;
    }
    let mut first = shelf.begin().await;
    assert!(index::merge_segments(&mut first, shelf.collection).await.unwrap() > 0);
    assert_eq!(merge(&shelf).await, 0, "the second leaves it to the first");
    first.rollback().await.unwrap();
    assert!(merge(&shelf).await > 0);
}
