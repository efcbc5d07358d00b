//! Versions that take each other's place, and pages that join.

use carrel_domain::archive::{Collection, Origin};
use carrel_domain::digest::Digest;
use carrel_domain::text::{Rendition, TextMap};
use carrel_domain::{Actor, CollectionId, Digests, DocumentId, Language, Span, VersionId, WorkspaceId};
use carrel_storage::documents::{self, DocumentFilter, NewRendition, NewVersion, Received};
use carrel_storage::index::{self, NewPassage, Published, TermCount, VersionTerms};
use carrel_storage::{Transaction, collections, originals};
use carrel_testkit::TestDatabase;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A database with a collection.
pub(crate) struct Shelf {
    pub(crate) database: TestDatabase,
    pub(crate) workspace: WorkspaceId,
    pub(crate) collection: CollectionId,
}

pub(crate) fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub(crate) fn digests(text: &str) -> Digests {
    let mut digest = [0_u8; 32];
    for (index, byte) in text.bytes().enumerate() {
        digest[index % 32] = digest[index % 32].wrapping_mul(31) ^ byte;
    }
    Digests { sha256: Digest(digest), blake3: Digest(digest) }
}

impl Shelf {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::create().await;
        let workspace = database.workspace().await;
        let collection = CollectionId(Uuid::now_v7());
        let shelf = Self { database, workspace, collection };
        let mut tx = shelf.begin().await;
        let row = Collection {
            id: collection,
            name: "shelf".to_owned(),
            description: String::new(),
            created_at: noon(),
            documents: 0,
        };
        collections::insert(&mut tx, &row).await.unwrap();
        tx.commit().await.unwrap();
        shelf
    }

    pub(crate) async fn begin(&self) -> Transaction {
        self.database.database.begin(self.workspace).await.unwrap()
    }

    pub(crate) async fn receive(&self, tx: &mut Transaction, name: &str, text: &str) -> Received {
        let digests = digests(text);
        originals::register(tx, &digests, text.len() as u64, noon()).await.unwrap().expect("it is not being released");
        let new = NewVersion {
            version: VersionId(Uuid::now_v7()),
            document: DocumentId(Uuid::now_v7()),
            collection: self.collection,
            external_id: name.to_owned(),
            file_name: name.to_owned(),
            title: None,
            media_type: None,
            metadata: None,
            sha256: digests.sha256,
            now: noon(),
            by: Actor::Operator,
            origin: Origin::Upload,
        };
        documents::receive(tx, &new).await.unwrap().expect("the collection is there")
    }

    /// A version with its rendition and one passage; not published.
    pub(crate) async fn extract(&self, name: &str, text: &str) -> VersionId {
        let mut tx = self.begin().await;
        let (Received::Created { version, .. }
        | Received::Revised { version, .. }
        | Received::Unchanged { version, .. }) = self.receive(&mut tx, name, text).await;
        let rendition = Rendition {
            media_type: "text/plain".to_owned(),
            text: text.to_owned(),
            title: None,
            map: TextMap::default(),
            warnings: Vec::new(),
        };
        let new = NewRendition {
            version,
            rendition: &rendition,
            language: Language::UNDETERMINED,
            sha256: digests(text).sha256,
            now: noon(),
        };
        documents::insert_rendition(&mut tx, &new).await.unwrap();
        let place = index::place(&mut tx, version).await.unwrap().unwrap();
        let passage = NewPassage {
            ordinal: 0,
            span: Span::new(0, u32::try_from(text.chars().count()).unwrap()).unwrap(),
            page: None,
            page_breaks: Vec::new(),
            headings: Vec::new(),
            text: text.to_owned(),
        };
        index::replace_passages(&mut tx, version, place, Language::UNDETERMINED, &[passage]).await.unwrap();
        tx.commit().await.unwrap();
        version
    }

    pub(crate) async fn publish(&self, version: VersionId, text: &str) -> Published {
        let mut counts = BTreeMap::new();
        for word in text.split_whitespace() {
            *counts.entry(word.to_owned()).or_insert(0) += 1;
        }
        let lengths = vec![counts.values().sum()];
        let counts = counts.into_iter().map(|(term, count)| TermCount { ordinal: 0, term, count }).collect();
        let mut tx = self.begin().await;
        let place = index::place(&mut tx, version).await.unwrap().unwrap();
        let terms = VersionTerms { counts, lengths };
        let done = index::publish(&mut tx, version, place, Language::UNDETERMINED, &terms, noon()).await.unwrap();
        tx.commit().await.unwrap();
        done
    }

    pub(crate) async fn add(&self, name: &str, text: &str) -> VersionId {
        let version = self.extract(name, text).await;
        self.publish(version, text).await;
        version
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_older_version_does_not_take_the_newer_ones_place() {
    let shelf = Shelf::new().await;
    let first = shelf.extract("gate", "gate ninety").await;
    let second = shelf.extract("gate", "gate sixty").await;
    assert!(shelf.publish(second, "gate sixty").await.current);
    assert!(!shelf.publish(first, "gate ninety").await.current, "it came too late");
    assert!(shelf.publish(second, "gate sixty").await.current, "publishing twice changes nothing");
    let searchable = shelf.database.number("select count(*) from carrel.passage where searchable").await;
    assert_eq!(searchable, 1);
    assert_eq!(shelf.database.number("select count(*) from carrel.segment").await, 1);
    let mut tx = shelf.begin().await;
    let document = documents::version(&mut tx, second).await.unwrap().unwrap().document;
    assert_eq!(documents::get(&mut tx, document).await.unwrap().unwrap().current, Some(second));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_bytes_are_unchanged_unless_reading_them_failed() {
    let shelf = Shelf::new().await;
    let mut tx = shelf.begin().await;
    let Received::Created { document, version } = shelf.receive(&mut tx, "gate", "one").await else { panic!() };
    assert_eq!(shelf.receive(&mut tx, "gate", "one").await, Received::Unchanged { document, version });
    tx.commit().await.unwrap();
    sqlx::query("update carrel.document_version set state = 'failed', failure_code = 'x'")
        .execute(&shelf.database.owner)
        .await
        .unwrap();
    let mut tx = shelf.begin().await;
    assert!(matches!(shelf.receive(&mut tx, "gate", "one").await, Received::Revised { .. }));
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_join_even_where_times_are_equal() {
    let shelf = Shelf::new().await;
    for number in 0..11 {
        let mut tx = shelf.begin().await;
        shelf.receive(&mut tx, &format!("d{number}"), &format!("text {number}")).await;
        tx.commit().await.unwrap();
    }
    for limit in [1, 3, 11, 200] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let mut tx = shelf.begin().await;
            let filter = DocumentFilter::default();
            let page = documents::list(&mut tx, shelf.collection, &filter, after, limit).await.unwrap();
            assert!(page.rows.len() <= limit as usize);
            seen.extend(page.rows.iter().map(|document| document.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!((seen.len(), &seen), (11, &sorted), "pages of {limit}");
    }
}
