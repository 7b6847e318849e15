//! Subscriptions and instances as their owners and administrators see them.

use minispod_events::{CancelReason, DriftFinding, InstanceEvent};
use minispod_kernel::Timestamp;
use minispod_projections::{
    PageRequest,
    catalogue::PlanRow,
    subscriptions::{
        self, DriftState, InstanceFilter, InstanceRow, InstanceStatus, SubscriptionFilter, SubscriptionSort,
        SubscriptionStatus, SubscriptionView,
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

/// Adds what happened to the instance and gives its row.
async fn after(world: &World, log: &mut Log, event: impl FnOnce(Timestamp) -> InstanceEvent) -> InstanceRow {
    let known = log.facts.len();
    log.instance(event);
    world.follow(&log.facts[known..], 1).await;
    subscriptions::instance(&world.pool, INSTANCE).await.expect("answers").expect("is there").row
}

fn detected(objects: u32) -> impl FnOnce(Timestamp) -> InstanceEvent {
    let finding = |number| DriftFinding {
        object: format!("Service {number}"),
        missing: true,
        managers: Vec::new(),
        fields: vec![".spec".to_owned()],
    };
    let findings = (0..objects).map(finding).collect();
    |occurred_at| InstanceEvent::InstanceDriftDetected {
        spec: spec(),
        generation: 1,
        runs: true,
        findings,
        occurred_at,
    }
}

fn stands(occurred_at: Timestamp) -> InstanceEvent {
    InstanceEvent::InstanceDriftStands { generation: 1, detail: "belongs to somebody".to_owned(), occurred_at }
}

fn repaired(occurred_at: Timestamp) -> InstanceEvent {
    InstanceEvent::InstanceDriftRepaired { generation: 1, program: None, occurred_at }
}

#[tokio::test]
async fn drift_is_shown_with_its_objects_from_its_first_sight_until_it_is_right_again() {
    if !require("pg") {
        return;
    }
    let mut log = journey();
    let world = World::after(&log, 50).await;
    let none = (DriftState::None, Vec::<String>::new(), None::<Timestamp>);
    let of = |row: InstanceRow| (row.drift_state, row.drift_objects, row.drift_since);
    let row = subscriptions::instance(&world.pool, INSTANCE).await.expect("answers").expect("is there").row;
    assert_eq!(of(row), none);

    let found = after(&world, &mut log, detected(2)).await;
    let (objects, since) = (vec!["Service 0".to_owned(), "Service 1".to_owned()], Some(found.updated_at));
    assert_eq!(found.last_error, None, "it is being put right");
    assert_eq!(of(found), (DriftState::Found, objects.clone(), since));
    let left = after(&world, &mut log, stands).await;
    assert_eq!(left.hindrance.as_deref(), Some("belongs to somebody"));
    let told = "Something in the cluster keeps it from being put right; our team is looking at it.";
    assert_eq!(left.last_error.as_deref(), Some(told), "its owner reads no words of the cluster");
    assert_eq!(of(left), (DriftState::Stands, objects, since));
    for (state, expected) in [(DriftState::Stands, 1), (DriftState::Found, 0)] {
        let filter = InstanceFilter { drift: Some(state), ..InstanceFilter::default() };
        let page = subscriptions::instances(&world.pool, &filter, PageRequest::new(1, 10)).await.expect("answers");
        assert_eq!((page.total, page.rows.len()), (expected, usize::try_from(expected).expect("few")), "{state}");
    }
    let again = after(&world, &mut log, detected(30)).await;
    assert_eq!((again.drift_objects.len(), again.drift_since), (20, since), "it was not right in between");
    let right = after(&world, &mut log, repaired).await;
    assert_eq!((&right.last_error, &right.hindrance), (&None, &None));
    assert_eq!(of(right), none);
    let changing = after(&world, &mut log, stands).await;
    assert_eq!((changing.drift_since, changing.drift_objects.len()), (Some(changing.updated_at), 0));
}

#[tokio::test]
async fn whatever_is_asked_for_anew_has_no_drift() {
    if !require("pg") {
        return;
    }
    let requests: [fn(Timestamp) -> InstanceEvent; 6] = [
        |occurred_at| InstanceEvent::InstanceStartRequested { spec: spec(), generation: 2, occurred_at },
        |occurred_at| InstanceEvent::InstanceRestartRequested { spec: spec(), generation: 2, occurred_at },
        |occurred_at| InstanceEvent::InstanceResizeRequested { spec: spec(), generation: 2, change: 1, occurred_at },
        |occurred_at| InstanceEvent::InstanceResetRequested { spec: spec(), generation: 2, occurred_at },
        |occurred_at| InstanceEvent::InstanceStopRequested { spec: spec(), generation: 2, occurred_at },
        |occurred_at| InstanceEvent::InstanceDeletionRequested {
            spec: spec(),
            generation: 2,
            purge_volume: false,
            occurred_at,
        },
    ];
    let mut log = journey();
    let world = World::after(&log, 50).await;
    for request in requests {
        let found = after(&world, &mut log, detected(1)).await;
        assert_eq!((found.drift_state, found.drift_objects.len()), (DriftState::Found, 1));
        let left = after(&world, &mut log, stands).await;
        assert!(left.hindrance.is_some() && left.last_error.is_some());
        let asked = after(&world, &mut log, request).await;
        assert_eq!((asked.drift_state, asked.drift_since, asked.generation), (DriftState::None, None, 2));
        assert!(asked.drift_objects.is_empty());
        assert_eq!((asked.last_error, asked.hindrance), (None, None));
    }
}

#[tokio::test]
async fn what_hinders_a_start_is_shown_until_it_is_ready() {
    if !require("pg") {
        return;
    }
    let mut log = journey();
    let world = World::after(&log, 50).await;
    after(&world, &mut log, |occurred_at| InstanceEvent::InstanceRestartRequested {
        spec: spec(),
        generation: 2,
        occurred_at,
    })
    .await;
    let held = after(&world, &mut log, |occurred_at| InstanceEvent::InstanceStartHindered {
        generation: 2,
        detail: "its namespace is being deleted".to_owned(),
        occurred_at,
    })
    .await;
    assert_eq!(held.hindrance.as_deref(), Some("its namespace is being deleted"));
    let told = "Something in the cluster keeps it from starting; our team is looking at it.";
    assert_eq!(held.last_error.as_deref(), Some(told));
    assert_eq!((held.status, held.last_status_sync), (InstanceStatus::Restarting, Some(held.updated_at)));
    let ready = after(&world, &mut log, |occurred_at| InstanceEvent::InstanceReady {
        subscription_id: SUBSCRIPTION.to_owned(),
        generation: 2,
        external_url: "https://flow.example".to_owned(),
        occurred_at,
    })
    .await;
    assert_eq!((ready.status, ready.last_error, ready.hindrance), (InstanceStatus::Running, None, None));
}

#[tokio::test]
async fn what_hinders_a_removal_is_told_until_it_is_gone() {
    if !require("pg") {
        return;
    }
    let mut log = journey();
    let world = World::after(&log, 50).await;
    let held = after(&world, &mut log, |occurred_at| InstanceEvent::InstanceRemovalHindered {
        generation: 2,
        detail: "Ingress customer-a/n8n: its.example/finalizer".to_owned(),
        occurred_at,
    })
    .await;
    assert_eq!(held.hindrance.as_deref(), Some("Ingress customer-a/n8n: its.example/finalizer"));
    let told = "Something in the cluster keeps it from being removed; our team is looking at it.";
    assert_eq!(held.last_error.as_deref(), Some(told));
    let gone = after(&world, &mut log, |occurred_at| InstanceEvent::InstanceDeleted {
        generation: 2,
        volume_purged: false,
        occurred_at,
    })
    .await;
    assert_eq!((gone.status, gone.last_error, gone.hindrance), (InstanceStatus::Deleted, None, None));
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
