//! What a service prints and what happens to it: tails, streams that one goes on with, events in plain words, and whose they are.

use std::sync::Arc;

use minispod_domain::ports::fleet::{EventSeen, LogLine, LogSeen};
use minispod_kernel::Timestamp;
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    fleet::PlayedFleet,
    stage::{PAID, PRICE, no},
    world::{Answered, open_with_fleet},
};

const FIRST: i64 = 1_795_687_200_000_000_001;

fn printed() -> Vec<LogLine> {
    let texts = ["listening on 5678", "GET / 200", "{\"level\":\"warn\"}"];
    (FIRST..).zip(texts).map(|(nanos, text)| LogLine { nanos, text: text.to_owned() }).collect()
}

/// The events of a stream: name, id and data.
fn events(answer: &Answered) -> Vec<(String, String, Value)> {
    let text = String::from_utf8(answer.bytes.to_vec()).expect("text");
    let blocks = text.split("\n\n").filter(|block| block.contains("data: "));
    let field = |block: &str, name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim_start_matches(": ").to_owned()
    };
    blocks
        .map(|block| {
            let data = serde_json::from_str(&field(block, "data")).expect("JSON");
            (field(block, "event"), field(block, "id"), data)
        })
        .collect()
}

#[actix_web::test]
async fn one_follows_ones_own_log_and_goes_on_where_one_was() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    let world = open_with_fleet(fleet.clone()).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let (ani, budi) = (world.running("ani").await, world.running("budi").await);
    let (admin, _) = world.administrator("admin@example.com").await;
    fleet.laid().log = Some(LogSeen { pod: "n8n-1".into(), text: "listening\n".into() });
    fleet.laid().lines = printed();
    let path = format!("/subscriptions/{}/logs/stream", ani.id);
    let stream = world.get(&path, &ani.token).await;
    assert_eq!(stream.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!((stream.header("cache-control"), stream.header("x-accel-buffering")), (Some("no-store"), Some("no")));
    let all = events(&stream);
    assert_eq!(all[0], ("pod".into(), String::new(), json!({ "podName": "n8n-1", "simulated": true })));
    let lines: Vec<_> = all[1..4].iter().map(|(_, id, data)| (id.as_str(), data["line"].as_str())).collect();
    assert_eq!(lines[0], ("1795687200000000001", Some("listening on 5678")));
    assert_eq!(lines[2], ("1795687200000000003", Some("{\"level\":\"warn\"}")));
    assert_eq!(all[1].2["timestamp"], "2026-11-26T10:00:00.000Z");
    assert_eq!(all[4], ("end".into(), String::new(), json!({ "reason": "container-ended" })));
    let rest = events(&world.get(&format!("{path}?lastEventId={}", FIRST + 1), &ani.token).await);
    assert_eq!((rest.len(), &rest[1].2["line"]), (3, &json!("{\"level\":\"warn\"}")), "none twice, none missed");

    let by_administrator = world.get(&format!("/admin/pods/{}/logs/stream", ani.instance_id), &admin).await;
    assert_eq!(events(&by_administrator).len(), 5);
    assert_eq!(no(&world.get(&path, &budi.token).await), (404, "NOT_FOUND_ERROR"));
    let bad = world.get(&format!("{path}?lines=0&lastEventId=x"), &ani.token).await;
    assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["lines", "lastEventId"]));
    fleet.laid().log = None;
    let nobody = events(&world.get(&path, &ani.token).await);
    assert_eq!(nobody[1], ("end".into(), String::new(), json!({ "reason": "no-pod" })));
    fleet.laid().away = true;
    assert_eq!(world.get(&path, &ani.token).await.status, 503);
}

#[actix_web::test]
async fn a_stream_that_goes_on_ends_with_the_process_and_few_are_followed_at_once() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    let world = open_with_fleet(fleet.clone()).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let ani = world.running("ani").await;
    fleet.laid().log = Some(LogSeen { pod: "n8n-1".into(), text: String::new() });
    fleet.laid().goes_on = true;
    let path = format!("/subscriptions/{}/logs/stream", ani.id);
    let four = futures::future::join_all((0..4).map(|_| world.get(&path, &ani.token)));
    let fifth = async {
        while fleet.laid().asked.iter().filter(|asked| asked.starts_with("follow")).count() < 4 {
            tokio::task::yield_now().await;
        }
        let fifth = world.get(&path, &ani.token).await;
        world.shutdown.cancel();
        fifth
    };
    let (four, fifth) = tokio::time::timeout(std::time::Duration::from_secs(20), async { tokio::join!(four, fifth) })
        .await
        .expect("a stopped process ends its streams");
    assert_eq!(fifth.status, 429, "{:#}", fifth.body);
    for one in &four {
        assert_eq!(events(one).last().expect("an end").2, json!({ "reason": "restart" }));
    }
}

#[actix_web::test]
async fn an_owner_reads_what_was_printed_and_what_happened_in_plain_words() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    let world = open_with_fleet(fleet.clone()).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let (ani, budi) = (world.running("ani").await, world.running("budi").await);
    let (admin, _) = world.administrator("admin@example.com").await;
    fleet.laid().log = Some(LogSeen { pod: "n8n-1".into(), text: "listening\n".into() });
    let at = Timestamp::from_unix_millis(1_795_687_200_000);
    fleet.laid().events = vec![EventSeen {
        first_at: at,
        last_at: at,
        object: "Pod n8n-1".into(),
        reason: "FailedScheduling".into(),
        message: "0/3 nodes are available: worker-7 is full".into(),
        warning: true,
        count: 4,
    }];
    let (logs, happened) = (format!("/subscriptions/{}/logs", ani.id), format!("/subscriptions/{}/events", ani.id));
    let shown = world.get(&format!("{logs}?lines=5"), &ani.token).await;
    assert_eq!((&shown.data()["logs"], &shown.data()["podName"]), (&json!("listening\n"), &json!("n8n-1")));
    let listed = world.get(&happened, &ani.token).await;
    let event = &listed.data()["events"][0];
    assert_eq!((&event["count"], &event["warning"]), (&json!(4), &json!(true)));
    assert_eq!(event["words"], "No machine has room for it, or its volume is elsewhere; it waits");
    assert!(!listed.body.to_string().contains("worker-7"), "machines are not the customer's business");
    let for_admin = world.get(&format!("/admin/pods/{}/events", ani.instance_id), &admin).await;
    assert_eq!(for_admin.data()["events"][0]["message"], "0/3 nodes are available: worker-7 is full");
    for path in [&logs, &happened] {
        assert_eq!(no(&world.get(path, &budi.token).await), (404, "NOT_FOUND_ERROR"), "{path}");
    }
    let denied = world.get(&format!("/admin/pods/{}/events", ani.instance_id), &ani.token).await;
    assert_eq!(denied.status, 403);
}
