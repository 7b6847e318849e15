//! The catalogue as customers and administrators see it.

use minispod_events::PlanEvent;
use minispod_kernel::Rupiah;
use minispod_projections::{
    PageRequest,
    catalogue::{self, PlanFilter},
};
use minispod_testkit::require;

use crate::{
    facts::details,
    world::{Log, World},
};

fn catalogue() -> Log {
    let mut log = Log::default();
    log.published("p1", details("n8n", "plus", 2), 45_000, 2)
        .published("p2", details("n8n", "basic", 1), 25_000, -1)
        .published("p3", details("ghost", "basic", 1), 35_000, 1)
        .published("p4", details("old", "basic", 1), 0, 1)
        .plan("p4", |occurred_at| PlanEvent::PlanRetired { occurred_at });
    log
}

#[tokio::test]
async fn active_plans_are_grouped_by_offering_and_ordered_within() {
    if !require("pg") {
        return;
    }
    let world = World::after(&catalogue(), 10).await;
    let grouped = catalogue::grouped(&world.pool, None, None).await.expect("answers");
    let seen: Vec<(&str, Vec<&str>)> = grouped
        .iter()
        .map(|offering| (offering.name.as_str(), offering.variants.iter().map(|plan| plan.id.as_str()).collect()))
        .collect();
    assert_eq!(seen, [("ghost", vec!["p3"]), ("n8n", vec!["p2", "p1"])]);
    assert_eq!(grouped[1].head().map(|plan| plan.details.clone()), Some(details("n8n", "basic", 1)));
    let found = catalogue::grouped(&world.pool, Some("GHO"), Some("automation")).await.expect("answers");
    assert_eq!(found.len(), 1);
    let none = catalogue::grouped(&world.pool, None, Some("cms")).await.expect("answers");
    assert!(none.is_empty());
    let default = catalogue::find_by_offering(&world.pool, "n8n").await.expect("answers").map(|plan| plan.id);
    assert_eq!(default.as_deref(), Some("p1"), "the default variant stands for the offering");
    assert_eq!(catalogue::categories(&world.pool).await.expect("answers"), ["automation"]);
    let all = catalogue::page(&world.pool, &PlanFilter::default(), PageRequest::new(1, 2)).await.expect("answers");
    assert_eq!((all.total, all.total_pages(), all.rows[0].id.as_str()), (4, 2, "p4"));
}

#[tokio::test]
async fn slots_left_follow_allocations_releases_and_capacity() {
    if !require("pg") {
        return;
    }
    let mut log = catalogue();
    let allocated = |log: &mut Log, plan: &str, subscription: &str| {
        log.plan(plan, |occurred_at| PlanEvent::PlanSlotAllocated {
            subscription_id: subscription.to_owned(),
            occurred_at,
        });
    };
    for (plan, subscription) in [("p1", "a"), ("p1", "b"), ("p2", "c"), ("p3", "d")] {
        allocated(&mut log, plan, subscription);
    }
    log.plan("p1", |occurred_at| PlanEvent::PlanSlotReleased { subscription_id: "a".to_owned(), occurred_at })
        .plan("p3", |occurred_at| PlanEvent::PlanPriceChanged { monthly_price: Rupiah::new(40_000), occurred_at });
    let world = World::after(&log, 3).await;
    let mut left = Vec::new();
    for id in ["p1", "p2", "p3"] {
        left.push(catalogue::find(&world.pool, id).await.expect("answers").expect("is there").available());
    }
    assert_eq!(left, [1, -1, 0], "one given back, unlimited, sold out");
    let ghost = catalogue::find(&world.pool, "p3").await.expect("answers").expect("is there");
    assert_eq!(ghost.monthly_price, Rupiah::new(40_000));
}

#[tokio::test]
async fn a_deleted_plan_leaves_every_list_and_stays_for_what_was_sold_of_it() {
    if !require("pg") {
        return;
    }
    let mut log = catalogue();
    log.plan("p3", |occurred_at| PlanEvent::PlanDeleted {
        offering: "ghost".to_owned(),
        variant: "basic".to_owned(),
        reason: "old".to_owned(),
        occurred_at,
    });
    let world = World::after(&log, 4).await;
    let all = catalogue::page(&world.pool, &PlanFilter::default(), PageRequest::new(1, 10)).await.expect("answers");
    assert_eq!((all.total, all.rows.iter().filter(|plan| plan.id == "p3").count()), (3, 0));
    let counts = catalogue::counts(&world.pool).await.expect("answers");
    assert_eq!((counts.total, counts.active), (3, 2));
    assert_eq!(catalogue::grouped(&world.pool, None, None).await.expect("answers").len(), 1);
    assert!(catalogue::find_by_offering(&world.pool, "ghost").await.expect("answers").is_none());
    let gone = catalogue::find(&world.pool, "p3").await.expect("answers").expect("stays");
    assert!(gone.deleted && !gone.is_active);
}

#[tokio::test]
async fn one_variant_stands_for_an_offering_whatever_is_marked() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    for (id, variant, order) in [("p1", "plus", 2), ("p2", "pro", 3), ("p3", "basic", 1)] {
        let marked = minispod_events::PlanDetails { is_default_variant: order > 1, ..details("n8n", variant, order) };
        log.published(id, marked, 0, 1);
    }
    let world = World::after(&log, 10).await;
    let offering = &catalogue::grouped(&world.pool, None, None).await.expect("answers")[0];
    assert_eq!(offering.default_variant().map(|plan| plan.id.as_str()), Some("p1"));
    let found = catalogue::find_by_offering(&world.pool, "n8n").await.expect("answers").map(|plan| plan.id);
    assert_eq!(found.as_deref(), Some("p1"), "both ways agree");
    let others = catalogue::other_defaults(&world.pool, "n8n", "p1").await.expect("answers");
    assert_eq!(others.into_iter().map(|plan| plan.id).collect::<Vec<_>>(), ["p2"]);
}
