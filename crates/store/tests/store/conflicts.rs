//! Writers that meet: batches with a conflicting member, several processes on one aggregate, expected versions.

use std::collections::BTreeSet;

use minispod_store::CommandError;

use crate::{
    account::AccountCommand,
    world::{caused, deposit, derived, generated, open, run, world},
};

#[tokio::test]
async fn a_batch_with_one_conflicting_member_writes_all_the_others() {
    let Some(world) = world().await else { return };
    // One lane, so that everything that waits shares a transaction.
    let store = world.another(|config| config.lanes.lanes = 1).await;
    for index in 0..10 {
        deposit(&store, &format!("a{index}"), 1).await;
    }
    // Somebody else moves one aggregate on and takes one name.
    deposit(&world.store, "a3", 1).await;
    run(&world.store, "stranger", open("X", "name/x"), generated()).await.expect("opens");

    let mut waiting: Vec<_> = (0..10)
        .map(|index| {
            let store = store.clone();
            tokio::spawn(async move { deposit(&store, &format!("a{index}"), 10).await.version })
        })
        .collect();
    let refused = run(&store, "rival", open("Y", "name/x"), generated());
    let (refused, versions) = tokio::join!(refused, futures::future::join_all(waiting.drain(..)));
    assert!(matches!(refused, Err(CommandError::ClaimTaken { .. })));
    let versions: Vec<i64> = versions.into_iter().map(|version| version.expect("is answered")).collect();
    assert_eq!(versions, [2, 2, 2, 3, 2, 2, 2, 2, 2, 2]);
    assert_eq!(world.count("log.events").await, 22);
}

#[tokio::test]
async fn two_processes_on_one_aggregate_lose_nothing() {
    let Some(world) = world().await else { return };
    let stores = [world.another(|_| {}).await, world.another(|_| {}).await];
    let tasks: Vec<_> = (0..60)
        .map(|index| {
            let store = stores[index % 2].clone();
            tokio::spawn(async move {
                let mut sequences = Vec::new();
                for _ in 0..5 {
                    sequences.push(deposit(&store, "hot", 1).await.version);
                }
                sequences
            })
        })
        .collect();
    let mut versions = BTreeSet::new();
    for task in tasks {
        versions.extend(task.await.expect("deposits"));
    }
    assert_eq!(versions.len(), 300, "every command has a version of its own");
    assert_eq!(world.count("log.events").await, 300);
    let spent = run(&stores[0], "hot", AccountCommand::Withdraw { amount: 300 }, generated()).await;
    assert_eq!(spent.expect("every rupiah counted").version, 301);
}

#[tokio::test]
async fn an_expected_version_is_a_promise_not_a_wish() {
    let Some(world) = world().await else { return };
    deposit(&world.store, "ani", 1).await;
    let other = world.another(|_| {}).await;
    deposit(&other, "ani", 1).await;
    let expecting = |version| {
        let mut context = derived(&format!("at-{version}"));
        context.expected_version = Some(version);
        context
    };
    let pay = || AccountCommand::Deposit { amount: 1, cause: None };
    // The first store still remembers version 1: the answer must come from the log.
    let old = run(&world.store, "ani", pay(), expecting(1)).await;
    assert!(matches!(old, Err(CommandError::VersionMismatch { expected: 1, actual: 2 })), "{old:?}");
    let right = run(&world.store, "ani", pay(), expecting(2)).await.expect("matches");
    assert_eq!(right.version, 3);
    let repeat = run(&world.store, "ani", pay(), expecting(2)).await.expect("a repeat is answered, not refused");
    assert_eq!((repeat.version, repeat.replayed), (3, true));

    let racers = (0..10).map(|index| {
        let store = if index % 2 == 0 { &world.store } else { &other };
        let mut context = generated();
        context.expected_version = Some(3);
        run(store, "ani", pay(), context)
    });
    let answers = futures::future::join_all(racers).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert!(
        answers.iter().all(|answer| matches!(answer, Ok(_) | Err(CommandError::VersionMismatch { expected: 3, .. })))
    );
}

#[tokio::test]
async fn commands_of_one_aggregate_keep_their_order_and_share_transactions() {
    let Some(world) = world().await else { return };
    deposit(&world.store, "ani", 1).await;
    // Alternating use and release of one key: each step is only possible after the one before it.
    let steps = (0..20).map(|index| {
        let command =
            if index % 2 == 0 { caused(1, "key") } else { AccountCommand::GiveBack { cause: "key".to_owned() } };
        run(&world.store, "ani", command, generated())
    });
    let answers = futures::future::join_all(steps).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|outcome| outcome.events.len() == 1)));
    let versions: Vec<i64> = answers.into_iter().map(|answer| answer.expect("works").version).collect();
    assert_eq!(versions, (2..=21).collect::<Vec<_>>());
}

#[tokio::test]
async fn too_many_waiting_commands_are_told_to_come_back() {
    let Some(world) = world().await else { return };
    let store = world
        .another(|config| {
            config.lanes.lanes = 1;
            config.lanes.waiting = 5;
        })
        .await;
    let ids: Vec<String> = (0..50).map(|index| format!("a{index}")).collect();
    let crowd = ids.iter().map(|id| run(&store, id, AccountCommand::Deposit { amount: 1, cause: None }, generated()));
    let answers = futures::future::join_all(crowd).await;
    let busy = answers.iter().filter(|answer| matches!(answer, Err(CommandError::Busy { .. }))).count();
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(busy > 0 && done >= 5 && busy + done == 50, "{busy} busy, {done} done");
    assert_eq!(world.count("log.events").await, done as i64);
}
