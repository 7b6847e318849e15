//! The effects ledger: lanes in order, leases that run out, fences that hold, one completion each.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use minispod_kernel::{Clock, InsSeq, LogPosition};
use minispod_store::{Inline, NewEffect, Store, StoreError, TakenEffect};
use minispod_testkit::wait_until;
use serde_json::json;

use crate::world::world;

const LEASE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(20);

fn effect(key: &str, lane: &str, position: i64) -> NewEffect {
    NewEffect {
        key: key.to_owned(),
        lane: lane.to_owned(),
        kind: "test".to_owned(),
        payload: json!({ "key": key }),
        not_before: None,
        position: Some(LogPosition(position)),
    }
}

async fn intend(store: &Store, effects: &[NewEffect]) {
    let mut tx = store.pool().begin().await.expect("begins");
    store.ledger().intend_in_tx(&mut tx, "mailer", effects).await.expect("records");
    tx.commit().await.expect("commits");
}

async fn take(store: &Store, lease: Duration) -> Vec<TakenEffect> {
    store.ledger().take("mailer", "me", 10, lease).await.expect("takes")
}

fn keys(taken: &[TakenEffect]) -> Vec<&str> {
    taken.iter().map(|effect| effect.key.as_str()).collect()
}

#[tokio::test]
async fn a_lane_goes_one_by_one_and_lanes_go_side_by_side() {
    let Some(world) = world().await else { return };
    let store = &world.store;
    intend(store, &[effect("a1", "a", 1), effect("a2", "a", 2), effect("b1", "b", 3)]).await;
    intend(store, &[effect("a1", "a", 1)]).await;
    let heads = take(store, LEASE).await;
    assert_eq!(keys(&heads), ["a1", "b1"]);
    assert!(take(store, LEASE).await.is_empty(), "what is taken is taken");
    store.ledger().done(&heads[0]).await.expect("is done");
    let next = take(store, LEASE).await;
    assert_eq!(keys(&next), ["a2"]);
    store.ledger().retry(&next[0], "no answer", Duration::from_secs(5)).await.expect("waits");
    assert!(take(store, LEASE).await.is_empty());
    world.clock.advance(Duration::from_secs(5));
    let again = take(store, LEASE).await;
    assert_eq!((keys(&again), again[0].attempts), (vec!["a2"], 1));
    store.ledger().again(&again[0], world.clock.now().plus(Duration::from_mins(1))).await.expect("polls later");
    world.clock.advance(Duration::from_secs(61));
    let polled = take(store, LEASE).await;
    assert_eq!((keys(&polled), polled[0].attempts), (vec!["a2"], 0));
}

#[tokio::test]
async fn an_effect_that_polls_for_weeks_holds_the_floor_only_until_its_first_look() {
    let Some(world) = world().await else { return };
    let store = &world.store;
    intend(store, &[effect("poll", "a", 3), effect("mail", "b", 7)]).await;
    let open = "SELECT min(position) FROM ops.effects WHERE state = 'intended' AND NOT repeats";
    let first_open =
        || async { sqlx::query_scalar::<_, Option<i64>>(open).fetch_one(store.pool()).await.expect("answers") };
    let taken = take(store, LEASE).await;
    assert_eq!(first_open().await, Some(3), "what has never run holds the floor");
    store.ledger().again(&taken[0], world.clock.now().plus(Duration::from_hours(1))).await.expect("polls later");
    assert_eq!(first_open().await, Some(7), "what waits for its next look does not");
    store.ledger().done(&taken[1]).await.expect("is done");
    assert_eq!(first_open().await, None);
    world.clock.advance(Duration::from_hours(1));
    assert_eq!(keys(&take(store, LEASE).await), ["poll"], "and it is polled all the same");
}

#[tokio::test]
async fn a_worker_keeps_its_effect_while_it_renews_and_not_when_another_has_it() {
    let Some(world) = world().await else { return };
    intend(&world.store, &[effect("mail-1", "ani", 1)]).await;
    let short = take(&world.store, Duration::ZERO).await;
    world.store.ledger().renew(&short[0], Duration::from_mins(1)).await.expect("is still ours");
    assert!(take(&world.store, Duration::from_mins(1)).await.is_empty(), "the renewed effect was given away");
    world.store.ledger().renew(&short[0], Duration::ZERO).await.expect("is still ours");
    let other = take(&world.store, Duration::from_mins(1)).await;
    assert_eq!(other.len(), 1, "an effect whose lease ran out is free");
    let lost = world.store.ledger().renew(&short[0], Duration::from_mins(1)).await;
    assert!(matches!(lost, Err(StoreError::Fenced { .. })), "{lost:?}");
}

#[tokio::test]
async fn a_worker_whose_lease_ran_out_can_change_nothing() {
    let Some(world) = world().await else { return };
    let store = &world.store;
    intend(store, &[effect("a1", "a", 1)]).await;
    let slow = take(store, Duration::from_millis(1)).await;
    let second = Mutex::new(None);
    wait_until(PATIENCE, || async {
        let taken = take(store, LEASE).await.pop();
        let found = taken.is_some();
        *second.lock().expect("locks") = taken;
        found
    })
    .await;
    let second = second.into_inner().expect("locks").expect("was taken");
    assert!(second.fence > slow[0].fence);
    let ledger = store.ledger();
    for late in [
        ledger.done(&slow[0]).await,
        ledger.retry(&slow[0], "late", Duration::ZERO).await,
        ledger.again(&slow[0], world.clock.now()).await,
        ledger.park_lane(&slow[0], "late").await,
    ] {
        assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
    }
    ledger.done(&second).await.expect("is done");
    assert!(matches!(ledger.done(&second).await, Err(StoreError::Fenced { .. })), "done is done once");
}

