//! The framework's own command executor on our event store.

use std::collections::HashMap;

use cqrs_es::{AggregateError, CqrsFramework, EventStore};
use minispod_kernel::{Clock, Moment};

use crate::{
    account::{Account, AccountCommand},
    world::{World, deposit, generated, open, run, world},
};

fn at(world: &World, id: &str) -> Moment {
    Moment { aggregate_id: id.to_owned(), now: world.clock.now() }
}

#[tokio::test]
async fn the_framework_and_the_bus_share_one_log() {
    let Some(world) = world().await else { return };
    let store = world.store.event_store();
    let framework: CqrsFramework<Account, _> = CqrsFramework::new(store.clone(), Vec::new(), ());
    framework.execute("ani", (open("Ani", "name/a"), at(&world, "ani"))).await.expect("opens");
    deposit(&world.store, "ani", 5).await;
    framework.execute("ani", (AccountCommand::Withdraw { amount: 5 }, at(&world, "ani"))).await.expect("is covered");
    let refused = framework.execute("ani", (AccountCommand::Withdraw { amount: 1 }, at(&world, "ani"))).await;
    assert!(matches!(refused, Err(AggregateError::UserError(_))));
    run(&world.store, "ani", AccountCommand::Withdraw { amount: 1 }, generated()).await.expect_err("is not covered");
    assert_eq!(world.store.claim_holder("name/a").await.expect("reads").as_deref(), Some("ani"));

    let events = EventStore::<Account>::load_events(store, "ani").await.expect("loads");
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(events[1].metadata["correlation_id"], "corr");
}

#[tokio::test]
async fn the_framework_sees_a_conflict_as_a_conflict() {
    let Some(world) = world().await else { return };
    let store = world.store.event_store();
    let early = EventStore::<Account>::load_aggregate(store, "ani").await.expect("loads");
    deposit(&world.store, "ani", 5).await;
    let event = crate::account::AccountEvent::AccountClosed { occurred_at: world.clock.now() };
    let late = EventStore::<Account>::commit(store, vec![event], early, HashMap::default()).await;
    assert!(matches!(late, Err(AggregateError::AggregateConflict)));
    assert_eq!(world.count("log.events").await, 1);
}
