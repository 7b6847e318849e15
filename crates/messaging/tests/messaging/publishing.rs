//! The stream stores position q only on top of q-1.

use minispod_kernel::chain;
use minispod_messaging::{PublishError, Published};
use minispod_testkit::{TestNats, require};

use crate::support::{account, connect, history};

#[tokio::test]
async fn what_is_published_is_read_back_whole_and_folds_to_the_same_chain() {
    if !require("nats") {
        return;
    }
    let (test, _admin) = account().await;
    let relay = connect(&test, "relay").await;
    let events = history(1, 1_300, [0; 32], "a");
    assert_eq!(relay.publish_batch(&events).await.expect("published"), Published::All);
    let tail = relay.stream_tail().await.expect("readable").expect("there");
    assert_eq!((tail.first_sequence, tail.last_sequence, tail.count), (1, 1_300, 1_300));
    assert_eq!(tail.last_chain, Some(events[1_299].chain));
    let mut link = [0; 32];
    for event in events.iter().take(20) {
        let read = relay.read_at(event.position.0.unsigned_abs()).await.expect("readable").expect("there");
        assert_eq!(&read, event);
        link = chain::chain_next(&link, &chain::canonical_bytes(&read));
        assert_eq!(link, read.chain, "the stream alone folds to the chain");
    }
    assert_eq!(relay.read_at(1_301).await.expect("readable"), None);
}

#[tokio::test]
async fn two_publishers_of_the_same_positions_store_each_once() {
    if !require("nats") {
        return;
    }
    let (test, _admin) = account().await;
    let (one, two) = (connect(&test, "relay").await, connect(&test, "relay").await);
    let events = history(1, 400, [0; 32], "a");
    let (first, second) = tokio::join!(one.publish_batch(&events), two.publish_batch(&events));
    let outcomes = [first.expect("answered"), second.expect("answered")];
    assert!(outcomes.iter().any(|outcome| *outcome != Published::All), "{outcomes:?}");
    // Whatever the mixture, each position is stored once and in order; the rest is published on top.
    loop {
        let tail = one.stream_tail().await.expect("readable").expect("there");
        assert_eq!(tail.count, tail.last_sequence);
        if tail.last_sequence == 400 {
            break;
        }
        one.publish_batch(&events[tail.last_sequence as usize..]).await.expect("published");
    }
    for position in [1, 137, 400] {
        assert_eq!(one.read_at(position).await.expect("readable").as_ref(), events.get(position as usize - 1));
    }
}

#[tokio::test]
async fn a_late_publisher_is_refused_and_stores_nothing() {
    if !require("nats") {
        return;
    }
    let (test, _admin) = account().await;
    let relay = connect(&test, "relay").await;
    let events = history(1, 10, [0; 32], "a");
    relay.publish_batch(&events).await.expect("published");
    assert_eq!(relay.publish_batch(&events).await.expect("answered"), Published::Overtaken { stored: 0 });
    let ahead = history(15, 2, [0; 32], "a");
    assert_eq!(relay.publish_batch(&ahead).await.expect("answered"), Published::Overtaken { stored: 0 });
    assert_eq!(relay.stream_tail().await.expect("readable").expect("there").last_sequence, 10);
}

#[tokio::test]
async fn without_a_stream_there_is_no_tail_and_no_publishing() {
    if !require("nats") {
        return;
    }
    let test = TestNats::account().await;
    let relay = connect(&test, "relay").await;
    assert_eq!(relay.stream_tail().await.expect("answered"), None);
    let refused = relay.publish_batch(&history(1, 1, [0; 32], "a")).await;
    assert!(matches!(refused, Err(PublishError::NoStream)), "{refused:?}");
}

#[tokio::test]
async fn a_hole_in_a_batch_is_refused_before_it_is_sent() {
    if !require("nats") {
        return;
    }
    let (test, _admin) = account().await;
    let relay = connect(&test, "relay").await;
    let mut events = history(1, 3, [0; 32], "a");
    events.remove(1);
    let refused = relay.publish_batch(&events).await;
    assert!(matches!(refused, Err(PublishError::NotConsecutive { position: 3 })), "{refused:?}");
}
