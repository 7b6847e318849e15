//! The relay: stream and log stay one, whoever crashes, races or loses data.

use std::time::Duration;

use minispod_messaging::Published;
use minispod_runtime::relay::{self, Audit, Mismatch, Publisher, RelayConfig, RelayError};
use minispod_testkit::{OwnPg, require, wait_until};
use serde_json::{Value, json};

use crate::{
    ground::{Ground, account, auditing, own_server, wait_until_equal},
    stage::DEADLINE,
};

fn parts() -> bool {
    require("pg") && require("nats")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_started_before_the_first_append_publishes_from_position_one() {
    if !parts() {
        return;
    }
    let (server, admin) = account().await;
    let ground = Ground::new().await;
    let relay = ground.relay(&server.connect("relay").await, RelayConfig::default());
    // It has seen the untouched sequence when it has raised barriers over the empty log.
    tokio::time::timeout(DEADLINE, async {
        while ground.store.numbering().barrier().await.expect("raises").is_none() {}
    })
    .await
    .expect("the barrier is not held");
    ground.append("a", 3).await;
    wait_until_equal(&ground, &admin, 3).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_and_many_writers_give_one_stream_without_gap_or_repeat() {
    if !parts() {
        return;
    }
    let (server, admin) = account().await;
    let ground = Ground::new().await;
    let one = ground.relay(&server.connect("relay").await, auditing());
    let two = ground.relay(&server.connect("relay").await, auditing());
    ground.append_together("w", 8, 60).await;
    wait_until_equal(&ground, &admin, 480).await;
    one.stop().await.expect("stops");
    two.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_frozen_between_reading_and_publishing_stores_nothing_when_it_wakes() {
    if !parts() {
        return;
    }
    let (server, admin) = account().await;
    let ground = Ground::new().await;
    let mut frozen = Publisher::new(ground.store.clone(), server.connect("relay").await, RelayConfig::default());
    ground.append("a", 5).await;
    let barrier = ground.store.numbering().barrier().await.expect("raises").expect("nobody appends");
    ground.number().await;
    let batch = frozen.next_batch().await.expect("reads");
    assert_eq!(batch.len(), 5);

    let relay = ground.relay(&server.connect("relay").await, RelayConfig::default());
    ground.append("b", 20).await;
    wait_until_equal(&ground, &admin, 25).await;

    // Its old barrier numbers nothing and its old batch stores nothing.
    let late = ground.store.numbering().number(barrier, 100).await.expect("answers");
    assert!(late.events.is_empty());
    assert_eq!(frozen.publish(&batch).await.expect("answers"), Published::Overtaken { stored: 0 });
    ground.append("c", 5).await;
    wait_until_equal(&ground, &admin, 30).await;
    assert_eq!(frozen.step().await.expect("looks again"), relay::Step::NothingNew);
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_tail_comes_back_with_the_same_numbers() {
    if !parts() {
        return;
    }
    let (mut server, admin) = own_server().await;
    let ground = Ground::new().await;
    let relay = ground.relay(&server.connect("relay").await, RelayConfig::default());
    ground.append("a", 40).await;
    wait_until_equal(&ground, &admin, 40).await;
    let before = ground.log().await;

    server.own().stop().await;
    let older = server.own().copy_store();
    server.own().restart().await;
    ground.append("b", 30).await;
    wait_until_equal(&ground, &admin, 70).await;

    server.own().stop().await;
    server.own().put_back_store(&older);
    server.own().restart().await;
    wait_until_equal(&ground, &admin, 70).await;
    assert_eq!(ground.log().await[..40], before[..]);
    ground.append("c", 5).await;
    wait_until_equal(&ground, &admin, 75).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_store_and_a_deleted_stream_are_made_again_from_one() {
    if !parts() {
        return;
    }
    let (mut server, admin) = own_server().await;
    let ground = Ground::new().await;
    let relay = ground.relay(&server.connect("relay").await, auditing());
    ground.append("a", 30).await;
    wait_until_equal(&ground, &admin, 30).await;
    server.own().stop().await;
    server.own().lose_store();
    server.own().restart().await;
    wait_until_equal(&ground, &admin, 30).await;
    admin.api("STREAM.DELETE.MINISPOD_EVT", &Value::Null).await.expect("an operator's mistake");
    wait_until_equal(&ground, &admin, 30).await;
    ground.append("b", 1).await;
    wait_until_equal(&ground, &admin, 31).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_missing_inside_or_in_front_are_found_by_one_audit_and_healed() {
    if !parts() {
        return;
    }
    let (server, admin) = account().await;
    let ground = Ground::new().await;
    ground.append("a", 10).await;
    ground.append("b", 1).await;
    ground.append("c", 10).await;
    ground.number().await;
    let mut publisher = Publisher::new(ground.store.clone(), server.connect("relay").await, RelayConfig::default());
    while publisher.step().await.expect("publishes") == relay::Step::Published {}
    assert_eq!(publisher.audit().await.expect("audits"), Audit::Agree);
    let damages = [
        (json!({ "filter": "minispod.evt.catalog.plan.b.>" }), Mismatch::Count { found: 20, expected: 21 }),
        (json!({ "filter": "minispod.evt.catalog.plan.a.>" }), Mismatch::First { found: 11 }),
        (json!({ "keep": 5 }), Mismatch::First { found: 17 }),
    ];
    for (purge, mismatch) in damages {
        admin.api("STREAM.PURGE.MINISPOD_EVT", &purge).await.expect("an operator's mistake");
        assert_eq!(publisher.audit().await.expect("audits"), Audit::Healed(mismatch));
        while publisher.step().await.expect("publishes") == relay::Step::Published {}
        wait_until_equal(&ground, &admin, 21).await;
    }
    // Nothing is left, so there is nothing to compare with: the stream begins again at once.
    admin.api("STREAM.PURGE.MINISPOD_EVT", &Value::Null).await.expect("an operator's mistake");
    publisher.audit().await.expect("audits");
    while publisher.step().await.expect("publishes") == relay::Step::Published {}
    wait_until_equal(&ground, &admin, 21).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_relay_audits_by_itself() {
    if !parts() {
        return;
    }
    let (server, admin) = account().await;
    let ground = Ground::new().await;
    let relay = ground.relay(&server.connect("relay").await, auditing());
    ground.append("a", 10).await;
    wait_until_equal(&ground, &admin, 10).await;
    admin.api("STREAM.PURGE.MINISPOD_EVT", &json!({ "keep": 3 })).await.expect("an operator's mistake");
    wait_until_equal(&ground, &admin, 10).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ahead_of_the_log_is_refused_and_left_alone_until_an_operator_begins_a_timeline() {
    if !parts() {
        return;
    }
    let (server, admin) = account().await;
    let (long, restored) = (Ground::new().await, Ground::new().await);
    let relay = long.relay(&server.connect("relay").await, RelayConfig::default());
    long.append("a", 20).await;
    wait_until_equal(&long, &admin, 20).await;
    relay.stop().await.expect("stops");

    restored.append("a", 5).await;
    restored.number().await;
    let nats = server.connect("relay").await;
    let refused = restored.relay(&nats, auditing()).end().await;
    assert!(matches!(refused, RelayError::StreamAhead { stream: 20, log: 5 }), "{refused:?}");
    // Also when the log has grown past the stream since.
    restored.append("b", 30).await;
    restored.number().await;
    let refused = restored.relay(&nats, auditing()).end().await;
    assert!(matches!(refused, RelayError::OtherHistory { position: 20 }), "{refused:?}");
    wait_until_equal(&long, &admin, 20).await;

    assert_eq!(relay::begin_timeline(&restored.store, &nats, &RelayConfig::default()).await.expect("begins"), 2);
    let relay = restored.relay(&nats, auditing());
    wait_until_equal(&restored, &admin, 35).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_history_met_in_mid_flight_stops_the_relay() {
    if !parts() {
        return;
    }
    let (server, admin) = account().await;
    let (ours, theirs) = (Ground::new().await, Ground::new().await);
    let nats = server.connect("relay").await;
    // Step by step, so that all of ours have their numbers before anybody looks at the other stream.
    let mut before = Publisher::new(ours.store.clone(), nats.clone(), RelayConfig::default());
    ours.append("a", 5).await;
    ours.number().await;
    before.step().await.expect("publishes");
    wait_until_equal(&ours, &admin, 5).await;
    // Somebody replaces the stream by that of another installation while our connection stands.
    relay::begin_timeline(&theirs.store, &nats, &RelayConfig::default()).await.expect("replaced");
    theirs.append("x", 7).await;
    theirs.number().await;
    let mut publisher = Publisher::new(theirs.store.clone(), nats.clone(), RelayConfig::default());
    publisher.step().await.expect("publishes");
    ours.append("b", 10).await;
    ours.number().await;
    before.step().await.expect("is overtaken, which is no error yet");
    let refused = before.step().await;
    assert!(matches!(refused, Err(RelayError::OtherHistory { position: 7 })), "{refused:?}");
    let refused = ours.relay(&nats, RelayConfig::default()).end().await;
    assert!(matches!(refused, RelayError::OtherHistory { position: 7 }), "{refused:?}");
    wait_until_equal(&theirs, &admin, 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nats_is_away_numbering_goes_on_and_publishing_catches_up() {
    if !parts() {
        return;
    }
    let (mut server, admin) = own_server().await;
    let ground = Ground::new().await;
    let relay = ground.relay(&server.connect("relay").await, RelayConfig::default());
    ground.append("a", 5).await;
    wait_until_equal(&ground, &admin, 5).await;
    server.own().kill().await;
    ground.append("b", 20).await;
    wait_until(DEADLINE, || async { ground.store.log().head().await.expect("reads").position.0 == 25 }).await;
    server.own().restart().await;
    wait_until_equal(&ground, &admin, 25).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_survives_its_databases_crash() {
    if !parts() {
        return;
    }
    let (server, admin) = account().await;
    let mut database = OwnPg::start().await;
    let ground = crate::ground::on_own(&database).await;
    let relay = ground.relay(&server.connect("relay").await, RelayConfig::default());
    ground.append("a", 5).await;
    wait_until_equal(&ground, &admin, 5).await;
    database.kill().await;
    database.restart().await;
    wait_until(DEADLINE, || async { ground.store.log().head().await.is_ok() }).await;
    ground.append("b", 5).await;
    wait_until_equal(&ground, &admin, 10).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_stays_open_delays_numbering_but_neither_loses_events_nor_stops_writers() {
    if !parts() {
        return;
    }
    let (server, admin) = account().await;
    let ground = Ground::new().await;
    let relay = ground.relay(&server.connect("relay").await, RelayConfig::default());
    let mut open = ground.store.pool().begin().await.expect("begins");
    sqlx::query("SELECT log.next_ins_seq()").execute(&mut *open).await.expect("an append is in flight");
    ground.append("a", 10).await;
    // Longer than the barriers that are tried before stepping back.
    let held = tokio::time::Instant::now();
    wait_until(DEADLINE, || async { held.elapsed() > Duration::from_millis(2_500) }).await;
    assert_eq!(ground.store.log().head().await.expect("reads").position.0, 0);
    ground.append("b", 10).await;
    open.rollback().await.expect("ends");
    wait_until_equal(&ground, &admin, 20).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn above_an_archive_floor_the_stream_begins_there() {
    if !parts() {
        return;
    }
    let (server, admin) = account().await;
    let ground = Ground::new().await;
    ground.append("a", 10).await;
    let config = RelayConfig { archive_floor: 4, ..auditing() };
    let relay = ground.relay(&server.connect("relay").await, config);
    wait_until(DEADLINE, || async {
        let tail = admin.stream_tail().await.ok().flatten();
        tail.is_some_and(|tail| (tail.first_sequence, tail.last_sequence, tail.count) == (5, 10, 6))
    })
    .await;
    relay.stop().await.expect("stops");
}
