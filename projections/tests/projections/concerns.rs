//! What does not concern a read model leaves it as it is.

use minispod_events::Event;
use minispod_projections::all;
use minispod_testkit::require;
use sqlx::Executor;

use crate::{facts::whole_journey, world::World};

#[tokio::test]
async fn nothing_is_written_for_what_is_said_not_to_concern_it() {
    if !require("pg") {
        return;
    }
    let log = whole_journey();
    let world = World::after(&log, log.facts.len()).await;
    for projection in all() {
        let (ours, others): (Vec<_>, Vec<_>) =
            log.facts.iter().cloned().partition(|fact| projection.concerns(&fact.event));
        assert!(!ours.is_empty() && !others.is_empty(), "{}: the journey has both", projection.name());
        let mut tx = world.pool.begin().await.expect("a transaction begins");
        tx.execute("SET TRANSACTION READ ONLY").await.expect("it may only read");
        tx.execute("SET LOCAL search_path TO generation").await.expect("the tables are found");
        if let Err(error) = projection.apply(&mut tx, &others).await {
            panic!("{} writes: {error:?}", projection.name());
        }
    }
}

#[test]
fn every_kind_of_fact_but_the_quiet_ones_concerns_some_read_model() {
    let quiet = |event: &Event| matches!(event, Event::AdminRoster(_) | Event::Mail(_) | Event::InvoiceBook(_));
    let all = all();
    for fact in whole_journey().facts {
        let is_heard = all.iter().any(|projection| projection.concerns(&fact.event));
        assert!(is_heard || quiet(&fact.event), "{} concerns nobody", fact.event.name());
    }
}
