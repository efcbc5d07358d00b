//! Originals that are released while the same bytes arrive.

use crate::archive::{Shelf, digests, noon};
use carrel_storage::originals::{begin_release, finish_release, hold, register};
use carrel_testkit::until;

/// Waits until a statement in this database waits for a lock.
pub(crate) async fn until_blocked(shelf: &Shelf) {
    until("a statement waits for a lock", async || {
        let sql =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        (shelf.database.number(sql).await > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_released_cannot_be_announced() {
    let shelf = Shelf::new().await;
    let digests = digests("bytes");
    let mut tx = shelf.begin().await;
    assert!(!begin_release(&mut tx, digests.sha256).await.unwrap(), "there is none");
    let since = register(&mut tx, &digests, 5, noon()).await.unwrap();
    assert!(since.is_some());
    let later = noon() + chrono::Duration::hours(1);
    assert_eq!(register(&mut tx, &digests, 5, later).await.unwrap(), since, "it is the same one");
    assert_eq!(hold(&mut tx, digests.sha256).await.unwrap(), since);
    assert!(begin_release(&mut tx, digests.sha256).await.unwrap());
    assert_eq!(register(&mut tx, &digests, 5, later).await.unwrap(), None);
    assert_eq!(hold(&mut tx, digests.sha256).await.unwrap(), None);
    finish_release(&mut tx, digests.sha256).await.unwrap();
    assert_eq!(hold(&mut tx, digests.sha256).await.unwrap(), None);
    assert_eq!(register(&mut tx, &digests, 5, later).await.unwrap(), Some(later), "it is another one");
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_waits_for_an_upload_and_then_lets_be() {
    let shelf = Shelf::new().await;
    let mut upload = shelf.begin().await;
    shelf.receive(&mut upload, "gate", "bytes").await;
    // The row is not committed yet, so the release has to find it committed first.
    upload.commit().await.unwrap();
    let mut upload = shelf.begin().await;
    shelf.receive(&mut upload, "twin", "bytes").await;
    let mut release = shelf.begin().await;
    let releasing = tokio::spawn(async move {
        let begun = begin_release(&mut release, digests("bytes").sha256).await.unwrap();
        release.commit().await.unwrap();
        begun
    });
    until_blocked(&shelf).await;
    upload.commit().await.unwrap();
    assert!(!releasing.await.unwrap(), "a version refers to it");
}
