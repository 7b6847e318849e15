//! The projector: read models see every event once, whatever is lost, killed, poisoned or rebuilt.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use minispod_kernel::{InsSeq, LogPosition};
use minispod_messaging::Nats;
use minispod_projections::Projection;
use minispod_runtime::{
    Visibility,
    projector::{self, GenerationState, ProjectorError},
    relay::{Publisher, RelayConfig},
};
use minispod_testkit::{require, wait_until};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    ground::{Ground, Server, account, own_server, wait_until_equal},
    stage::DEADLINE,
    tally::Tally,
};

fn parts() -> bool {
    require("pg") && require("nats")
}

struct Projector {
    stop: CancellationToken,
    task: JoinHandle<Result<(), ProjectorError>>,
}

impl Projector {
    fn start(ground: &Ground, nats: &Nats, tallies: &[Tally]) -> Self {
        let projections = tallies.iter().map(|tally| Arc::new(tally.clone()) as Arc<dyn Projection>).collect();
        let stop = CancellationToken::new();
        let task = tokio::spawn(projector::run(ground.store.clone(), nats.clone(), projections, stop.clone()));
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("the projector does not panic").expect("stops");
    }

    /// Gone in the middle of whatever it does, its lease left behind.
    async fn kill(self, ground: &Ground) {
        self.task.abort();
        let _ = self.task.await;
        expire_lease(ground).await;
    }
}

/// As if the holder had been away for longer than its lease.
async fn expire_lease(ground: &Ground) {
    sqlx::query("UPDATE ops.leases SET expires_at = clock_timestamp() WHERE name = 'projector'")
        .execute(ground.store.pool())
        .await
        .expect("the lease runs out");
}

async fn wait_until_shown(ground: &Ground, tally: &Tally, count: i64) {
    wait_until(DEADLINE, || async { tally.shown(ground.store.pool()).await == (count, count) }).await;
}

fn projection(tally: &Tally) -> Arc<dyn Projection> {
    Arc::new(tally.clone())
}

