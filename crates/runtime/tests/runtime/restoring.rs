//! After the database was restored to an older point: nothing of the lost history is applied and nothing new is skipped.

use std::sync::Arc;

use minispod_domain::ports::Reactor;
use minispod_kernel::LogPosition;
use minispod_messaging::Nats;
use minispod_projections::Projection;
use minispod_runtime::{
    ReactorOptions,
    feed::{Feed, FeedError},
    projector, reactors,
    reactors::checkpoint_name,
    relay::{self, RelayConfig, RelayError},
};
use minispod_testkit::{require, wait_until};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    ground::{Ground, Server, account, wait_until_equal},
    probe::{PROBE, Probe},
    stage::DEADLINE,
    tally::Tally,
};

fn parts() -> bool {
    require("pg") && require("nats")
}

/// A projector and a reactor over one log.
struct Consumers {
    tally: Tally,
    probe: Arc<Probe>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Consumers {
    async fn start(ground: &Ground, server: &Server) -> Self {
        let (tally, probe, stop) = (Tally::new("tally"), Arc::new(Probe::new()), CancellationToken::new());
        let mut tasks = JoinSet::new();
        let all: Vec<Arc<dyn Projection>> = vec![Arc::new(tally.clone())];
        let projector = projector::run(ground.store.clone(), server.connect("projector").await, all, stop.clone());
        tasks.spawn(async { projector.await.expect("the projector stops in good order") });
        let reactor: Arc<dyn Reactor> = probe.clone();
        let nats: Nats = server.connect(PROBE).await;
        let options = ReactorOptions::new("copy");
        tasks.spawn(reactors::run(reactor, ground.dispatcher.clone(), Some(nats), options, stop.clone()));
        Self { tally, probe, stop, tasks }
    }

    /// Waits until both have seen exactly `count` events, and the prices of `a` and `b` are those of our log.
    async fn wait_for(&self, ground: &Ground, count: i64) {
        wait_until(DEADLINE, || async {
            let read = ground.store.checkpoints().load(&checkpoint_name(PROBE)).await.expect("reads");
            let reacted = read.is_some_and(|place| place.position == LogPosition(count));
            reacted && self.tally.shown(ground.store.pool()).await == (count, count)
        })
        .await;
        let prices: Vec<(String, i64)> = sqlx::query_as(
            "SELECT aggregate_id, (payload ->> 'monthly_price')::bigint FROM log.events
             WHERE event_type = 'PlanPriceChanged' ORDER BY ins_seq",
        )
        .fetch_all(ground.store.pool())
        .await
        .expect("reads");
        wait_until(DEADLINE, || async { self.probe.tries() >= prices.len() }).await;
        for plan in ["a", "b"] {
            let wanted: Vec<i64> = prices.iter().filter(|(id, _)| id == plan).map(|(_, price)| *price).collect();
            wait_until(DEADLINE, || async { self.probe.prices_of(plan) == wanted }).await;
        }
        assert_eq!(self.probe.tries(), prices.len(), "nothing that never happened was carried out");
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no panic");
        }
    }
}

/// A stream of 20 events, and a log that knows only the first 5 of another telling.
async fn restored(server: &Server, admin: &Nats) -> Ground {
    let (long, restored) = (Ground::new().await, Ground::new().await);
    let relay = long.relay(&server.connect("relay").await, RelayConfig::default());
    long.append("a", 20).await;
    wait_until_equal(&long, admin, 20).await;
    relay.stop().await.expect("stops");
    restored.append("a", 5).await;
    restored.number().await;
    restored
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_stream_knows_is_applied_by_nobody_and_a_new_timeline_is_followed_from_its_begin() {
    if !parts() {
        return;
    }
    let (server, admin) = account().await;
    let ground = restored(&server, &admin).await;
    let consumers = Consumers::start(&ground, &server).await;
    consumers.wait_for(&ground, 5).await;
    // Grown, but not as far as the stream; then past it. Nobody publishes.
    ground.append("b", 5).await;
    ground.number().await;
    consumers.wait_for(&ground, 10).await;
    ground.append("c", 20).await;
    ground.number().await;
    consumers.wait_for(&ground, 30).await;

    let nats = server.connect("relay").await;
    assert_eq!(relay::begin_timeline(&ground.store, &nats, &RelayConfig::default()).await.expect("begins"), 2);
    let relay = ground.relay(&nats, RelayConfig::default());
    ground.append("d", 5).await;
    wait_until_equal(&ground, &admin, 35).await;
    consumers.wait_for(&ground, 35).await;
    let differences = projector::diff(&ground.store, Arc::new(consumers.tally.clone())).await.expect("compares");
    assert_eq!(differences, Vec::new());
    consumers.stop().await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_stream_tells_another_history_a_feed_passes_on_the_logs() {
    if !parts() {
        return;
    }
    let (server, admin) = account().await;
    let ground = restored(&server, &admin).await;
    ground.append("b", 30).await;
    ground.number().await;
    let log = ground.log().await;
    let mut feed = Feed::new(PROBE, ground.store.clone(), Some(server.connect(PROBE).await));
    let mut read = Vec::new();
    while read.len() < 35 {
        let after = LogPosition(read.len() as i64);
        read.extend(feed.next(after, 7, DEADLINE).await.expect("the log is there"));
    }
    assert_eq!(read, log);
    let above = feed.next(LogPosition(36), 7, DEADLINE).await.expect_err("there is no 36");
    assert!(matches!(above, FeedError::AheadOfLog { checkpoint: 36, head: 35 }), "{above:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_above_the_log_halts_its_consumer_until_an_operator_has_put_it_back() {
    if !parts() {
        return;
    }
    let (server, admin) = account().await;
    let ground = restored(&server, &admin).await;
    let consumers = Consumers::start(&ground, &server).await;
    consumers.wait_for(&ground, 5).await;
    consumers.stop().await;
    // As a consumer would have left it that believed the stream.
    sqlx::query("UPDATE ops.checkpoints SET position = 20").execute(ground.store.pool()).await.expect("writes");

    let consumers = Consumers::start(&ground, &server).await;
    let stopped = || async {
        let known = projector::generations(&ground.store).await.expect("reads");
        known.iter().any(|one| one.stopped.as_ref().is_some_and(|(_, why)| why.contains("the log ends at")))
    };
    wait_until(DEADLINE, stopped).await;
    let nats = server.connect("relay").await;
    let refused = relay::begin_timeline(&ground.store, &nats, &RelayConfig::default()).await.expect_err("refuses");
    assert!(matches!(&refused, RelayError::ReadModelsAhead { names, head: 5 } if names == "tally at 20"), "{refused}");
    assert_eq!(
        admin.stream_tail().await.expect("reads").expect("is there").last_sequence,
        20,
        "the stream is left alone"
    );

    projector::rebuild(&ground.store, Arc::new(consumers.tally.clone())).await.expect("rebuilds");
    assert_eq!(relay::begin_timeline(&ground.store, &nats, &RelayConfig::default()).await.expect("begins"), 2);
    let relay = ground.relay(&nats, RelayConfig::default());
    ground.append("c", 10).await;
    wait_until_equal(&ground, &admin, 15).await;
    let prices = || async { consumers.probe.prices_of("c").len() == 9 };
    wait_until(DEADLINE, prices).await;
    wait_until(DEADLINE, || async { consumers.tally.shown(ground.store.pool()).await == (15, 15) }).await;
    consumers.stop().await;
    relay.stop().await.expect("stops");
}
