//! Timers: by the Clock, once, whoever fires them.

use std::time::Duration;

use minispod_runtime::timers;
use minispod_testkit::{require, wait_until};
use tokio_util::sync::CancellationToken;

use crate::{
    dispatching::{BILLING, customer, policies, subscribe},
    stage::{DEADLINE, Stage},
};

async fn timer_count(stage: &Stage) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM ops.timers").fetch_one(stage.store.pool()).await.expect("answers")
}

async fn failures(stage: &Stage) -> usize {
    let history = stage.history("subscription", "sub").await;
    history.iter().filter(|event| *event == "SubscriptionProvisioningFailed").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_fires_once_though_two_loops_race_for_it_and_never_early() {
    if !require("pg") {
        return;
    }
    let stage = Stage::new().await;
    customer(&stage, 100_000).await;
    let first = subscribe(&stage, "sub").await.expect("the request is taken");
    stage.dispatcher.drive(first, &stage.cause).await.expect("drives");
    assert_eq!(timer_count(&stage).await, 1, "the deadline for provisioning");

    let early = timers::fire_due(&stage.dispatcher).await.expect("looks");
    assert_eq!((early, failures(&stage).await), (timers::Fired::default(), 0));

    stage.clock.advance(Duration::from_mins(11));
    let (one, other) = tokio::join!(timers::fire_due(&stage.dispatcher), timers::fire_due(&stage.dispatcher));
    let fired = one.expect("looks").fired + other.expect("looks").fired;
    assert!(fired >= 1, "both may have seen it");
    assert_eq!((failures(&stage).await, timer_count(&stage).await), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_deadline_gives_money_and_slot_back() {
    if !require("pg") {
        return;
    }
    let stage = Stage::new().await;
    customer(&stage, 100_000).await;
    subscribe(&stage, "sub").await.expect("the request is taken");
    let running = stage.run(&policies(), 1);
    stage.quiet(BILLING).await;
    let stop = CancellationToken::new();
    let loops = [1, 2].map(|_| tokio::spawn(timers::run(stage.dispatcher.clone(), stop.clone())));
    stage.clock.advance(Duration::from_mins(11));
    let ended =
        || async { stage.history("subscription", "sub").await.last().is_some_and(|e| e == "SubscriptionCancelled") };
    wait_until(DEADLINE, ended).await;
    stage.quiet(BILLING).await;
    stop.cancel();
    for running in loops {
        running.await.expect("ends");
    }
    running.stop().await;
    let wallet = stage.history("wallet", "user").await;
    assert_eq!(wallet.iter().filter(|event| *event == "WalletRefunded").count(), 1);
    assert_eq!(stage.history("plan", "plan").await.last().map(String::as_str), Some("PlanSlotReleased"));
    assert_eq!(failures(&stage).await, 1);
}