async fn running(server: &Server) -> (Ground, crate::ground::Relay, Nats) {
    let ground = Ground::new().await;
    let relay = ground.relay(&server.connect("relay").await, RelayConfig::default());
    (ground, relay, server.connect("projector").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_sees_its_write_as_soon_as_the_wait_says_so() {
    if !parts() {
        return;
    }
    let (server, _admin) = account().await;
    let (ground, relay, nats) = running(&server).await;
    let tallies = [Tally::new("tally"), Tally::new("other")];
    let projector = Projector::start(&ground, &nats, &tallies);
    let visibility = Visibility::start(ground.store.clone(), server.connect("api").await);
    let mut written = ground.append("a", 1).await;
    wait_until_shown(&ground, &tallies[1], 1).await;
    for count in 1..=20 {
        assert!(visibility.wait(&["tally", "other"], written).await, "write {count}");
        for tally in &tallies {
            let (events, _) = tally.shown(ground.store.pool()).await;
            assert!(events >= count, "{events} of {count} events are shown");
        }
        written = ground.append(&format!("w{count}"), 1).await;
    }
    projector.stop().await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_concern_a_read_model_moves_its_checkpoint_and_nothing_else() {
    if !parts() {
        return;
    }
    let (server, _admin) = account().await;
    let (ground, relay, nats) = running(&server).await;
    let tally = Tally::new("tally");
    let projector = Projector::start(&ground, &nats, std::slice::from_ref(&tally));
    let visibility = Visibility::start(ground.store.clone(), server.connect("api").await);
    ground.append("a", 1).await;
    wait_until_shown(&ground, &tally, 1).await;
    tally.deaf.store(true, Ordering::SeqCst);
    for count in 0..20 {
        let written = ground.append(&format!("b{count}"), 2).await;
        assert!(visibility.wait(&["tally"], written).await, "the checkpoint follows write {count}");
    }
    assert_eq!(tally.shown(ground.store.pool()).await, (1, 1), "nothing of it is written");
    // Killed while it passes over: what was not saved is looked at again, and what comes then is written once.
    ground.append("c", 30).await;
    projector.kill(&ground).await;
    tally.deaf.store(false, Ordering::SeqCst);
    let before = ground.append("d", 5).await;
    let projector = Projector::start(&ground, &nats, std::slice::from_ref(&tally));
    wait_until(DEADLINE, || async { visibility.wait(&["tally"], before).await }).await;
    let (events, seen) = tally.shown(ground.store.pool()).await;
    assert_eq!(events, seen, "none is counted twice");
    assert!((6..=36).contains(&events), "{events} events");
    projector.stop().await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_read_model_that_lags_ends_at_once_and_any_wait_is_bounded() {
    if !parts() {
        return;
    }
    let (server, _admin) = account().await;
    let ground = Ground::new().await;
    let visibility = Visibility::start(ground.store.clone(), server.connect("api").await);
    let written = ground.append("a", 1).await;
    let begun = tokio::time::Instant::now();
    assert!(!visibility.wait(&["tally"], written).await);
    assert!(begun.elapsed() < Duration::from_secs(4), "the wait is bounded");
    // By now its oldest missing event is older than the bound.
    let begun = tokio::time::Instant::now();
    assert!(!visibility.wait(&["tally"], InsSeq(written.0)).await);
    assert!(begun.elapsed() < Duration::from_millis(1_500), "nobody waits for what lags: {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_in_the_stream_is_read_from_the_log() {
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
    publisher.step().await.expect("publishes");
    admin
        .api("STREAM.PURGE.MINISPOD_EVT", &json!({ "filter": "minispod.evt.catalog.plan.b.>" }))
        .await
        .expect("an operator's mistake");
    assert_eq!(admin.stream_tail().await.expect("readable").expect("there").count, 20);
    // A checkpoint below the hole, so that the feed itself has to cross it.
    let tally = Tally::new("tally");
    let projector = Projector::start(&ground, &server.connect("projector").await, std::slice::from_ref(&tally));
    wait_until_shown(&ground, &tally, 21).await;
    projector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projector_killed_again_and_again_counts_every_event_once() {
    if !parts() {
        return;
    }
    let (server, _admin) = account().await;
    let (ground, relay, nats) = running(&server).await;
    let tally = Tally::new("tally");
    // Linger between rows and checkpoint, so that most kills strike there.
    tally.slow.store(true, Ordering::SeqCst);
    let writing = ground.append_together("w", 4, 60);
    let killing = async {
        for _ in 0..12 {
            let before = tally.shown(ground.store.pool()).await.0;
            let projector = Projector::start(&ground, &nats, std::slice::from_ref(&tally));
            wait_until(DEADLINE, || async {
                let shown = tally.shown(ground.store.pool()).await.0;
                shown > before || shown == 240
            })
            .await;
            projector.kill(&ground).await;
        }
    };
    tokio::join!(writing, killing);
    let projector = Projector::start(&ground, &nats, std::slice::from_ref(&tally));
    wait_until_shown(&ground, &tally, 240).await;
    projector.stop().await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projector_whose_lease_was_taken_writes_nothing_more() {
    if !parts() {
        return;
    }
    let (server, _admin) = account().await;
    let (ground, relay, nats) = running(&server).await;
    let tally = Tally::new("tally");
    let first = Projector::start(&ground, &nats, std::slice::from_ref(&tally));
    ground.append("a", 20).await;
    wait_until_shown(&ground, &tally, 20).await;
    // Each of the two keeps losing its lease to the other and does not know it for a while.
    let second = Projector::start(&ground, &server.connect("projector").await, std::slice::from_ref(&tally));
    let writing = ground.append_together("w", 4, 40);
    let stealing = async {
        for _ in 0..10 {
            expire_lease(&ground).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::join!(writing, stealing);
    wait_until_shown(&ground, &tally, 180).await;
    let report = projector::diff(&ground.store, projection(&tally)).await.expect("compares");
    assert_eq!(report, Vec::new());
    first.stop().await;
    second.stop().await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_read_model_stops_alone_says_why_and_resumes_without_loss() {
    if !parts() {
        return;
    }
    let (server, _admin) = account().await;
    let (ground, relay, nats) = running(&server).await;
    let (tally, other) = (Tally::new("tally"), Tally::new("other"));
    tally.poison.store(7, Ordering::SeqCst);
    let projector = Projector::start(&ground, &nats, &[tally.clone(), other.clone()]);
    ground.append("a", 20).await;
    wait_until_shown(&ground, &other, 20).await;
    wait_until(DEADLINE, || async {
        let known = projector::generations(&ground.store).await.expect("reads");
        known.iter().any(|one| one.projection == "tally" && one.stopped.as_ref().is_some_and(|s| s.0 == LogPosition(7)))
    })
    .await;
    assert_eq!(tally.shown(ground.store.pool()).await, (6, 6), "everything before the poison is in");
    let known = projector::generations(&ground.store).await.expect("reads");
    let stopped = known.iter().find(|one| one.projection == "tally").and_then(|one| one.stopped.clone());
    assert!(stopped.expect("stopped").1.contains("division by zero"));

    ground.append("b", 5).await;
    wait_until_shown(&ground, &other, 25).await;
    assert_eq!(tally.shown(ground.store.pool()).await, (6, 6));
    tally.poison.store(0, Ordering::SeqCst);
    assert_eq!(projector::resume(&ground.store, Some("tally")).await.expect("resumes"), 1);
    wait_until_shown(&ground, &tally, 25).await;
    projector.stop().await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_this_build_does_not_know_stops_the_read_models_before_it() {
    if !parts() {
        return;
    }
    let (server, _admin) = account().await;
    let (ground, relay, nats) = running(&server).await;
    let tally = Tally::new("tally");
    let projector = Projector::start(&ground, &nats, std::slice::from_ref(&tally));
    ground.append("a", 5).await;
    wait_until_shown(&ground, &tally, 5).await;
    sqlx::query(
        "INSERT INTO log.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         SELECT 'plan', 'future', 1, 'PlanTeleported', '1.0', '{\"type\":\"PlanTeleported\"}',
                jsonb_set(metadata, '{event_id}', '\"future\"') FROM log.events LIMIT 1",
    )
    .execute(ground.store.pool())
    .await
    .expect("a newer writer");
    ground.append("b", 5).await;
    wait_until(DEADLINE, || async {
        let known = projector::generations(&ground.store).await.expect("reads");
        known.iter().any(|one| one.stopped.as_ref().is_some_and(|stopped| stopped.0 == LogPosition(6)))
    })
    .await;
    assert_eq!(tally.shown(ground.store.pool()).await, (5, 5));
    projector.stop().await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_under_write_load_equals_the_live_read_model_and_can_be_taken_back() {
    if !parts() {
        return;
    }
    let (server, _admin) = account().await;
    let (ground, relay, nats) = running(&server).await;
    let (tally, other) = (Tally::new("tally"), Tally::new("other"));
    let projector = Projector::start(&ground, &nats, &[tally.clone(), other.clone()]);
    ground.append("a", 30).await;
    wait_until_shown(&ground, &tally, 30).await;
    let writing = ground.append_together("w", 4, 60);
    let rebuilding = async {
        for expected in 2..=4 {
            let rebuilt = projector::rebuild(&ground.store, projection(&tally)).await.expect("rebuilds");
            assert_eq!(rebuilt.generation, expected);
            assert_eq!(projector::diff(&ground.store, projection(&tally)).await.expect("compares"), Vec::new());
        }
    };
    tokio::join!(writing, rebuilding);
    wait_until_shown(&ground, &tally, 270).await;
    wait_until_shown(&ground, &other, 270).await;

    let back = projector::roll_back(&ground.store, projection(&tally)).await.expect("goes back");
    ground.append("z", 10).await;
    wait_until_shown(&ground, &tally, 280).await;
    assert_eq!(projector::diff(&ground.store, projection(&tally)).await.expect("compares"), Vec::new());
    let known = projector::generations(&ground.store).await.expect("reads");
    let live: Vec<i32> = known
        .iter()
        .filter(|one| one.projection == "tally" && one.state == GenerationState::Live)
        .map(|one| one.number)
        .collect();
    assert_eq!(live, [back.generation]);
    projector.stop().await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_model_behind_the_others_at_the_start_catches_up_without_a_new_event() {
    if !parts() {
        return;
    }
    let (server, _admin) = account().await;
    let (ground, relay, nats) = running(&server).await;
    let (tally, other) = (Tally::new("tally"), Tally::new("other"));
    let projector = Projector::start(&ground, &nats, std::slice::from_ref(&tally));
    ground.append("a", 50).await;
    wait_until_shown(&ground, &tally, 50).await;
    projector.stop().await;
    // Ten starts while others write: whatever falls between catching up and listening must not be left lying.
    for start in 0..10 {
        let id = format!("w{start}");
        let writing = ground.append(&id, 15);
        let projector = Projector::start(&ground, &nats, &[tally.clone(), other.clone()]);
        writing.await;
        let count = 50 + 15 * (start + 1);
        wait_until_shown(&ground, &tally, count).await;
        wait_until_shown(&ground, &other, count).await;
        projector.stop().await;
    }
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_products_own_read_models_begin_follow_and_equal_a_fresh_build() {
    if !parts() {
        return;
    }
    let (server, _admin) = account().await;
    let (ground, relay, nats) = running(&server).await;
    let stop = CancellationToken::new();
    let all = minispod_projections::all();
    let projector = tokio::spawn(projector::run(ground.store.clone(), nats, all.clone(), stop.clone()));
    ground.append_together("w", 4, 20).await;
    wait_until(DEADLINE, || async {
        let known = projector::generations(&ground.store).await.expect("reads");
        let stopped: Vec<_> = known.iter().filter(|one| one.stopped.is_some()).collect();
        assert!(stopped.is_empty(), "{stopped:?}");
        let places = ground.store.checkpoints().all().await.expect("reads");
        all.iter().all(|one| places.iter().any(|place| place.name == one.name() && place.position == LogPosition(80)))
    })
    .await;
    let plans: i64 = sqlx::query_scalar("SELECT count(*) FROM read.plans")
        .fetch_one(ground.store.pool())
        .await
        .expect("the views are there");
    assert_eq!(plans, 4);
    for one in all {
        let name = one.name();
        assert_eq!(projector::diff(&ground.store, one).await.expect("compares"), Vec::new(), "{name}");
    }
    stop.cancel();
    projector.await.expect("the projector does not panic").expect("stops");
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_from_the_log_is_reported_and_a_rebuild_mends_it() {
    if !parts() {
        return;
    }
    let (server, _admin) = account().await;
    let (ground, relay, nats) = running(&server).await;
    let tally = Tally::new("tally");
    let projector = Projector::start(&ground, &nats, std::slice::from_ref(&tally));
    ground.append("a", 10).await;
    wait_until_shown(&ground, &tally, 10).await;
    sqlx::query("UPDATE read.tally SET events = 11").execute(ground.store.pool()).await.expect("somebody meddles");
    let report = projector::diff(&ground.store, projection(&tally)).await.expect("compares");
    assert_eq!(report.len(), 1);
    assert_eq!((report[0].table.as_str(), report[0].only_live, report[0].only_fresh), ("tally", 1, 1));
    projector::rebuild(&ground.store, projection(&tally)).await.expect("rebuilds");
    wait_until_shown(&ground, &tally, 10).await;
    projector.stop().await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_code_rebuilds_its_read_model_and_leaves_the_others() {
    if !parts() {
        return;
    }
    let (server, _admin) = account().await;
    let (ground, relay, nats) = running(&server).await;
    let (tally, other) = (Tally::new("tally"), Tally::new("other"));
    let projector = Projector::start(&ground, &nats, &[tally.clone(), other.clone()]);
    ground.append("a", 10).await;
    wait_until_shown(&ground, &tally, 10).await;
    projector.stop().await;

    let projector = Projector::start(&ground, &nats, &[tally.revised(), other.clone()]);
    ground.append("b", 10).await;
    wait_until(DEADLINE, || async {
        let newer: Result<i64, _> = sqlx::query_scalar("SELECT sum(events)::bigint FROM read.tally WHERE newer")
            .fetch_one(ground.store.pool())
            .await;
        newer.is_ok_and(|events| events == 20)
    })
    .await;
    wait_until_shown(&ground, &other, 20).await;
    let known = projector::generations(&ground.store).await.expect("reads");
    assert_eq!(known.iter().filter(|one| one.projection == "other").count(), 1);
    projector.stop().await;
    relay.stop().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn read_models_follow_the_log_while_nats_is_away_and_after_it_lost_its_tail() {
    if !parts() {
        return;
    }
    let (mut server, admin) = own_server().await;
    let (ground, relay, nats) = running(&server).await;
    let tally = Tally::new("tally");
    let projector = Projector::start(&ground, &nats, std::slice::from_ref(&tally));
    ground.append("a", 10).await;
    wait_until_shown(&ground, &tally, 10).await;
    server.own().stop().await;
    let older = server.own().copy_store();
    ground.append("b", 10).await;
    wait_until_shown(&ground, &tally, 20).await;
    server.own().restart().await;
    wait_until_equal(&ground, &admin, 20).await;
    server.own().stop().await;
    server.own().put_back_store(&older);
    server.own().restart().await;
    wait_until_equal(&ground, &admin, 20).await;
    ground.append("c", 10).await;
    wait_until_shown(&ground, &tally, 30).await;
    projector.stop().await;
    relay.stop().await.expect("stops");
}
