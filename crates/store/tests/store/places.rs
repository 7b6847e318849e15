//! Checkpoints, leases and the inbox.

use std::time::Duration;

use minispod_kernel::{InsSeq, LogPosition};
use minispod_store::{Store, StoreError};
use minispod_testkit::wait_until;

use crate::world::world;

async fn advance(store: &Store, from: i64, to: i64, fence: i64) -> Result<(), StoreError> {
    let mut tx = store.pool().begin().await.expect("begins");
    let places = (LogPosition(from), LogPosition(to));
    store.checkpoints().advance_in_tx(&mut tx, "users", places.0, places.1, InsSeq(to * 2), fence).await?;
    tx.commit().await.expect("commits");
    Ok(())
}

#[tokio::test]
async fn a_checkpoint_moves_only_from_where_it_is_and_only_for_the_newest_fence() {
    let Some(world) = world().await else { return };
    let store = &world.store;
    assert_eq!(store.checkpoints().load("users").await.expect("reads"), None);
    assert!(matches!(advance(store, 3, 5, 1).await, Err(StoreError::Fenced { .. })), "it is at 0, not at 3");
    advance(store, 0, 5, 1).await.expect("moves");
    assert!(advance(store, 0, 6, 1).await.is_err(), "it is at 5");
    advance(store, 5, 9, 2).await.expect("a newer holder moves");
    assert!(matches!(advance(store, 9, 10, 1).await, Err(StoreError::Fenced { .. })), "the older holder is out");
    let place = store.checkpoints().load("users").await.expect("reads").expect("is there");
    assert_eq!((place.position, place.ins_seq, place.fence), (LogPosition(9), InsSeq(18), 2));
    assert_eq!(store.checkpoints().all().await.expect("reads"), [place]);

    let two = tokio::join!(advance(store, 9, 11, 2), advance(store, 9, 12, 2));
    assert!(two.0.is_ok() != two.1.is_ok(), "one of two wins");

    let mut tx = store.pool().begin().await.expect("begins");
    let back = store.checkpoints().reset_in_tx(&mut tx, "users", LogPosition(0), InsSeq(0), 1).await;
    assert!(matches!(back, Err(StoreError::Fenced { .. })));
    store.checkpoints().reset_in_tx(&mut tx, "users", LogPosition(0), InsSeq(0), 3).await.expect("resets");
    tx.commit().await.expect("commits");
    advance(store, 0, 1, 3).await.expect("begins again");
}

#[tokio::test]
async fn a_lease_has_one_holder_and_a_growing_fence() {
    let Some(world) = world().await else { return };
    let leases = world.store.leases();
    let long = Duration::from_mins(1);
    let first = leases.try_acquire("projector", "a", long).await.expect("asks").expect("is free");
    assert_eq!(leases.try_acquire("projector", "b", long).await.expect("asks"), None);
    assert!(leases.renew(&first, Duration::from_millis(1)).await.expect("asks"));
    wait_until(Duration::from_secs(20), || async { leases.holder("projector").await.expect("asks").is_none() }).await;
    let second = leases.try_acquire("projector", "b", long).await.expect("asks").expect("has run out");
    assert!(second.fence > first.fence);
    assert!(!leases.renew(&first, long).await.expect("asks"), "the old holder learns that it is out");
    leases.release(&first).await.expect("changes nothing");
    assert_eq!(leases.holder("projector").await.expect("asks").as_ref(), Some(&second));
    leases.release(&second).await.expect("releases");
    let third = leases.try_acquire("projector", "a", long).await.expect("asks").expect("is free");
    assert!(third.fence > second.fence);
}

#[tokio::test]
async fn the_same_notification_is_kept_once() {
    let Some(world) = world().await else { return };
    let inbox = world.store.inbox();
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    let first = inbox.record("midtrans", b"{\"order\":1}", &headers).await.expect("records");
    assert_eq!(first, inbox.record("midtrans", b"{\"order\":1}", &[]).await.expect("is known"));
    let other = inbox.record("midtrans", &[0, 159, 146, 150], &[]).await.expect("records bytes that are no text");
    assert_eq!(inbox.marked("received", 10).await.expect("lists"), [first.clone(), other.clone()]);
    assert!(inbox.mark(&first, "applied").await.expect("marks"));
    assert_eq!(inbox.marked("received", 10).await.expect("lists"), std::slice::from_ref(&other));
    let item = inbox.find(&first).await.expect("reads").expect("is there");
    assert_eq!((item.mark.as_str(), item.headers.as_slice()), ("applied", headers.as_slice()));
    assert_eq!(inbox.find(&other).await.expect("reads").expect("is there").body, [0, 159, 146, 150]);
    let large = vec![0; 300 * 1024];
    assert!(matches!(inbox.record("midtrans", &large, &[]).await, Err(StoreError::Limit { .. })));
}
