//! Idempotency: the same key twice is one effect and one answer.

use std::time::Duration;

use minispod_kernel::Clock;
use minispod_store::CommandError;

use crate::{
    account::AccountCommand,
    world::{client, deposit, derived, generated, open, run, world},
};

fn pay(amount: i64) -> AccountCommand {
    AccountCommand::Deposit { amount, cause: None }
}

#[tokio::test]
async fn the_same_key_twice_is_one_effect_and_the_same_answer() {
    let Some(world) = world().await else { return };
    for (first, repeat) in [(client("k", 1), client("k", 1)), (derived("e1.charge"), derived("e1.charge"))] {
        let once = run(&world.store, "ani", pay(5), first).await.expect("pays");
        deposit(&world.store, "ani", 1).await;
        for store in [&world.store, &world.another(|_| {}).await] {
            let twice = run(store, "ani", pay(5), repeat.clone()).await.expect("is answered");
            assert_eq!((&twice.events, twice.version, twice.ins_seq), (&once.events, once.version, once.ins_seq));
            assert!(twice.replayed && !once.replayed);
        }
    }
    assert_eq!(world.count("log.events").await, 4);
}

#[tokio::test]
async fn a_repeat_with_another_new_id_is_answered_by_the_first_aggregate() {
    let Some(world) = world().await else { return };
    let first = run(&world.store, "first", open("Ani", "email/ani"), client("register", 1)).await.expect("opens");
    let repeat = run(&world.store, "second", open("Ani", "email/ani"), client("register", 1)).await.expect("repeats");
    assert_eq!((repeat.aggregate_id.as_str(), repeat.events), ("first", first.events));
    assert_eq!(world.count("log.events").await, 1);
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    let Some(world) = world().await else { return };
    run(&world.store, "ani", pay(5), client("k", 1)).await.expect("pays");
    let other = run(&world.store, "ani", pay(6), client("k", 2)).await;
    assert!(matches!(other, Err(CommandError::KeyReused)));
    let elsewhere = run(&world.store, "budi", pay(6), derived("d")).await.expect("pays");
    assert_eq!(elsewhere.version, 1);
    assert!(matches!(run(&world.store, "ani", pay(6), derived("d")).await, Err(CommandError::KeyReused)));
}

#[tokio::test]
async fn refusals_and_empty_decisions_are_replayed_even_when_the_rules_would_now_say_otherwise() {
    let Some(world) = world().await else { return };
    let spend = AccountCommand::Withdraw { amount: 50 };
    let first = run(&world.store, "ani", spend.clone(), client("k", 1)).await.expect_err("is not covered");
    deposit(&world.store, "ani", 100).await;
    let again = run(&world.store, "ani", spend, client("k", 1)).await.expect_err("stays refused");
    assert_eq!(first.to_string(), again.to_string());
    assert!(matches!(again, CommandError::Refused(refused) if refused.kind == minispod_kernel::RefusalKind::Payment));

    run(&world.store, "ani", open("Ani", ""), generated()).await.expect("opens");
    let empty = run(&world.store, "ani", open("Ani", ""), derived("open-again")).await.expect("is open");
    deposit(&world.store, "ani", 1).await;
    let repeat = run(&world.store, "ani", open("Ani", ""), derived("open-again")).await.expect("is open");
    assert_eq!((repeat.version, repeat.ins_seq, repeat.replayed), (empty.version, empty.ins_seq, true));
}

#[tokio::test]
async fn many_repeats_at_once_are_one_effect() {
    let Some(world) = world().await else { return };
    let other = world.another(|_| {}).await;
    let repeats = (0..20).map(|index| {
        let store = if index % 2 == 0 { &world.store } else { &other };
        run(store, "ani", pay(5), client("k", 1))
    });
    let answers = futures::future::join_all(repeats).await;
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("is answered")).collect();
    assert!(answers.windows(2).all(|pair| pair[0].events == pair[1].events));
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    assert_eq!(world.count("log.events").await, 1);
}

#[tokio::test]
async fn receipts_go_when_nobody_can_ask_again() {
    let Some(world) = world().await else { return };
    for index in 0..5 {
        run(&world.store, "ani", pay(1), client(&format!("k{index}"), 1)).await.expect("pays");
        run(&world.store, "ani", pay(1), derived(&format!("d{index}"))).await.expect("pays");
    }
    let receipts = world.store.receipts();
    let head = world.store.numbering().catch_up().await.expect("numbers").expect("nobody is in the way");
    assert_eq!(receipts.purge_clients(world.clock.now(), 100).await.expect("purges"), 0, "none is older than now");
    world.clock.advance(Duration::from_secs(1));
    let now = world.clock.now();
    assert_eq!(receipts.purge_clients(now, 3).await.expect("purges"), 3, "in bounded steps");
    assert_eq!(receipts.purge_clients(now, 3).await.expect("purges"), 2);
    let early = minispod_kernel::LogPosition(5);
    let below = receipts.purge_derived(now, early, 100).await.expect("purges");
    assert!((1..5).contains(&below), "only what lies below the floor: {below}");
    assert_eq!(receipts.purge_derived(now, head.position, 100).await.expect("purges"), 5 - below as u64);
    let fresh = run(&world.store, "ani", pay(1), client("k0", 1)).await.expect("pays");
    assert!(!fresh.replayed);
}
