//! An effect inside a request and the same effect in the role: one row, one deed.

use std::{sync::Arc, time::Duration};

use minispod_domain::ports::Reactor;
use minispod_runtime::{InlineEffect, perform_inline};
use minispod_testkit::require;

use crate::{
    probe::{PROBE, Probe, Try, intent_of},
    stage::Stage,
};

/// The event that asks for an effect, as a request sees it right after its command.
async fn priced(stage: &Stage) -> String {
    stage.publish("plan", 1, 1).await;
    stage.reprice("plan", 7).await;
    let history = stage.store.log().history("plan", "plan").await.expect("answers");
    history.last().expect("two events").metadata.event_id.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_done_inside_a_request_is_not_done_again_by_its_role() {
    if !require("pg") {
        return;
    }
    let stage = Stage::new().await;
    let event_id = priced(&stage).await;
    let probe = Arc::new(Probe { reports: true, ..Probe::new() });
    let intent = || intent_of(&event_id, "plan", 7);
    let cause = stage.cause.after(&event_id);
    let done = perform_inline(&stage.dispatcher, probe.as_ref(), intent(), &cause).await.expect("is written");
    let InlineEffect::Done(dispatched) = done else { panic!("{done:?}") };
    assert_eq!(dispatched.len(), 1);
    assert_eq!(dispatched[0].events[0].1.name(), "PlanPriceChanged");
    let again = perform_inline(&stage.dispatcher, probe.as_ref(), intent(), &cause).await.expect("is known");
    assert!(matches!(again, InlineEffect::AlreadyDone), "{again:?}");

    let reactor: Arc<dyn Reactor> = probe.clone();
    let running = stage.run(&reactor, 1);
    stage.quiet(PROBE).await;
    running.stop().await;
    assert_eq!(probe.tries(), 1);
    let report = stage.store.log().history("plan", "plan").await.expect("answers").pop().expect("a report");
    assert_eq!(report.metadata.causation_id.as_deref(), Some(event_id.as_str()));
    assert_eq!(report.metadata.correlation_id, "test");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_failed_inside_a_request_is_finished_by_its_role() {
    if !require("pg") {
        return;
    }
    let stage = Stage::new().await;
    let event_id = priced(&stage).await;
    let probe = Arc::new(Probe::new());
    probe.script("plan", &[Try::Transient]);
    let intent = intent_of(&event_id, "plan", 7);
    let failed = perform_inline(&stage.dispatcher, probe.as_ref(), intent, &stage.cause).await.expect("is written");
    assert!(matches!(failed, InlineEffect::Failed(_)), "{failed:?}");

    stage.clock.advance(Duration::from_secs(5));
    let reactor: Arc<dyn Reactor> = probe.clone();
    let running = stage.run(&reactor, 1);
    stage.quiet(PROBE).await;
    running.stop().await;
    assert_eq!(probe.prices_of("plan"), [7]);
}
