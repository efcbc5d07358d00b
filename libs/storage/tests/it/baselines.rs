//! Baselines: what was frozen answers as it did, whatever comes later.

use crate::archive::{Shelf, noon};
use carrel_domain::baseline::{Baseline, Change, Member, manifest};
use carrel_domain::digest::Digest;
use carrel_domain::search::{Filter, SearchMode};
use carrel_domain::{Actor, BaselineId, VersionId};
use carrel_storage::search::{Ranking, SearchQuery, search};
use carrel_storage::{baselines, documents, index};
use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::str::FromStr;
use uuid::Uuid;

async fn freeze(shelf: &Shelf, name: &str) -> (BaselineId, Vec<Member>) {
    let mut tx = shelf.begin().await;
    let members = baselines::choose(&mut tx, &[], &Filter::default(), 1_000).await.unwrap();
    let baseline = Baseline {
        id: BaselineId(Uuid::now_v7()),
        name: name.to_owned(),
        description: String::new(),
        digest: Digest([u8::try_from(manifest(&members).unwrap().len() % 251).unwrap(); 32]),
        documents: u32::try_from(members.len()).unwrap(),
        collections: Vec::new(),
        filter: Filter::default(),
        created_at: DateTime::from_timestamp_micros(Utc::now().timestamp_micros()).unwrap(),
        created_by: Actor::Operator,
    };
    baselines::insert(&mut tx, &baseline, &members).await.unwrap();
    assert_eq!(baselines::get(&mut tx, baseline.id).await.unwrap(), Some(baseline.clone()));
    assert_eq!(baselines::members(&mut tx, baseline.id, None, 1_000).await.unwrap(), members);
    tx.commit().await.unwrap();
    (baseline.id, members)
}

async fn found(shelf: &Shelf, filter: &Filter, words: &[&str]) -> Vec<(VersionId, f32)> {
    let terms: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let mut tx = shelf.begin().await;
    let query = SearchQuery {
        mode: SearchMode::Lexical,
        terms: &terms,
        vector: None,
        generation: None,
        model_languages: &[],
        collections: &[],
        filter,
        limit: 100,
        ranking: Ranking::default(),
    };
    let found = search(&mut tx, &query).await.unwrap();
    found.hits.into_iter().map(|hit| (hit.version, hit.scores.lexical.unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_baseline_answers_the_same_whatever_comes_later() {
    let shelf = Shelf::new().await;
    let first = shelf.add("gate", "The gate closes in 105 seconds").await;
    shelf.add("quay", "The quay has no gate at all").await;
    let (id, _) = freeze(&shelf, "as signed").await;
    let frozen = Filter { baseline: Some(id), ..Filter::default() };
    let before = found(&shelf, &frozen, &["gate", "closes", "seconds"]).await;
    assert_eq!(before[0].0, first);
    assert_eq!(before.len(), 2);

    let second = shelf.add("gate", "The gate closes in 110 seconds").await;
    for number in 0..index::MERGE_FACTOR {
        shelf.add(&format!("other {number}"), "gate gate gate closes closes seconds").await;
        assert_eq!(found(&shelf, &frozen, &["gate", "closes", "seconds"]).await, before, "after {number} others");
    }
    let mut tx = shelf.begin().await;
    assert!(index::merge_segments(&mut tx, shelf.collection).await.unwrap() > 0);
    tx.commit().await.unwrap();
    assert!(shelf.database.number("select count(*) from carrel.posting_history").await > 0);
    assert_eq!(found(&shelf, &frozen, &["gate", "closes", "seconds"]).await, before, "after a merge");

    let now: Vec<VersionId> = found(&shelf, &Filter::default(), &["110"]).await.into_iter().map(|hit| hit.0).collect();
    assert_eq!(now, [second]);
    assert_eq!(found(&shelf, &Filter::default(), &["105"]).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_answers_from_what_was_current_then() {
    let shelf = Shelf::new().await;
    let first = shelf.add("gate", "closes in 105 seconds").await;
    let second = shelf.add("gate", "closes in 110 seconds").await;
    sqlx::query("update carrel.document_version set searchable_at = searchable_at + interval '1 hour' where id = $1")
        .bind(second.0)
        .execute(&shelf.database.owner)
        .await
        .unwrap();
    let versions = async |as_of: DateTime<Utc>| -> Vec<VersionId> {
        let filter = Filter { as_of: Some(as_of), ..Filter::default() };
        found(&shelf, &filter, &["closes", "seconds"]).await.into_iter().map(|hit| hit.0).collect()
    };
    assert_eq!(versions(noon()).await, [first]);
    assert_eq!(versions(noon() + chrono::Duration::hours(2)).await, [second]);
    assert_eq!(versions(DateTime::UNIX_EPOCH).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_between_two_baselines_is_told() {
    let shelf = Shelf::new().await;
    let kept = shelf.add("kept", "the same in both").await;
    let old = shelf.add("revised", "the first wording").await;
    let gone = shelf.add("gone", "not there for long").await;
    let (before, members) = freeze(&shelf, "before").await;
    assert_eq!(members.len(), 3);
    assert!(members.iter().any(|member| member.version_id == kept));
    let new = shelf.add("revised", "the second wording").await;
    let mut tx = shelf.begin().await;
    let document = documents::version(&mut tx, gone).await.unwrap().unwrap().document;
    documents::delete(&mut tx, document).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let added = shelf.add("added", "came last").await;
    let (after, _) = freeze(&shelf, "after").await;

    let mut tx = shelf.begin().await;
    let changes = baselines::changes(&mut tx, before, after, None, 100).await.unwrap();
    assert_eq!(changes.len(), 3);
    for change in &changes {
        match change {
            Change::Added(member) => assert_eq!(member.version_id, added),
            Change::Removed(member) => assert_eq!(member.version_id, gone),
            Change::Changed { before, after } => assert_eq!((before.version_id, after.version_id), (old, new)),
        }
    }
    assert_eq!(baselines::changes(&mut tx, before, before, None, 100).await.unwrap(), []);
    // What was deleted is still told by the manifest.
    assert_eq!(baselines::members(&mut tx, before, None, 100).await.unwrap(), members);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_changes_what_was_frozen() {
    let shelf = Shelf::new().await;
    shelf.add("gate", "closes in 105 seconds").await;
    freeze(&shelf, "as signed").await;
    let options = PgConnectOptions::from_str(&shelf.database.service_url).unwrap().options([("role", "carrel_app")]);
    let service = PgPoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    for sql in [
        "update carrel.baseline_member set number = 2",
        "delete from carrel.baseline_member",
        "update carrel.baseline set name = 'other'",
        "delete from carrel.baseline",
    ] {
        let refused = sqlx::query(sql).execute(&service).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{sql}: {refused}");
    }
    let owner = sqlx::query("update carrel.baseline_member set number = 2").execute(&shelf.database.owner).await;
    assert!(owner.unwrap_err().to_string().contains("immutable"));
}
