//! Subscriptions that are suspended, resumed, extended, expired and set otherwise.

use std::time::Duration;

use minispod_events::{ExpiryCause, InstanceEvent, InstanceSpec, Period, SubscriptionEvent};
use minispod_kernel::{Sensitive, Timestamp};
use minispod_projections::subscriptions::{self, SubscriptionStatus, SubscriptionView};
use minispod_testkit::require;

use crate::{
    facts::{INSTANCE, PLAN, SUBSCRIPTION, USER, journey, period, spec},
    world::{Log, World},
};

async fn after(world: &World, log: &mut Log, event: impl FnOnce(Timestamp) -> SubscriptionEvent) -> SubscriptionView {
    let known = log.facts.len();
    log.subscription(SUBSCRIPTION, event);
    world.follow(&log.facts[known..], 1).await;
    subscriptions::find(&world.pool, SUBSCRIPTION, Some(USER)).await.expect("answers").expect("is there")
}

fn suspended(occurred_at: Timestamp) -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionSuspended {
        user_id: USER.to_owned(),
        instance_id: INSTANCE.to_owned(),
        plan_id: PLAN.to_owned(),
        display_name: "n8n - basic".to_owned(),
        reason: Sensitive::Forgotten,
        life_due: None,
        occurred_at,
    }
}

fn resume_started(occurred_at: Timestamp) -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionResumeStarted {
        user_id: USER.to_owned(),
        plan_id: PLAN.to_owned(),
        extension_days: 0,
        reason: Sensitive::Forgotten,
        funded: false,
        renews: false,
        occurred_at,
    }
}

#[tokio::test]
async fn a_status_follows_suspension_resumption_and_expiry() {
    if !require("pg") {
        return;
    }
    let mut log = journey();
    let world = World::after(&log, 50).await;
    let user_id = || USER.to_owned();
    let view = after(&world, &mut log, suspended).await;
    assert_eq!(view.row.status, SubscriptionStatus::Suspended);
    let view = after(&world, &mut log, resume_started).await;
    assert_eq!(view.row.status, SubscriptionStatus::Suspended, "until the plan has a slot");
    let view = after(&world, &mut log, |occurred_at| SubscriptionEvent::SubscriptionResumeFailed {
        user_id: user_id(),
        code: "plan-sold-out".to_owned(),
        life_due: None,
        released_plan_id: None,
        lacks_slot: None,
        occurred_at,
    })
    .await;
    assert_eq!((view.row.status, view.row.failure.as_deref()), (SubscriptionStatus::Suspended, Some("plan-sold-out")));
    let view = after(&world, &mut log, |occurred_at| SubscriptionEvent::SubscriptionResumed {
        user_id: user_id(),
        instance_id: INSTANCE.to_owned(),
        display_name: "n8n - basic".to_owned(),
        life_due: None,
        occurred_at,
    })
    .await;
    assert_eq!((view.row.status, view.row.failure), (SubscriptionStatus::Active, None));
    let view = after(&world, &mut log, |occurred_at| SubscriptionEvent::SubscriptionExpired {
        user_id: user_id(),
        instance_id: INSTANCE.to_owned(),
        plan_id: PLAN.to_owned(),
        display_name: "n8n - basic".to_owned(),
        held_slot: true,
        cause: ExpiryCause::Administrator { text: Sensitive::Forgotten },
        data_until: None,
        amount: None,
        occurred_at,
    })
    .await;
    assert_eq!(view.row.status, SubscriptionStatus::Expired);
    assert!(
        subscriptions::live_of(&world.pool, USER, "n8n").await.expect("answers").is_some(),
        "no second one beside it"
    );
}

#[tokio::test]
async fn an_extension_moves_the_end_and_nothing_else_of_the_period() {
    if !require("pg") {
        return;
    }
    let mut log = journey();
    let world = World::after(&log, 50).await;
    let end = period(1).end.plus(Duration::from_hours(24 * 7));
    let view = after(&world, &mut log, |occurred_at| SubscriptionEvent::SubscriptionExtended {
        user_id: USER.to_owned(),
        display_name: "n8n - basic".to_owned(),
        days: 7,
        period: Period { end, ..period(1) },
        reason: None,
        life_due: None,
        occurred_at,
    })
    .await;
    let row = view.row;
    assert_eq!((row.status, row.expires_at), (SubscriptionStatus::Active, end));
    assert_eq!((row.period_number, row.period_start), (1, period(1).start));
}

#[tokio::test]
async fn what_the_customer_sets_is_shown_by_name_and_reaches_the_instance() {
    if !require("pg") {
        return;
    }
    let mut log = journey();
    let world = World::after(&log, 50).await;
    let view = after(&world, &mut log, |occurred_at| SubscriptionEvent::SubscriptionAutoRenewChanged {
        user_id: USER.to_owned(),
        auto_renew: false,
        occurred_at,
    })
    .await;
    assert!(!view.row.auto_renew);
    let names = vec!["GENERIC_TIMEZONE".to_owned()];
    let view = after(&world, &mut log, |occurred_at| SubscriptionEvent::SubscriptionSettingsChanged {
        user_id: USER.to_owned(),
        instance_id: INSTANCE.to_owned(),
        overrides: names.clone(),
        occurred_at,
    })
    .await;
    assert_eq!(view.row.overrides, names);
    let known = log.facts.len();
    let changed = InstanceSpec { overrides: names.clone(), ..spec() };
    log.instance(|occurred_at| InstanceEvent::InstanceReconfigured { spec: changed, generation: 1, occurred_at });
    log.instance(|occurred_at| InstanceEvent::InstanceLocked { occurred_at });
    world.follow(&log.facts[known..], 1).await;
    let instance = subscriptions::instance(&world.pool, INSTANCE).await.expect("answers").expect("is there");
    assert_eq!(instance.row.overrides, names);
}
