//! Connections as a role and made-up events with a true chain.

use std::time::Duration;

use minispod_kernel::{Actor, InsSeq, LogPosition, Metadata, Recorded, Timestamp, chain};
use minispod_messaging::{Fetcher, Nats, NatsConfig, topology};
use minispod_testkit::{NatsUser, TestNats};
use serde_json::json;

/// How to connect to `url` as `user`.
pub fn config(url: &str, user: NatsUser) -> NatsConfig {
    NatsConfig {
        url: url.to_owned(),
        user: Some(user.user),
        password: Some(user.password),
        name: "test".to_owned(),
        inbox_prefix: user.inbox_prefix,
    }
}

/// A connection as `role` of the test's account.
pub async fn connect(test: &TestNats, role: &str) -> Nats {
    Nats::connect(config(&test.url, test.user(role))).await.expect("the address is good")
}

/// An account with the streams of `nats/`, and the administrator's connection.
pub async fn account() -> (TestNats, Nats) {
    let test = TestNats::account().await;
    let admin = connect(&test, "admin").await;
    topology::apply(&admin, &topology::Overlay::new()).await.expect("the files apply");
    (test, admin)
}

/// The positions of the next `count` events or more; a batch holds what lies ready, which may be less than there is.
pub async fn fetch(fetcher: &mut Fetcher, count: usize) -> Vec<i64> {
    let mut positions = Vec::new();
    while positions.len() < count {
        let batch = fetcher.next_batch(100, Duration::from_secs(10)).await.expect("fetches");
        assert!(!batch.is_empty(), "nothing came after {positions:?}");
        positions.extend(batch.iter().map(|event| event.position.0));
        fetcher.acknowledge().await.expect("acknowledged");
    }
    positions
}

/// `count` chained events after `previous`, `salt` telling one history from another.
pub fn history(first: i64, count: i64, previous: [u8; 32], salt: &str) -> Vec<Recorded> {
    let mut link = previous;
    (first..first + count)
        .map(|position| {
            let mut event = Recorded {
                position: LogPosition(position),
                ins_seq: InsSeq(position * 3),
                aggregate_type: "wallet".into(),
                aggregate_id: format!("c{}", position % 5),
                sequence: position,
                event_type: "WalletCredited".into(),
                event_version: "1.0".into(),
                recorded_at: Timestamp::from_unix_millis(1_800_000_000_000 + position),
                metadata: Metadata {
                    event_id: format!("e{position}"),
                    correlation_id: "r".into(),
                    causation_id: None,
                    command_key: format!(" {salt}\r\nkey "),
                    actor: Actor::system("billing"),
                    traceparent: None,
                    reason: None,
                },
                payload: json!({ "salt": salt, "amount": position, "text": "é\u{1f600}\n\"" }),
                chain: [0; 32],
            };
            link = chain::chain_next(&link, &chain::canonical_bytes(&event));
            event.chain = link;
            event
        })
        .collect()
}
