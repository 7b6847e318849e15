//! Reactors: intents once, effects at least once, reports once; whatever crashes.

use std::{sync::Arc, time::Duration};

use minispod_domain::ports::Reactor;
use minispod_kernel::LogPosition;
use minispod_runtime::reactors::{LEASE, checkpoint_name};
use minispod_testkit::{require, wait_until};

use crate::{
    probe::{PROBE, Probe},
    stage::{DEADLINE, Stage},
};

fn shared(probe: Probe) -> (Arc<Probe>, Arc<dyn Reactor>) {
    let probe = Arc::new(probe);
    (Arc::clone(&probe), probe)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_the_report_and_before_done_performs_again_and_reports_once() {
    if !require("pg") {
        return;
    }
    let stage = Stage::new().await;
    stage.publish("plan", 1, 1).await;
    stage.reprice("plan", 7).await;
    // A first copy gets as far as its report, and vanishes: its lease is gone but the effect is not settled.
    let (probe, reactor) = shared(Probe { reports: true, ..Probe::new() });
    let first = stage.run(&reactor, 1);
    stage.quiet(PROBE).await;
    first.stop().await;
    assert_eq!(probe.tries(), 1);
    sqlx::query("UPDATE ops.effects SET state = 'intended', lease_until = clock_timestamp()")
        .execute(stage.store.pool())
        .await
        .expect("the ledger forgets");

    let second = stage.run(&reactor, 1);
    stage.quiet(PROBE).await;
    second.stop().await;
    assert_eq!(probe.tries(), 2, "performed again");
    assert_eq!(stage.history("plan", "plan").await, ["PlanPublished", "PlanPriceChanged", "PlanPriceChanged"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_share_the_work_and_no_effect_is_done_twice() {
    if !require("pg") {
        return;
    }
    let stage = Stage::new().await;
    let (probe, reactor) = shared(Probe::new());
    let running = stage.run(&reactor, 3);
    for plan in 0..5 {
        let id = format!("plan-{plan}");
        stage.publish(&id, 1, 1).await;
        for price in 10..18 {
            stage.reprice(&id, price).await;
        }
    }
    stage.quiet(PROBE).await;
    running.stop().await;
    assert_eq!(probe.tries(), 40);
    for plan in 0..5 {
        assert_eq!(probe.prices_of(&format!("plan-{plan}")), (10..18).collect::<Vec<_>>(), "in the lane's order");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn intents_and_checkpoint_move_together_and_a_restart_goes_on_from_there() {
    if !require("pg") {
        return;
    }
    let stage = Stage::new().await;
    stage.publish("plan", 1, 1).await;
    stage.reprice("plan", 7).await;
    let (probe, reactor) = shared(Probe::new());
    let running = stage.run(&reactor, 1);
    stage.quiet(PROBE).await;
    running.stop().await;
    let checkpoint = stage.store.checkpoints().load(&checkpoint_name(PROBE)).await.expect("answers").expect("moved");
    assert_eq!((checkpoint.position, checkpoint.ins_seq), {
        let head = stage.store.log().head().await.expect("answers");
        (LogPosition(2), head.ins_seq)
    });
    stage.reprice("plan", 8).await;
    let running = stage.run(&reactor, 1);
    stage.quiet(PROBE).await;
    running.stop().await;
    assert_eq!(probe.prices_of("plan"), [7, 8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_ask_for_nothing_move_the_checkpoint_all_the_same() {
    if !require("pg") {
        return;
    }
    let stage = Stage::new().await;
    stage.publish("plan", 1, 1).await;
    let (probe, reactor) = shared(Probe::new());
    let running = stage.run(&reactor, 1);
    stage.quiet(PROBE).await;
    running.stop().await;
    assert_eq!(probe.tries(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_finishes_what_has_begun() {
    if !require("pg") {
        return;
    }
    let stage = Stage::new().await;
    stage.publish("plan", 1, 1).await;
    stage.reprice("plan", 7).await;
    let (probe, reactor) = shared(Probe { gate: tokio::sync::Semaphore::new(0), ..Probe::new() });
    let running = stage.run(&reactor, 1);
    let holder = || async {
        let held = "SELECT count(*) FROM ops.effects WHERE lease_until > clock_timestamp()";
        sqlx::query_scalar::<_, i64>(held).fetch_one(stage.store.pool()).await.is_ok_and(|count| count == 1)
    };
    wait_until(DEADLINE, holder).await;
    running.stop.cancel();
    tokio::time::sleep(Duration::from_millis(50)).await;
    probe.gate.add_permits(1);
    running.stop().await;
    assert_eq!(probe.prices_of("plan"), [7]);
    assert!(stage.is_quiet(PROBE).await, "it was settled before the loop ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_longer_than_a_lease_stays_with_the_worker_that_is_at_it() {
    if !require("pg") {
        return;
    }
    let stage = Stage::new().await;
    stage.publish("plan", 1, 1).await;
    stage.reprice("plan", 7).await;
    let (probe, reactor) = shared(Probe { gate: tokio::sync::Semaphore::new(0), ..Probe::new() });
    let running = stage.run(&reactor, 1);
    // Later than the first lease can reach: somebody is alive and says so.
    let is_renewed = || async {
        let read =
            "SELECT lease_until > updated_at + make_interval(secs => $1) FROM ops.effects WHERE state = 'intended'";
        let first = LEASE.as_secs_f64() + 1.0;
        sqlx::query_scalar::<_, Option<bool>>(read)
            .bind(first)
            .fetch_one(stage.store.pool())
            .await
            .is_ok_and(|renewed| renewed == Some(true))
    };
    wait_until(DEADLINE, is_renewed).await;
    probe.gate.add_permits(1);
    stage.quiet(PROBE).await;
    running.stop().await;
    assert_eq!((probe.prices_of("plan"), probe.tries()), (vec![7], 1));
}
