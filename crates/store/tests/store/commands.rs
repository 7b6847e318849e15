//! What one command does, and that a refused one leaves nothing behind.

use minispod_kernel::InsSeq;
use minispod_store::{CommandError, StoreError, VaultWrite};

use crate::{
    account::{AccountCommand, AccountEvent},
    world::{caused, deposit, generated, open, run, world},
};

#[tokio::test]
async fn a_command_answers_with_its_events_version_and_place() {
    let Some(world) = world().await else { return };
    let opened = run(&world.store, "ani", open("Ani", "email/ani"), generated()).await.expect("opens");
    assert_eq!((opened.version, opened.events.len(), opened.replayed), (1, 1, false));
    assert!(matches!(&opened.events[0].event, AccountEvent::AccountOpened { name, .. } if name.text() == "Ani"));
    let many = run(&world.store, "ani", AccountCommand::DepositMany { amounts: vec![1, 2, 3] }, generated())
        .await
        .expect("deposits");
    assert_eq!(many.events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(many.version, 4);
    assert!(many.ins_seq > opened.ins_seq);

    let history = world.store.log().history("account", "ani").await.expect("reads");
    assert_eq!(history.len(), 4);
    assert_eq!(history[3].ins_seq, many.ins_seq);
    assert_eq!(history[3].metadata.event_id, many.events[2].event_id);
    assert_eq!(history[3].metadata.correlation_id, "corr");
    assert_eq!(history[3].position.0, 0, "nothing is numbered yet");
}

#[tokio::test]
async fn a_command_that_changes_nothing_answers_with_the_aggregates_place() {
    let Some(world) = world().await else { return };
    let closed = run(&world.store, "ani", AccountCommand::Close, generated()).await.expect("closes");
    let again = run(&world.store, "ani", AccountCommand::Close, generated()).await.expect("is closed");
    assert_eq!((again.version, again.events.len(), again.ins_seq), (1, 0, closed.ins_seq));
    let fresh = world.another(|_| {}).await;
    let elsewhere = run(&fresh, "ani", AccountCommand::Close, generated()).await.expect("is closed");
    assert_eq!((elsewhere.version, elsewhere.ins_seq), (1, closed.ins_seq));
    let nobody = run(&world.store, "budi", open("", ""), generated()).await.expect("opens");
    assert!(nobody.ins_seq > InsSeq(0));
}

#[tokio::test]
async fn a_refused_command_does_not_poison_the_cache() {
    let Some(world) = world().await else { return };
    deposit(&world.store, "ani", 100).await;
    for _ in 0..3 {
        let refused = run(&world.store, "ani", AccountCommand::Withdraw { amount: 500 }, generated()).await;
        assert!(matches!(refused, Err(CommandError::Refused(refused)) if refused.code == "account-not-covered"));
    }
    run(&world.store, "ani", AccountCommand::Withdraw { amount: 100 }, generated()).await.expect("covers");
    let refused = run(&world.store, "ani", AccountCommand::Withdraw { amount: 1 }, generated()).await;
    assert!(matches!(refused, Err(CommandError::Refused(_))), "the balance is zero, in the cache as in the log");
    assert_eq!(world.count("log.events").await, 2);
}

#[tokio::test]
async fn a_refusal_from_an_old_state_does_not_stand() {
    let Some(world) = world().await else { return };
    deposit(&world.store, "ani", 10).await;
    // Another process adds money; the first one's cache does not know.
    let other = world.another(|_| {}).await;
    deposit(&other, "ani", 90).await;
    let spent = run(&world.store, "ani", AccountCommand::Withdraw { amount: 100 }, generated()).await;
    assert_eq!(spent.expect("the money is there").version, 3);
    // The same for a command that would find nothing to do.
    let opened = run(&other, "ani", AccountCommand::Close, generated()).await.expect("closes");
    assert_eq!(opened.version, 4);
    let again = run(&world.store, "ani", AccountCommand::Close, generated()).await.expect("is closed");
    assert_eq!((again.version, again.events.len()), (4, 0));
}

#[tokio::test]
async fn secrets_ride_with_the_events_or_not_at_all() {
    let Some(world) = world().await else { return };
    let put = |value: &[u8]| VaultWrite::Put { owner: "user/ani".into(), name: "hash".into(), value: value.to_vec() };
    let mut context = generated();
    context.vault = vec![put(b"first")];
    assert!(!format!("{context:?}").contains("first"), "a secret never shows");
    run(&world.store, "ani", open("Ani", ""), context).await.expect("opens");
    let vault = world.store.vault();
    assert_eq!(vault.find("user/ani", "hash").await.expect("reads").as_deref(), Some(b"first".as_slice()));

    let mut refused = generated();
    refused.vault = vec![put(b"second")];
    run(&world.store, "ani", AccountCommand::Withdraw { amount: 1 }, refused).await.expect_err("is refused");
    assert_eq!(vault.find("user/ani", "hash").await.expect("reads").as_deref(), Some(b"first".as_slice()));

    let mut removed = generated();
    removed.vault = vec![VaultWrite::Remove { owner: "user/ani".into(), name: "hash".into() }];
    run(&world.store, "ani", AccountCommand::Close, removed).await.expect("closes");
    assert_eq!(vault.find("user/ani", "hash").await.expect("reads"), None);
    let kept = vault.keep("user/ani", "token", b"one").await.expect("keeps");
    assert_eq!(kept, vault.keep("user/ani", "token", b"two").await.expect("keeps the first"));
}

#[tokio::test]
async fn a_rule_that_panics_costs_only_its_own_answer() {
    let Some(world) = world().await else { return };
    deposit(&world.store, "ani", 1).await;
    run(&world.store, "ani", AccountCommand::Explode, generated()).await.expect_err("has no answer");
    assert_eq!(deposit(&world.store, "ani", 1).await.version, 2);
}

#[tokio::test]
async fn ids_that_cannot_be_subject_tokens_are_refused_before_anything_happens() {
    let Some(world) = world().await else { return };
    for id in ["", "Ani", "a.b", "a b", &"a".repeat(65)] {
        let answer = run(&world.store, id, AccountCommand::Close, generated()).await;
        assert!(matches!(answer, Err(CommandError::Store(_))), "{id:?}");
    }
    assert_eq!(world.count("log.events").await, 0);
}

#[tokio::test]
async fn what_cannot_be_kept_or_published_is_refused_and_the_neighbours_go_on() {
    let Some(world) = world().await else { return };
    // One lane, so that the bad commands share their batch with good ones.
    let store = world.another(|config| config.lanes.lanes = 1).await;
    let large = "x".repeat(300 * 1024);
    let causes = ["good/1", "nul\0", &large, "good/2"];
    let answers = causes.iter().enumerate().map(|(index, cause)| {
        let id = format!("a{index}");
        let store = store.clone();
        async move { run(&store, &id, caused(1, cause), generated()).await }
    });
    let answers = futures::future::join_all(answers).await;
    let limits: Vec<bool> =
        answers.iter().map(|answer| matches!(answer, Err(CommandError::Store(StoreError::Limit { .. })))).collect();
    assert_eq!(limits, [false, true, true, false], "{answers:?}");
    assert_eq!(world.count("log.events").await, 2);
}
