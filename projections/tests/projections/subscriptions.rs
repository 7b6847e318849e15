//! Subscriptions and instances as their owners and administrators see them.

use minispod_events::{CancelReason, InstanceEvent};
use minispod_projections::{
    PageRequest,
    catalogue::PlanRow,
    subscriptions::{
        self, InstanceFilter, InstanceStatus, SubscriptionFilter, SubscriptionSort, SubscriptionStatus,
        SubscriptionView,
    },
};
use minispod_testkit::require;

use crate::{
    facts::{INSTANCE, PLAN, SUBSCRIPTION, USER, details, journey, period, spec},
    world::{Log, World},
};

async fn list(world: &World, filter: &SubscriptionFilter) -> Vec<SubscriptionView> {
    let page = PageRequest::new(1, 10);
    let found = subscriptions::page(&world.pool, filter, SubscriptionSort::CreatedAt, false, page).await;
    found.expect("answers").rows
}

#[tokio::test]
async fn a_request_shows_only_once_it_is_charged_but_keeps_others_away_at_once() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    log.registered().published(PLAN, details("n8n", "basic", 1), 25_000, 1).requested(SUBSCRIPTION, 25_000);
    let world = World::after(&log, 1).await;
    assert!(list(&world, &SubscriptionFilter::default()).await.is_empty());
    assert!(subscriptions::live_of(&world.pool, USER, "n8n").await.expect("answers").is_some());

    let known = log.facts.len();
    log.cancelled(SUBSCRIPTION, CancelReason::InsufficientBalance);
    world.follow(&log.facts[known..], 1).await;
    assert!(list(&world, &SubscriptionFilter::default()).await.is_empty(), "it was never anybody's subscription");
    assert!(subscriptions::live_of(&world.pool, USER, "n8n").await.expect("answers").is_none());
    assert!(subscriptions::find(&world.pool, SUBSCRIPTION, Some(USER)).await.expect("answers").is_none());
}

#[tokio::test]
async fn a_running_subscription_carries_instance_plan_invoice_and_history() {
    if !require("pg") {
        return;
    }
    let world = World::after(&journey(), 5).await;
    let found = subscriptions::detail(&world.pool, SUBSCRIPTION, Some(USER), 5).await.expect("answers");
    let detail = found.expect("is there");
    let row = &detail.subscription.row;
    assert_eq!((row.status, row.expires_at), (SubscriptionStatus::Active, period(1).end));
    let instance = detail.subscription.instance.as_ref().expect("an instance");
    assert_eq!((instance.status, instance.simulated), (InstanceStatus::Running, true));
    assert_eq!(instance.pod_name.as_deref(), Some("n8n-sub-1"));
    assert_eq!((instance.volume_status.as_str(), instance.volume_claim_name.as_deref()), ("Bound", Some("data-sub-1")));
    assert_eq!(detail.subscription.plan.as_ref().map(PlanRow::available), Some(2));
    assert_eq!(detail.invoice.and_then(|invoice| invoice.number).as_deref(), Some("INV-2027-000002"));
    assert_eq!(detail.transactions.len(), 1);
    assert_eq!(detail.transactions[0].row.description, "Subscription: n8n - basic");
    assert!(subscriptions::detail(&world.pool, SUBSCRIPTION, Some("somebody"), 5).await.expect("answers").is_none());
}

#[tokio::test]
async fn subscriptions_are_found_by_state_plan_and_words_of_service_or_customer() {
    if !require("pg") {
        return;
    }
    let world = World::after(&journey(), 50).await;
    let search = |text: &str| SubscriptionFilter { search: Some(text.to_owned()), ..SubscriptionFilter::default() };
    for text in ["FLO", "n8n -", "ani@", "Ani"] {
        assert_eq!(list(&world, &search(text)).await.len(), 1, "{text}");
    }
    assert!(list(&world, &search("nobody")).await.is_empty());
    let of_state = |status| SubscriptionFilter { status: Some(status), ..SubscriptionFilter::default() };
    assert_eq!(list(&world, &of_state(SubscriptionStatus::Active)).await.len(), 1);
    assert!(list(&world, &of_state(SubscriptionStatus::Expired)).await.is_empty());
    let counts = subscriptions::counts_of_user(&world.pool, USER).await.expect("answers");
    assert_eq!((counts.total, counts.active, counts.active_price.amount()), (1, 1, 25_000));
    let by_plan = subscriptions::count_by_plan(&world.pool, &[PLAN.to_owned()]).await.expect("answers");
    assert_eq!(by_plan, [(PLAN.to_owned(), 1)]);
}

