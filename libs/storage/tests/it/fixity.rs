//! Bits that flip.

use bytes::Bytes;
use carrel_domain::WorkspaceId;
use carrel_storage::OriginalStore;
use carrel_storage::fixity::{Pace, Reading};
use std::time::Duration;
use uuid::Uuid;

#[tokio::test]
async fn every_one_of_three_hundred_flipped_bits_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = OriginalStore::directory(folder.path()).unwrap();
    let workspace = WorkspaceId(Uuid::now_v7());
    let bytes: Vec<u8> = (0_u32..50_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let parts = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes.clone()))]);
    let staged = store.stage(Uuid::now_v7(), 1 << 20, parts).await.unwrap();
    store.keep(workspace, &staged).await.unwrap();
    let sha256 = staged.digests.sha256.to_string();
    let path = folder.path().join("originals").join(workspace.to_string()).join(&sha256[..2]).join(&sha256);
    let mut pace = Pace::new(None);
    // Places at random, other ones each time; the seed stands in the message.
    let seed = Uuid::now_v7();
    for number in 0..300_u128 {
        let mark = blake3::hash(&(seed.as_u128() ^ number).to_le_bytes());
        let bit = usize::from_le_bytes(mark.as_bytes()[..8].try_into().unwrap()) % (bytes.len() * 8);
        let mut rotten = bytes.clone();
        rotten[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, rotten).unwrap();
        let reading = store.examine(workspace, &staged.digests, staged.size, &mut pace).await.unwrap();
        assert!(matches!(reading, Reading::Damaged(_)), "bit {bit} of seed {seed}");
    }
    std::fs::write(&path, &bytes).unwrap();
    let reading = store.examine(workspace, &staged.digests, staged.size, &mut pace).await.unwrap();
    assert_eq!(reading, Reading::Sound);
}

#[tokio::test]
async fn the_pace_is_kept() {
    let started = tokio::time::Instant::now();
    let mut pace = Pace::new(Some(10_000_000));
    for _ in 0..10 {
        pace.spend(300_000).await;
    }
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
}
