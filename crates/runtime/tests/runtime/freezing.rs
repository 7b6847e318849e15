//! A relay that freezes, or whose database vanishes, in the middle of numbering: writers go on, and so does the log.

use std::time::Duration;

use minispod_runtime::relay::RelayConfig;
use minispod_testkit::require;
use tokio::time::Instant;

use crate::{
    ground::{Ground, account, wait_until_equal},
    tunnel::Tunnel,
};

/// The statements of a numbering pass, in order.
const STATEMENTS: [&str; 3] = ["log.barrier", "FROM log.events f", "INSERT INTO log.event_log"];
/// Longest that one append may take while a relay stands frozen.
const PATIENCE: Duration = Duration::from_secs(1);

fn parts() -> bool {
    require("pg") && require("nats")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_frozen_at_any_statement_of_numbering_stops_neither_writers_nor_another_relay() {
    if !parts() {
        return;
    }
    for statement in STATEMENTS {
        let (server, admin) = account().await;
        let ground = Ground::new().await;
        ground.append("a", 3).await;
        let tunnel = Tunnel::to(&ground.url).await;
        let frozen = ground.through(&tunnel).await;
        tunnel.silence_after(statement);
        let relay = frozen.relay(&server.connect("relay").await, RelayConfig::default());
        tunnel.silent().await;

        let mut slowest = Duration::ZERO;
        for number in 0..10 {
            let begun = Instant::now();
            ground.append(&format!("w{number}"), 1).await;
            slowest = slowest.max(begun.elapsed());
        }
        assert!(slowest < PATIENCE, "an append took {slowest:?} while a relay was frozen at {statement}");
        let other = ground.relay(&server.connect("relay").await, RelayConfig::default());
        wait_until_equal(&ground, &admin, 13).await;
        other.stop().await.expect("stops");
        relay.stop().await.expect("stops");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_database_vanished_without_a_word_goes_on_with_a_new_connection() {
    if !parts() {
        return;
    }
    let vanishing = STATEMENTS.map(async |statement| {
        let (server, admin) = account().await;
        let ground = Ground::new().await;
        ground.append("a", 3).await;
        let tunnel = Tunnel::to(&ground.url).await;
        let far = ground.through(&tunnel).await;
        tunnel.silence_after(statement);
        let relay = far.relay(&server.connect("relay").await, RelayConfig::default());
        tunnel.silent().await;
        tunnel.reopen();
        ground.append("b", 3).await;
        wait_until_equal(&ground, &admin, 6).await;
        relay.stop().await.expect("stops");
    });
    futures::future::join_all(vanishing).await;
}
