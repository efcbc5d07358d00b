//! The store on a real S3 server: what a directory does, a bucket does.

use crate::archive::Shelf;
use bytes::Bytes;
use carrel_domain::WorkspaceId;
use carrel_storage::fixity::{Pace, Reading};
use carrel_storage::store_check::{
    CheckRules, Depth, Remedy, StoreReport, Trouble, collect_orphans, collect_staged, tell_strangers,
};
use carrel_storage::store_move::{Trust, copy_all};
use carrel_storage::{OriginalStore, StorageError};
use chrono::Utc;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A bucket of its own on the server that CARREL_TEST_S3_URL names.
async fn bucket() -> (Arc<dyn ObjectStore>, OriginalStore) {
    let url = std::env::var("CARREL_TEST_S3_URL").expect("CARREL_TEST_S3_URL must be set: see CONTRIBUTING.md");
    let name = format!("carrel-{}", Uuid::now_v7().simple());
    let made = reqwest::Client::new().put(format!("{}/{name}", url.trim_end_matches('/'))).send().await.unwrap();
    assert!(made.status().is_success(), "{}", made.status());
    let bucket = AmazonS3Builder::new()
        .with_bucket_name(name)
        .with_endpoint(url)
        .with_region("us-east-1")
        .with_allow_http(true)
        .with_access_key_id("test")
        .with_secret_access_key("test")
        .build()
        .unwrap();
    let bucket: Arc<dyn ObjectStore> = Arc::new(bucket);
    (Arc::clone(&bucket), OriginalStore::new(bucket))
}

fn parts(bytes: &[u8]) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> + use<> {
    let parts: Vec<_> = bytes.chunks(300_000).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
    futures::stream::iter(parts)
}

async fn read(
    store: &OriginalStore,
    workspace: WorkspaceId,
    sha256: carrel_domain::digest::Digest,
) -> Result<Vec<u8>, StorageError> {
    let parts: Vec<Bytes> = store.read(workspace, sha256, None).await?.try_collect().await?;
    Ok(parts.concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_keeps_checks_moves_and_forgets_originals() {
    let (objects, store) = bucket().await;
    let shelf = Shelf::new().await;
    store.check(Uuid::now_v7()).await.unwrap();
    // Larger than one part of a multipart upload.
    let bytes: Vec<u8> = (0_u32..12 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let staged = store.stage(Uuid::now_v7(), 1 << 30, parts(&bytes)).await.unwrap();
    store.keep(shelf.workspace, &staged).await.unwrap();
    store.discard(&staged).await.unwrap();
    let sha256 = staged.digests.sha256;
    assert!(read(&store, shelf.workspace, sha256).await.unwrap() == bytes);
    let part = store.read(shelf.workspace, sha256, Some(100..200)).await.unwrap();
    let part: Vec<Bytes> = part.try_collect().await.unwrap();
    assert_eq!(part.concat(), bytes[100..200]);
    let mut pace = Pace::new(None);
    let reading = store.examine(shelf.workspace, &staged.digests, staged.size, &mut pace).await.unwrap();
    assert_eq!(reading, Reading::Sound);

    let folder = tempfile::tempdir().unwrap();
    let directory = OriginalStore::directory(folder.path()).unwrap();
    let there = copy_all(&store, &directory, Trust::Digest, &mut |_| {}).await.unwrap();
    assert_eq!((there.copied, there.complete), (1, true));
    let (_, other) = bucket().await;
    let back = copy_all(&directory, &other, Trust::Digest, &mut |_| {}).await.unwrap();
    assert_eq!((back.copied, back.bytes), (1, bytes.len() as u64));
    let again = copy_all(&directory, &other, Trust::Digest, &mut |_| {}).await.unwrap();
    assert_eq!((again.copied, again.present), (0, 1));
    assert!(read(&other, shelf.workspace, sha256).await.unwrap() == bytes);

    // One flipped bit in twelve megabytes.
    let path = Path::from(format!("originals/{}/{}/{sha256}", shelf.workspace, &sha256.to_string()[..2]));
    let mut rotten = bytes.clone();
    rotten[7_654_321] ^= 0x10;
    objects.put(&path, rotten.into()).await.unwrap();
    assert!(matches!(read(&store, shelf.workspace, sha256).await, Err(StorageError::Damaged { .. })));
    let reading = store.examine(shelf.workspace, &staged.digests, staged.size, &mut pace).await.unwrap();
    assert!(matches!(reading, Reading::Damaged(_)));

    // No row of the database knows any of it.
    let late = Utc::now() + chrono::Duration::hours(3);
    let rules = CheckRules { depth: Depth::Sizes, remedy: Remedy::Repair, grace: Duration::from_hours(2), now: late };
    let left = store.stage(Uuid::now_v7(), 1 << 20, parts(b"left over")).await.unwrap();
    let mut report = StoreReport::default();
    collect_orphans(&shelf.database.database, &store, shelf.workspace, &rules, &mut report).await.unwrap();
    collect_staged(&store, &rules, &mut report).await.unwrap();
    assert_eq!(report.count(Trouble::Foreign), 0);
    for stranger in ["originals/file.txt", "originals/zz/deep/file"] {
        objects.put(&Path::from(stranger), b"whose?".to_vec().into()).await.unwrap();
    }
    tell_strangers(&store, &[shelf.workspace], &mut report).await.unwrap();
    assert_eq!(report.count(Trouble::Foreign), 2);
    for stranger in ["originals/file.txt", "originals/zz/deep/file"] {
        objects.delete(&Path::from(stranger)).await.unwrap();
    }
    assert_eq!((report.count(Trouble::Orphan), report.count(Trouble::Staged)), (1, 1));
    assert_eq!(objects.list(None).count().await, 0);
    store.discard(&left).await.unwrap();
    let gone = store.examine(shelf.workspace, &staged.digests, staged.size, &mut pace).await.unwrap();
    assert_eq!(gone, Reading::Missing);
}
