//! Differences between what is sold and what runs: how each stands, and what is asked of all.

use minispod_events::{DifferenceEvent, DifferenceKind};
use minispod_projections::{
    Asked, PageRequest,
    differences::{self, DifferenceCount, DifferenceFilter, DifferenceRow, DifferenceState},
};
use minispod_testkit::require;

use crate::{
    facts::{INSTANCE, SUBSCRIPTION, USER},
    world::{Log, World, second},
};

const PAID: DifferenceKind = DifferenceKind::PaidNotRunning;
const VOLUME: DifferenceKind = DifferenceKind::VolumeWithoutCustomer;

fn overdue(log: &mut Log, id: &str, kind: DifferenceKind) {
    log.difference(id, |occurred_at| DifferenceEvent::DifferenceOverdue {
        kind,
        instance_id: None,
        subscription_id: None,
        user_id: None,
        object: None,
        detail: "of the fact, which is no newer".to_owned(),
        found_at: second(1),
        occurred_at,
    });
}

fn resolved(log: &mut Log, id: &str) {
    log.difference(id, |occurred_at| DifferenceEvent::DifferenceResolved { occurred_at });
}

/// The one difference there is.
async fn only(world: World) -> DifferenceRow {
    let page = differences::page(&world.pool, &DifferenceFilter::default(), PageRequest::new(1, 20)).await;
    let page = page.expect("read");
    assert_eq!((page.total, page.rows.len()), (1, 1));
    page.rows.into_iter().next().expect("a row")
}

#[tokio::test]
async fn a_difference_stands_as_its_last_fact_left_it_and_is_open_again_when_it_is_found_again() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    log.differs("d-1", PAID, None);
    overdue(&mut log, "d-1", PAID);
    let all = DifferenceFilter::default();
    let late = only(World::after(&log, 1).await).await;
    assert_eq!((late.id.as_str(), late.kind, late.state), ("d-1", PAID, DifferenceState::Overdue));
    assert_eq!(late.instance_id.as_deref(), Some(INSTANCE));
    assert_eq!((late.subscription_id.as_deref(), late.user_id.as_deref()), (Some(SUBSCRIPTION), Some(USER)));
    assert_eq!((late.object.as_deref(), late.detail.as_str()), (None, "nothing of it runs"));
    assert!(late.overdue_at.is_some_and(|at| at > late.found_at) && late.resolved_at.is_none());
    assert!(late.deadline > late.found_at);

    resolved(&mut log, "d-1");
    let gone = only(World::after(&log, 2).await).await;
    assert_eq!(
        (gone.state, gone.found_at, gone.overdue_at),
        (DifferenceState::Resolved, late.found_at, late.overdue_at)
    );
    assert!(gone.resolved_at.is_some());

    log.differs("d-1", PAID, None);
    let world = World::after(&log, 4).await;
    let again = differences::page(&world.pool, &all, PageRequest::new(1, 20)).await.expect("read").rows.remove(0);
    assert_eq!((again.state, again.overdue_at, again.resolved_at), (DifferenceState::Open, None, None));
    assert!(again.found_at > late.found_at);
}

#[tokio::test]
async fn differences_are_narrowed_counted_and_walked_through_newest_first() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    log.differs("d-1", PAID, None).differs("d-2", VOLUME, Some("PersistentVolumeClaim n/a"));
    log.differs("d-3", VOLUME, Some("PersistentVolumeClaim n/b")).differs("d-4", PAID, None);
    overdue(&mut log, "d-2", VOLUME);
    resolved(&mut log, "d-3");
    let world = World::after(&log, 3).await;
    let ids = |state, kind| {
        let pool = world.pool.clone();
        async move {
            let filter = DifferenceFilter { state, kind };
            let page = differences::page(&pool, &filter, PageRequest::new(1, 20)).await.expect("read");
            let ids: Vec<String> = page.rows.into_iter().map(|row| row.id).collect();
            assert_eq!(page.total, i64::try_from(ids.len()).expect("few"));
            ids
        }
    };
    assert_eq!(ids(None, None).await, ["d-4", "d-3", "d-2", "d-1"]);
    assert_eq!(ids(Some(DifferenceState::Open), None).await, ["d-4", "d-1"]);
    assert_eq!(ids(Some(DifferenceState::Overdue), None).await, ["d-2"]);
    assert_eq!(ids(None, Some(VOLUME)).await, ["d-3", "d-2"]);
    assert_eq!(ids(Some(DifferenceState::Resolved), Some(PAID)).await, Vec::<String>::new());

    let (mut walked, mut place) = (Vec::new(), None);
    loop {
        let asked = Asked::Behind { place, limit: 1 };
        let page = differences::page(&world.pool, &DifferenceFilter::default(), asked).await.expect("read");
        walked.extend(page.rows.into_iter().map(|row| row.id));
        place = page.trail.and_then(|trail| trail.next);
        if place.is_none() {
            break;
        }
    }
    assert_eq!(walked, ["d-4", "d-3", "d-2", "d-1"]);

    assert_eq!(differences::open_ids(&world.pool, 10).await.expect("read"), ["d-1", "d-2", "d-4"]);
    assert_eq!(differences::open_ids(&world.pool, 2).await.expect("read"), ["d-1", "d-2"]);
    let count = |kind, state, count| DifferenceCount { kind, state, count };
    assert_eq!(
        differences::counts(&world.pool).await.expect("read"),
        [
            count(PAID, DifferenceState::Open, 2),
            count(VOLUME, DifferenceState::Overdue, 1),
            count(VOLUME, DifferenceState::Resolved, 1),
        ]
    );
}
