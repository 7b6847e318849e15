//! A rebuilt read model equals the live one, whatever the batches.

use minispod_testkit::require;

use crate::{facts::whole_journey, world::World};

#[tokio::test]
async fn the_same_log_gives_the_same_tables_one_by_one_or_all_at_once() {
    if !require("pg") {
        return;
    }
    let log = whole_journey();
    let live = World::after(&log, 1).await.contents().await;
    assert!(live.iter().all(|(_, rows)| !rows.is_empty()), "the journey leaves no table empty");
    for batch in [2, 7, log.facts.len()] {
        assert_eq!(World::after(&log, batch).await.contents().await, live, "in batches of {batch}");
    }
}

#[tokio::test]
async fn every_table_can_be_dropped_and_made_again() {
    if !require("pg") {
        return;
    }
    let world = World::new().await;
    for projection in minispod_projections::all() {
        assert!(!projection.schema().contains("read."), "{}: names are unqualified", projection.name());
    }
    assert_eq!(world.contents().await.len(), 26);
}
