//! Lanes: order within, independence between, parking and the operator's words.

use std::{sync::Arc, time::Duration};

use minispod_domain::ports::Reactor;
use minispod_runtime::dlq::{self, DlqError};
use minispod_testkit::{require, wait_until};

use crate::{
    probe::{PROBE, Probe, Try},
    stage::{DEADLINE, Stage},
};

async fn two_lanes(stage: &Stage) {
    for plan in ["lane-a", "lane-b"] {
        stage.publish(plan, 1, 1).await;
        for price in [7, 8] {
            stage.reprice(plan, price).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_head_holds_its_own_lane_back_and_no_other() {
    if !require("pg") {
        return;
    }
    let stage = Stage::new().await;
    two_lanes(&stage).await;
    let probe = Arc::new(Probe::new());
    probe.script("lane-a", &[Try::Transient]);
    let reactor: Arc<dyn Reactor> = probe.clone();
    let running = stage.run(&reactor, 2);
    wait_until(DEADLINE, || async { probe.prices_of("lane-b") == [7, 8] && probe.tries() >= 3 }).await;
    assert!(probe.prices_of("lane-a").is_empty(), "the clock stands still, so its back-off has not passed");
    stage.clock.advance(Duration::from_secs(2));
    stage.quiet(PROBE).await;
    running.stop().await;
    assert_eq!(probe.prices_of("lane-a"), [7, 8]);
    assert_eq!(probe.tries(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lasting_failure_parks_its_lane_until_it_is_retried() {
    if !require("pg") {
        return;
    }
    let stage = Stage::new().await;
    two_lanes(&stage).await;
    let probe = Arc::new(Probe::new());
    probe.script("lane-a", &[Try::Permanent, Try::Permanent]);
    let reactor: Arc<dyn Reactor> = probe.clone();
    let running = stage.run(&reactor, 2);
    let parked = || async { dlq::list(&stage.store, Some(PROBE), 10).await.is_ok_and(|lanes| lanes.len() == 1) };
    wait_until(DEADLINE, || async { probe.prices_of("lane-b") == [7, 8] && parked().await }).await;
    let lane = dlq::show(&stage.store, PROBE, "lane-a").await.expect("the lane is parked");
    assert_eq!((lane.kind.as_str(), lane.waiting, lane.attempts), ("probe", 1, 1));
    assert_eq!(lane.reason, "the probe cannot work");
    assert_eq!(lane.payload["price"], 7, "the payload as the reactor wrote it");
    stage.clock.advance(Duration::from_hours(1));
    assert!(matches!(dlq::retry(&stage.store, PROBE, "lane-b").await, Err(DlqError::NotParked { .. })));

    dlq::retry(&stage.store, PROBE, "lane-a").await.expect("it may try again");
    wait_until(DEADLINE, || async { probe.tries() == 4 && parked().await }).await;
    dlq::retry(&stage.store, PROBE, "lane-a").await.expect("and again");
    stage.quiet(PROBE).await;
    running.stop().await;
    assert_eq!(probe.prices_of("lane-a"), [7, 8], "in order, after the second retry");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_effect_lets_the_lane_go_on_behind_it() {
    if !require("pg") {
        return;
    }
    let stage = Stage::new().await;
    two_lanes(&stage).await;
    let probe = Arc::new(Probe::new());
    probe.script("lane-a", &[Try::Permanent]);
    let reactor: Arc<dyn Reactor> = probe.clone();
    let running = stage.run(&reactor, 1);
    wait_until(DEADLINE, || async { dlq::show(&stage.store, PROBE, "lane-a").await.is_ok() }).await;
    assert!(matches!(dlq::skip(&stage.store, PROBE, "lane-a", "no").await, Err(DlqError::Reason)));
    dlq::skip(&stage.store, PROBE, "lane-a", "the customer was called").await.expect("it is skipped");
    stage.quiet(PROBE).await;
    running.stop().await;
    assert_eq!(probe.prices_of("lane-a"), [8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_polls_waits_for_its_time_and_keeps_its_place() {
    if !require("pg") {
        return;
    }
    let stage = Stage::new().await;
    two_lanes(&stage).await;
    let start = stage.store.clock().now().unix_millis();
    let probe = Arc::new(Probe::new());
    probe.script("lane-a", &[Try::Again(start + 30_000), Try::Again(start + 120_000)]);
    let reactor: Arc<dyn Reactor> = probe.clone();
    let running = stage.run(&reactor, 1);
    wait_until(DEADLINE, || async { probe.prices_of("lane-b") == [7, 8] && probe.tries() == 3 }).await;
    stage.clock.advance(Duration::from_secs(30));
    wait_until(DEADLINE, || async { probe.tries() == 4 }).await;
    assert!(probe.prices_of("lane-a").is_empty(), "what is behind it in the lane waits too");
    stage.clock.advance(Duration::from_secs(90));
    stage.quiet(PROBE).await;
    running.stop().await;
    assert_eq!((probe.tries(), probe.prices_of("lane-a")), (6, vec![7, 8]));
}