#[tokio::test]
async fn a_parked_lane_waits_for_an_operator_and_holds_nobody_else() {
    let Some(world) = world().await else { return };
    let (store, ledger) = (&world.store, world.store.ledger());
    intend(store, &[effect("a1", "a", 1), effect("a2", "a", 2), effect("b1", "b", 3)]).await;
    let heads = take(store, LEASE).await;
    ledger.park_lane(&heads[0], "no such address").await.expect("parks");
    ledger.done(&heads[1]).await.expect("is done");
    assert!(take(store, LEASE).await.is_empty(), "a2 waits behind a1");
    let parked = ledger.parked(Some("mailer"), 10).await.expect("lists");
    assert_eq!((parked.len(), parked[0].reason.as_str(), parked[0].waiting), (1, "no such address", 1));
    assert_eq!(ledger.parked_lane("mailer", "a").await.expect("shows").as_ref(), parked.first());
    assert!(ledger.parked(Some("billing"), 10).await.expect("lists").is_empty());

    assert!(ledger.retry_lane("mailer", "a").await.expect("retries"));
    let again = take(store, LEASE).await;
    assert_eq!(keys(&again), ["a1"]);
    ledger.park_lane(&again[0], "still none").await.expect("parks");
    assert!(ledger.skip_lane("mailer", "a", "customer left").await.expect("skips"));
    assert!(!ledger.skip_lane("mailer", "a", "twice").await.expect("nothing to skip"));
    assert_eq!(keys(&take(store, LEASE).await), ["a2"]);
}

#[tokio::test]
async fn an_effect_begun_in_line_is_never_done_twice() {
    let Some(world) = world().await else { return };
    let (store, ledger) = (&world.store, world.store.ledger());
    let inline = NewEffect { position: None, ..effect("e1.charge", "ani", 0) };
    let begin = || ledger.begin_inline("mailer", &inline, "api", LEASE);
    let Inline::Taken(taken) = begin().await.expect("begins") else { panic!("it is new and free") };
    assert_eq!(begin().await.expect("begins"), Inline::Elsewhere, "the first one has it");
    // The reactor comes to the same event later: the same effect, not another one.
    intend(store, &[effect("e1.charge", "ani", 7), effect("e1.mail", "ani", 7)]).await;
    assert!(take(store, LEASE).await.is_empty());
    ledger.done(&taken).await.expect("is done");
    assert_eq!(begin().await.expect("begins"), Inline::AlreadyDone);
    assert_eq!(keys(&take(store, LEASE).await), ["e1.mail"]);
    let behind = NewEffect { position: None, ..effect("e2.charge", "ani", 0) };
    let waits = ledger.begin_inline("mailer", &behind, "api", LEASE).await.expect("begins");
    assert_eq!(waits, Inline::Elsewhere, "its lane is busy");
}

#[tokio::test]
async fn many_workers_do_every_effect_exactly_once_in_lane_order() {
    let Some(world) = world().await else { return };
    let effects: Vec<NewEffect> =
        (0..120).map(|n| effect(&format!("{n:03}"), &format!("lane{}", n % 7), n + 1)).collect();
    for part in effects.chunks(17) {
        intend(&world.store, part).await;
    }
    let done: Arc<Mutex<HashMap<String, Vec<String>>>> = Arc::default();
    let workers: Vec<_> = (0..6)
        .map(|worker| {
            let (store, done) = (world.store.clone(), done.clone());
            tokio::spawn(async move {
                loop {
                    let ledger = store.ledger();
                    let taken = ledger.take("mailer", &format!("w{worker}"), 3, LEASE).await.expect("takes");
                    for effect in &taken {
                        done.lock().expect("locks").entry(effect.lane.clone()).or_default().push(effect.key.clone());
                        ledger.done(effect).await.expect("nobody else has it");
                    }
                    if taken.is_empty() && ledger.open("mailer").await.expect("counts").intended == 0 {
                        return;
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.expect("works");
    }
    let done = done.lock().expect("locks");
    assert_eq!(done.values().map(Vec::len).sum::<usize>(), 120);
    assert!(done.values().all(|keys| keys.is_sorted()), "{done:?}");
}

#[tokio::test]
async fn the_floor_is_below_everything_unfinished() {
    let Some(world) = world().await else { return };
    let (store, ledger) = (&world.store, world.store.ledger());
    assert_eq!(ledger.floor("mailer").await.expect("reads"), LogPosition(0));
    let mut tx = store.pool().begin().await.expect("begins");
    let effects = [effect("a", "a", 4), effect("b", "b", 9)];
    ledger.intend_in_tx(&mut tx, "mailer", &effects).await.expect("records");
    let checkpoints = store.checkpoints();
    let moved = checkpoints.advance_in_tx(&mut tx, "mailer", LogPosition(0), LogPosition(20), InsSeq(25), 1).await;
    moved.expect("moves");
    tx.commit().await.expect("commits");
    assert_eq!(ledger.floor("mailer").await.expect("reads"), LogPosition(3));
    let taken = take(store, LEASE).await;
    ledger.done(&taken[0]).await.expect("is done");
    assert_eq!(ledger.floor("mailer").await.expect("reads"), LogPosition(8));
    ledger.done(&taken[1]).await.expect("is done");
    assert_eq!(ledger.floor("mailer").await.expect("reads"), LogPosition(20));
    assert_eq!(ledger.purge_finished("mailer", LogPosition(5), Duration::ZERO, 10).await.expect("purges"), 1);
    assert_eq!(ledger.purge_finished("mailer", LogPosition(20), LEASE, 10).await.expect("purges"), 0);
}