#[tokio::test]
async fn an_instance_shows_what_was_last_heard_of_it() {
    if !require("pg") {
        return;
    }
    let mut log = journey();
    let mut states = Vec::new();
    let world = World::after(&log, 50).await;
    let steps: [fn(minispod_kernel::Timestamp) -> InstanceEvent; 5] = [
        |occurred_at| InstanceEvent::InstanceStopRequested { spec: spec(), generation: 2, occurred_at },
        |occurred_at| InstanceEvent::InstanceStopped { generation: 2, occurred_at },
        |occurred_at| InstanceEvent::InstanceStartRequested { spec: spec(), generation: 3, occurred_at },
        |occurred_at| InstanceEvent::InstanceFailed {
            subscription_id: SUBSCRIPTION.to_owned(),
            generation: 3,
            detail: "image not found".to_owned(),
            occurred_at,
        },
        |occurred_at| InstanceEvent::InstanceDeleted { generation: 4, volume_purged: true, occurred_at },
    ];
    for step in steps {
        let known = log.facts.len();
        log.instance(step);
        world.follow(&log.facts[known..], 1).await;
        let instance = subscriptions::instance(&world.pool, INSTANCE).await.expect("answers").expect("is there");
        states.push((instance.row.status, instance.row.generation));
    }
    let expected = [
        (InstanceStatus::Running, 2),
        (InstanceStatus::Stopped, 2),
        (InstanceStatus::Pending, 3),
        (InstanceStatus::Failed, 3),
        (InstanceStatus::Deleted, 3),
    ];
    assert_eq!(states, expected);
    let instance = subscriptions::instance(&world.pool, INSTANCE).await.expect("answers").expect("is there");
    assert_eq!(instance.row.last_error.as_deref(), Some("image not found"));
    assert_eq!(instance.row.volume_status, "Deleted");
    let page = PageRequest::new(1, 10);
    let live = subscriptions::instances(&world.pool, &InstanceFilter::default(), page).await.expect("answers");
    assert_eq!(live.total, 0, "deleted ones are shown only when asked for");
}

#[tokio::test]
async fn subscriptions_are_counted_from_an_instant_on() {
    if !require("pg") {
        return;
    }
    let world = World::after(&journey(), 50).await;
    let row = subscriptions::find(&world.pool, SUBSCRIPTION, None).await.expect("answers").expect("is there").row;
    let since = |from| subscriptions::count_since(&world.pool, from);
    assert_eq!(since(row.created_at).await.expect("answers"), 1);
    assert_eq!(since(row.created_at.plus(std::time::Duration::from_micros(1))).await.expect("answers"), 0);
}

#[tokio::test]
async fn every_instance_is_a_promise_with_what_is_owed_for_it() {
    if !require("pg") {
        return;
    }
    let mut log = journey();
    let world = World::after(&log, 50).await;
    let read = || async {
        let promises = subscriptions::promises(&world.pool, None, 10).await.expect("answers");
        let [one] = promises.as_slice() else { panic!("{promises:?}") };
        one.clone()
    };
    let sold = read().await;
    assert_eq!((sold.instance_id.as_str(), sold.subscription_id.as_str()), (INSTANCE, SUBSCRIPTION));
    assert_eq!(sold.user_id, USER);
    assert_eq!((sold.status, sold.entitled, sold.volume_kept), (InstanceStatus::Running, true, true));

    let known = log.facts.len();
    log.instance(|occurred_at| InstanceEvent::InstanceDeleted { generation: 2, volume_purged: false, occurred_at });
    world.follow(&log.facts[known..], 1).await;
    let away = read().await;
    assert_eq!((away.status, away.entitled, away.volume_kept), (InstanceStatus::Deleted, true, true));

    let known = log.facts.len();
    let detail = "no room".to_owned();
    log.cancelled(SUBSCRIPTION, CancelReason::ProvisioningFailed { detail });
    world.follow(&log.facts[known..], 1).await;
    let over = read().await;
    assert_eq!((over.entitled, over.volume_kept), (false, false), "nobody can come back for it");

    let none = subscriptions::promises(&world.pool, Some(INSTANCE), 10).await.expect("answers");
    assert_eq!(none, [], "the next page begins behind the last");
}

#[tokio::test]
async fn data_that_was_deleted_is_not_kept_and_a_first_start_is_owed_once_it_is_paid_for() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    log.registered().published(PLAN, details("n8n", "basic", 1), 25_000, 1).requested(SUBSCRIPTION, 25_000);
    log.instance(|occurred_at| InstanceEvent::InstanceProvisionRequested {
        spec: spec(),
        generation: 1,
        deadline: occurred_at,
        occurred_at,
    });
    let world = World::after(&log, 50).await;
    let read = || async { subscriptions::promises(&world.pool, None, 10).await.expect("answers").remove(0) };
    assert!(!read().await.entitled);
    let known = log.facts.len();
    log.charged(SUBSCRIPTION, 25_000);
    world.follow(&log.facts[known..], 1).await;
    let paid = read().await;
    assert_eq!((paid.status, paid.entitled, paid.volume_kept), (InstanceStatus::Pending, true, true));
    let known = log.facts.len();
    log.instance(|occurred_at| InstanceEvent::InstanceDeleted { generation: 2, volume_purged: true, occurred_at });
    world.follow(&log.facts[known..], 1).await;
    assert!(!read().await.volume_kept);
}
