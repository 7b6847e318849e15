//! A role's consumer, its dead letters and the hints.

use std::time::Duration;

use minispod_kernel::LogPosition;
use minispod_messaging::{DeadLetter, Fetcher};
use minispod_testkit::{OwnNats, require, wait_until};

use crate::support::{account, config, connect, fetch, history};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn every_role_gets_what_follows_its_checkpoint_in_order_also_when_it_comes_later() {
    if !require("nats") {
        return;
    }
    let (test, admin) = account().await;
    let relay = connect(&test, "relay").await;
    let events = history(1, 300, [0; 32], "a");
    relay.publish_batch(&events[..250]).await.expect("published");
    for role in ["projector", "billing", "provisioner", "mailer"] {
        let nats = connect(&test, role).await;
        let mut fetcher = Fetcher::open(&nats, role, LogPosition(100)).await.expect("opens");
        assert_eq!(fetch(&mut fetcher, 150).await, (101..=250).collect::<Vec<i64>>(), "{role}");
    }
    let nats = connect(&test, "projector").await;
    let mut fetcher = Fetcher::open(&nats, "projector", LogPosition(250)).await.expect("opens again");
    assert!(fetcher.next_batch(10, Duration::from_millis(50)).await.expect("waits").is_empty());
    relay.publish_batch(&events[250..]).await.expect("published");
    assert_eq!(fetch(&mut fetcher, 50).await, (251..=300).collect::<Vec<i64>>());
    wait_until(SOON, || async {
        let info = admin.api("CONSUMER.INFO.MINISPOD_EVT.projector", &serde_json::Value::Null).await;
        info.is_ok_and(|info| info["ack_floor"]["stream_seq"] == 300)
    })
    .await;
}

#[tokio::test]
async fn a_deleted_consumer_ends_the_fetcher_and_opening_again_goes_on() {
    if !require("nats") {
        return;
    }
    let (test, admin) = account().await;
    let relay = connect(&test, "relay").await;
    relay.publish_batch(&history(1, 20, [0; 32], "a")).await.expect("published");
    let nats = connect(&test, "mailer").await;
    let mut fetcher = Fetcher::open(&nats, "mailer", LogPosition(0)).await.expect("opens");
    assert_eq!(fetch(&mut fetcher, 20).await.len(), 20);
    admin.api("CONSUMER.DELETE.MINISPOD_EVT.mailer", &serde_json::Value::Null).await.expect("deleted");
    let ended = fetcher.next_batch(10, SOON).await;
    assert!(ended.is_err(), "a deleted consumer must not look like silence: {ended:?}");
    let mut again = Fetcher::open(&nats, "mailer", LogPosition(15)).await.expect("opens");
    assert_eq!(fetch(&mut again, 5).await, [16, 17, 18, 19, 20]);
}

#[tokio::test]
async fn a_message_that_is_no_event_shows_as_a_missing_position() {
    if !require("nats") {
        return;
    }
    let (test, admin) = account().await;
    let relay = connect(&test, "relay").await;
    relay.publish_batch(&history(1, 1, [0; 32], "a")).await.expect("published");
    let stranger = admin.jetstream().publish("minispod.evt.a.b.c.d", "{}".into()).await.expect("sent");
    assert_eq!(stranger.await.expect("stored").sequence, 2);
    relay.publish_batch(&history(3, 1, [0; 32], "a")).await.expect("published");
    let nats = connect(&test, "projector").await;
    let mut fetcher = Fetcher::open(&nats, "projector", LogPosition(0)).await.expect("opens");
    assert_eq!(fetch(&mut fetcher, 2).await, [1, 3]);
}

#[tokio::test]
async fn hints_arrive_with_what_they_speak_of() {
    if !require("nats") {
        return;
    }
    let (test, _admin) = account().await;
    let (api, relay, projector) =
        (connect(&test, "api").await, connect(&test, "relay").await, connect(&test, "projector").await);
    wait_until(SOON, || async { api.is_connected() && relay.is_connected() && projector.is_connected() }).await;
    let mut appended = relay.appended_hints().await.expect("subscribes");
    let mut checkpoints = api.checkpoint_hints().await.expect("subscribes");
    // The subscription travels on another connection than the hint, so the first ones may come too early.
    let appended = tokio::sync::Mutex::new(&mut appended);
    wait_until(SOON, || async {
        for _ in 0..5 {
            api.hint_appended().await;
        }
        appended.lock().await.wait(Duration::from_millis(50)).await
    })
    .await;
    let checkpoints = tokio::sync::Mutex::new(&mut checkpoints);
    wait_until(SOON, || async {
        projector.hint_checkpoint("billing", 42).await;
        let heard =
            tokio::time::timeout(Duration::from_millis(50), async { checkpoints.lock().await.next_checkpoint().await });
        heard.await.is_ok_and(|heard| heard == Some(("billing".to_owned(), 42)))
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter_is_stored_once_under_its_role_and_lane() {
    if !require("nats") {
        return;
    }
    let (test, admin) = account().await;
    let mailer = connect(&test, "mailer").await;
    let letter = DeadLetter {
        role: "mailer".into(),
        lane: "user/c1".into(),
        key: "e1.welcome".into(),
        reason: "template\nmissing".into(),
        body: b"{}".to_vec(),
    };
    assert_eq!(mailer.dead_letter(letter.clone()).await.expect("stored"), 1);
    mailer.dead_letter(letter).await.expect("answered");
    let stored = admin.jetstream().get_stream("MINISPOD_DLQ").await.expect("there").cached_info().state.clone();
    assert_eq!(stored.messages, 1);
    let raw =
        admin.jetstream().get_stream("MINISPOD_DLQ").await.expect("there").get_raw_message(1).await.expect("there");
    assert_eq!(raw.subject.as_str(), "minispod.dlq.mailer.user_c1");
    assert_eq!(raw.headers.get("Minispod-Reason").map(async_nats::HeaderValue::as_str), Some("template missing"));
}

#[tokio::test]
async fn a_connection_comes_back_by_itself_and_says_that_it_is_another() {
    if !require("nats") {
        return;
    }
    let mut server = OwnNats::start().await;
    let relay = minispod_messaging::Nats::connect(config(&server.url(), server.user("relay"))).await.expect("address");
    wait_until(SOON, || async { relay.is_connected() }).await;
    let before = relay.connection_epoch();
    server.kill().await;
    assert!(relay.stream_tail().await.is_err(), "a dead server is an error within the bound, not a hang");
    server.restart().await;
    wait_until(SOON, || async { relay.connection_epoch() > before && relay.stream_tail().await.is_ok() }).await;
}
