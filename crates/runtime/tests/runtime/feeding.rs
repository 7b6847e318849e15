//! Reactors and NATS: the stream is the quick way, Postgres fills what it lacks, dead letters are copied out.

use std::{sync::Arc, time::Duration};

use minispod_domain::ports::Reactor;
use minispod_kernel::{LogPosition, Recorded};
use minispod_messaging::{Nats, topology};
use minispod_runtime::feed::Feed;
use minispod_testkit::{TestNats, require, wait_until};

use crate::{
    ground::{Ground, Server},
    probe::{PROBE, Probe, Try},
    stage::{DEADLINE, Stage},
};

async fn account() -> (Server, Nats) {
    let server = Server::Account(TestNats::account().await);
    let admin = server.connect("admin").await;
    topology::apply(&admin, &topology::Overlay::new()).await.expect("the streams are made");
    (server, admin)
}

fn positions(batch: &[Recorded]) -> Vec<i64> {
    batch.iter().map(|recorded| recorded.position.0).collect()
}

async fn read(feed: &mut Feed, after: i64, count: usize) -> Vec<Recorded> {
    let mut read = Vec::new();
    while read.len() < count {
        let from = LogPosition(after + read.len() as i64);
        let next = tokio::time::timeout(DEADLINE, feed.next(from, count - read.len(), Duration::from_secs(30)));
        read.extend(next.await.expect("something comes").expect("the log can be read"));
    }
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_in_the_stream_is_filled_from_postgres_and_nothing_comes_twice() {
    if !require("pg") || !require("nats") {
        return;
    }
    let (server, admin) = account().await;
    let ground = Ground::new().await;
    ground.append("one", 9).await;
    ground.number().await;
    let log = ground.log().await;
    let relay = server.connect("relay").await;
    // The stream begins at 3 and has neither 1, 2 nor 8, 9.
    topology::recreate_stream(&admin, 3, &topology::Overlay::new()).await.expect("the stream is made again");
    relay.publish_batch(&log[2..7]).await.expect("publishes");

    let mut feed = Feed::new(PROBE, ground.store.clone(), Some(server.connect(PROBE).await));
    let batch = read(&mut feed, 0, 7).await;
    assert_eq!(positions(&batch), (1..=7).collect::<Vec<_>>());
    assert_eq!(batch, log[..7], "whichever way they came");
    feed.acknowledge().await;
    let acknowledged = || async {
        let consumer = admin
            .jetstream()
            .get_consumer_from_stream::<async_nats::jetstream::consumer::pull::Config, _, _>(PROBE, "MINISPOD_EVT");
        consumer.await.is_ok_and(|consumer| consumer.cached_info().ack_floor.stream_sequence == 7)
    };
    wait_until(DEADLINE, acknowledged).await;

    // Known already: dropped. Missing in the stream: read from Postgres once the stream is silent.
    let silent = feed.next(LogPosition(7), 100, Duration::from_millis(200)).await.expect("reads");
    assert_eq!(positions(&silent), [8, 9]);
    relay.publish_batch(&log[7..9]).await.expect("publishes");
    let repeated = feed.next(LogPosition(9), 100, Duration::from_secs(5)).await.expect("reads");
    assert!(repeated.is_empty(), "{:?}", positions(&repeated));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_goes_away_stops_nobody() {
    if !require("pg") || !require("nats") {
        return;
    }
    let (server, admin) = account().await;
    let ground = Ground::new().await;
    ground.append("one", 4).await;
    ground.number().await;
    let log = ground.log().await;
    server.connect("relay").await.publish_batch(&log[..2]).await.expect("publishes");
    let mut feed = Feed::new(PROBE, ground.store.clone(), Some(server.connect(PROBE).await));
    assert_eq!(positions(&read(&mut feed, 0, 2).await), [1, 2]);
    admin.jetstream().delete_stream("MINISPOD_EVT").await.expect("the stream is gone");
    assert_eq!(positions(&read(&mut feed, 2, 2).await), [3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_effect_is_copied_to_the_dead_letters() {
    if !require("pg") || !require("nats") {
        return;
    }
    let (server, admin) = account().await;
    let stage = Stage::new().await;
    stage.publish("lane-a", 1, 1).await;
    stage.reprice("lane-a", 7).await;
    let probe = Arc::new(Probe::new());
    probe.script("lane-a", &[Try::Permanent]);
    let reactor: Arc<dyn Reactor> = probe.clone();
    let nats = server.connect(PROBE).await;
    let running = stage.run_with(&reactor, 1, Some(&nats));
    let copied = || async {
        let stream = admin.jetstream().get_stream("MINISPOD_DLQ").await;
        stream.is_ok_and(|stream| stream.cached_info().state.messages == 1)
    };
    wait_until(DEADLINE, copied).await;
    running.stop().await;
    let stream = admin.jetstream().get_stream("MINISPOD_DLQ").await.expect("answers");
    let letter = stream.get_raw_message(1).await.expect("the letter is there");
    assert_eq!(letter.subject.as_str(), "minispod.dlq.mailer.lane-a");
    let body: serde_json::Value = serde_json::from_slice(&letter.payload).expect("JSON");
    assert_eq!((body["lane"].as_str(), body["kind"].as_str()), (Some("lane-a"), Some("probe")));
}
