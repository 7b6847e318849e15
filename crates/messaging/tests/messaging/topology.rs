//! The files in `nats/` as the server takes them.

use std::time::Duration;

use minispod_messaging::topology::{self, Applied, Overlay};
use minispod_testkit::{TestNats, require, wait_until};
use serde_json::json;

use crate::support::{account, connect, history};

#[tokio::test]
async fn applying_creates_once_then_changes_nothing_and_then_there_is_no_drift() {
    if !require("nats") {
        return;
    }
    let test = TestNats::account().await;
    let admin = connect(&test, "admin").await;
    let first = topology::apply(&admin, &Overlay::new()).await.expect("applies");
    assert_eq!(first.len(), 6);
    assert!(first.iter().all(|(_, applied)| *applied == Applied::Created), "{first:?}");
    let again = topology::apply(&admin, &Overlay::new()).await.expect("applies");
    assert!(again.iter().all(|(_, applied)| *applied == Applied::Unchanged), "{again:?}");
    assert_eq!(topology::verify(&admin).await.expect("compares"), Vec::new());
}

#[tokio::test]
async fn a_changed_field_is_named_and_mended_and_a_missing_consumer_is_named() {
    if !require("nats") {
        return;
    }
    let (_test, admin) = account().await;
    let mut changed = topology::stream_file("MINISPOD_EVT", &Overlay::new()).expect("known");
    changed["allow_direct"] = json!(false);
    admin.api("STREAM.UPDATE.MINISPOD_EVT", &changed).await.expect("an operator may do this");
    admin.api("CONSUMER.DELETE.MINISPOD_EVT.mailer", &serde_json::Value::Null).await.expect("deleted");
    let drifts: Vec<String> =
        topology::verify(&admin).await.expect("compares").iter().map(ToString::to_string).collect();
    assert_eq!(drifts, ["MINISPOD_EVT: allow_direct is false, the file says true", "mailer does not exist"]);
    let applied = topology::apply(&admin, &Overlay::new()).await.expect("applies");
    assert!(applied.contains(&("MINISPOD_EVT".to_owned(), Applied::Updated)));
    assert!(applied.contains(&("mailer".to_owned(), Applied::Created)));
    assert_eq!(topology::verify(&admin).await.expect("compares"), Vec::new());
}

#[tokio::test]
async fn a_consumer_that_follows_its_checkpoint_is_no_drift_and_applying_does_not_move_it() {
    if !require("nats") {
        return;
    }
    let (test, admin) = account().await;
    let relay = connect(&test, "relay").await;
    relay.publish_batch(&history(1, 10, [0; 32], "a")).await.expect("published");
    let billing = connect(&test, "billing").await;
    topology::ensure_consumer(&billing, "billing", minispod_kernel::LogPosition(7)).await.expect("made");
    assert_eq!(topology::verify(&admin).await.expect("compares"), Vec::new());
    topology::apply(&admin, &Overlay::new()).await.expect("applies");
    let info = admin.api("CONSUMER.INFO.MINISPOD_EVT.billing", &serde_json::Value::Null).await.expect("there");
    assert_eq!(info["config"]["opt_start_seq"], 8);
    assert_eq!(info["num_pending"], 3);
}

#[tokio::test]
async fn the_relay_may_recreate_the_stream_from_any_first_sequence() {
    if !require("nats") {
        return;
    }
    let (test, _admin) = account().await;
    let relay = connect(&test, "relay").await;
    relay.publish_batch(&history(1, 3, [0; 32], "a")).await.expect("published");
    topology::recreate_stream(&relay, 401, &Overlay::new()).await.expect("recreated");
    relay.publish_batch(&history(401, 5, [1; 32], "a")).await.expect("published");
    let tail = relay.stream_tail().await.expect("readable").expect("there");
    assert_eq!((tail.first_sequence, tail.last_sequence, tail.count), (401, 405, 5));
    topology::recreate_stream(&relay, 1, &Overlay::new()).await.expect("recreated");
    relay.publish_batch(&history(1, 1, [0; 32], "a")).await.expect("published");
    assert_eq!(relay.stream_tail().await.expect("readable").expect("there").last_sequence, 1);
}

#[tokio::test]
async fn an_overlay_is_taken_by_the_server_also_where_the_stream_began_later() {
    if !require("nats") {
        return;
    }
    let (test, admin) = account().await;
    let relay = connect(&test, "relay").await;
    topology::recreate_stream(&relay, 401, &Overlay::new()).await.expect("recreated");
    // The server may still answer for the stream of before.
    wait_until(Duration::from_secs(10), || async {
        matches!(relay.stream_tail().await, Ok(Some(tail)) if tail.first_sequence == 401)
    })
    .await;
    let overlay = topology::read_overlay(r#"{"MINISPOD_EVT": {"max_bytes": 1000000000}}"#).expect("an overlay");
    let drifts = topology::verify_streams(&relay, &overlay).await.expect("compares");
    assert_eq!(drifts.iter().map(|drift| drift.field.as_str()).collect::<Vec<_>>(), ["max_bytes"]);
    let applied = topology::apply(&admin, &overlay).await.expect("applies");
    assert!(applied.contains(&("MINISPOD_EVT".to_owned(), Applied::Updated)), "{applied:?}");
    assert_eq!(topology::verify_streams(&relay, &overlay).await.expect("compares"), Vec::new());
    relay.publish_batch(&history(401, 1, [1; 32], "a")).await.expect("it still begins where it began");
}
