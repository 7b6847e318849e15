//! Claims, once-keys and timers: consequences that ride in the event's transaction.

use std::time::Duration;

use minispod_kernel::Clock;
use minispod_store::CommandError;

use crate::{
    account::AccountCommand,
    world::{caused, derived, generated, open, run, world},
};

#[tokio::test]
async fn a_name_has_one_holder_and_can_be_given_back() {
    let Some(world) = world().await else { return };
    let store = &world.store;
    run(store, "ani", open("Ani", "name/a"), generated()).await.expect("takes the name");
    for key in [generated(), derived("budi-1"), derived("budi-1")] {
        let taken = run(store, "budi", open("Budi", "name/a"), key).await;
        assert!(
            matches!(&taken, Err(CommandError::ClaimTaken { key, holder }) if key == "name/a" && holder == "ani"),
            "{taken:?}"
        );
    }
    assert_eq!(world.count("log.events").await, 1, "nothing of a refused command is written");
    assert_eq!(store.claim_holder("name/a").await.expect("reads").as_deref(), Some("ani"));

    let rename = AccountCommand::Rename { name: "Ani".to_owned(), claim: "name/b".to_owned() };
    run(store, "ani", rename, generated()).await.expect("changes the name");
    assert_eq!(store.claim_holder("name/a").await.expect("reads"), None);
    run(store, "budi", open("Budi", "name/a"), generated()).await.expect("the name is free");
    let replay = run(store, "budi", open("Budi", "name/a"), derived("budi-1")).await;
    assert!(matches!(replay, Err(CommandError::ClaimTaken { .. })), "a keyed answer stays");
}

#[tokio::test]
async fn many_at_once_for_one_name_leave_one_holder() {
    let Some(world) = world().await else { return };
    let other = world.another(|_| {}).await;
    let rivals: Vec<String> = (0..30).map(|index| format!("rival{index}")).collect();
    let answers = futures::future::join_all(rivals.iter().enumerate().map(|(index, id)| {
        let store = if index % 2 == 0 { &world.store } else { &other };
        run(store, id, open("Rival", "name/a"), generated())
    }))
    .await;
    let winners: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    assert_eq!(winners.len(), 1);
    assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(CommandError::ClaimTaken { .. }))));
    let holder = world.store.claim_holder("name/a").await.expect("reads");
    assert_eq!(holder.as_deref(), Some(winners[0].aggregate_id.as_str()));
    assert_eq!(world.count("log.events").await, 1);
}

#[tokio::test]
async fn a_cause_counts_once_whatever_the_key() {
    let Some(world) = world().await else { return };
    let store = &world.store;
    let first = run(store, "ani", caused(5, "topup/1"), generated()).await.expect("credits");
    for context in [generated(), derived("a"), derived("b"), derived("b")] {
        let again = run(store, "ani", caused(5, "topup/1"), context).await.expect("is done");
        assert_eq!((again.events.len(), again.version, again.ins_seq), (0, 1, first.ins_seq));
    }
    let all = (0..25).map(|_| run(store, "ani", caused(5, "topup/2"), generated()));
    let credited: usize =
        futures::future::join_all(all).await.into_iter().map(|answer| answer.expect("is answered").events.len()).sum();
    assert_eq!(credited, 1);
    assert_eq!(world.count("log.events").await, 2);
}

#[tokio::test]
async fn giving_back_needs_holding_and_frees_the_key() {
    let Some(world) = world().await else { return };
    let store = &world.store;
    let give_back = || AccountCommand::GiveBack { cause: "slot/1".to_owned() };
    let nothing = run(store, "ani", give_back(), generated()).await.expect("is answered");
    assert_eq!((nothing.events.len(), nothing.version), (0, 0), "what is not held cannot be given back");
    run(store, "ani", caused(1, "slot/1"), generated()).await.expect("takes");
    let stranger = run(store, "budi", give_back(), generated()).await.expect("is answered");
    assert!(stranger.events.is_empty());
    assert_eq!(run(store, "ani", give_back(), generated()).await.expect("gives back").events.len(), 1);
    assert!(run(store, "ani", give_back(), generated()).await.expect("is answered").events.is_empty());
    assert_eq!(run(store, "budi", caused(1, "slot/1"), generated()).await.expect("takes").events.len(), 1);
}

#[tokio::test]
async fn timers_are_set_replaced_cancelled_and_fired_by_the_clock() {
    let Some(world) = world().await else { return };
    let (store, start) = (&world.store, world.clock.now());
    let set = |id: &str, seconds| AccountCommand::SetReminder {
        id: id.to_owned(),
        due: start.plus(Duration::from_secs(seconds)),
    };
    run(store, "ani", set("a", 10), generated()).await.expect("sets");
    let outcome = run(store, "ani", set("b", 20), generated()).await.expect("sets");
    run(store, "ani", set("c", 30), generated()).await.expect("sets");
    run(store, "ani", set("a", 40), generated()).await.expect("replaces");
    run(store, "ani", AccountCommand::CancelReminder { id: "c".to_owned() }, generated()).await.expect("cancels");
    assert!(store.timers().due(world.clock.now(), 10).await.expect("reads").is_empty());

    world.clock.advance(Duration::from_secs(35));
    let due = store.timers().due(world.clock.now(), 10).await.expect("reads");
    assert_eq!(due.iter().map(|timer| timer.id.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!((due[0].aggregate_id.as_str(), &due[0].causation_id), ("ani", &outcome.events[0].event_id));
    assert_eq!(store.timers().overdue(world.clock.now()).await.expect("counts"), (1, 15_000));

    run(store, "ani", set("b", 50), generated()).await.expect("replaces");
    store.timers().done(&due[0]).await.expect("removes");
    world.clock.advance(Duration::from_secs(30));
    let due = store.timers().due(world.clock.now(), 10).await.expect("reads");
    assert_eq!(due.len(), 2, "a timer that was set again meanwhile stays: {due:?}");
    for timer in &due {
        store.timers().done(timer).await.expect("removes");
    }
    assert_eq!(world.count("ops.timers").await, 0);
}
