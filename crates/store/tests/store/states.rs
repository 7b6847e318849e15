//! Saved states: loading costs the same however long the history, and always equals the whole fold.

use minispod_store::{Store, verify};

use crate::{
    account::{Account, AccountCommand},
    world::{deposit, generated, open, run, world},
};

/// What `log verify` says of one account.
pub async fn fold_of(store: &Store, id: &str) -> verify::Fold {
    let mut folds = verify::Folds::begin(store).await.expect("begins");
    folds.fold::<Account>(&[id.to_owned()]).await.expect("folds").pop().expect("one id, one answer")
}

#[tokio::test]
async fn a_long_history_loads_from_its_state_row_and_equals_the_fold() {
    let Some(world) = world().await else { return };
    run(&world.store, "ani", open("Ani", ""), generated()).await.expect("opens");
    for _ in 0..30 {
        let amounts = vec![1; 41];
        run(&world.store, "ani", AccountCommand::DepositMany { amounts }, generated()).await.expect("deposits");
    }
    let version = 1 + 30 * 41;
    let saved: i64 = sqlx::query_scalar("SELECT version FROM ops.aggregate_state WHERE aggregate_id = 'ani'")
        .fetch_one(&world.admin)
        .await
        .expect("a state was saved");
    assert!(version - saved < 100, "the tail stays short: saved {saved} of {version}");
    assert_eq!(fold_of(&world.store, "ani").await, verify::Fold::Equal { version: saved });

    // Break the older events' meaning for a fresh process: if it needed them, it would fail.
    damage(&world, &format!("sequence < {saved}")).await;
    let fresh = world.another(|_| {}).await;
    let spent = run(&fresh, "ani", AccountCommand::Withdraw { amount: 30 * 41 }, generated()).await;
    assert_eq!(spent.expect("the balance is right").version, version + 1);
}

/// Makes events unreadable, as no code of ours could.
async fn damage(world: &crate::world::World, which: &str) {
    let mut db = world.admin.acquire().await.expect("connects");
    for sql in [
        "ALTER TABLE log.events DISABLE TRIGGER events_stay".to_owned(),
        format!("UPDATE log.events SET payload = '{{}}' WHERE {which}"),
        "ALTER TABLE log.events ENABLE TRIGGER events_stay".to_owned(),
    ] {
        sqlx::query(&sql).execute(&mut *db).await.expect("damages");
    }
}

#[tokio::test]
async fn states_of_other_code_and_emptied_states_are_only_slower() {
    let Some(world) = world().await else { return };
    let store = world.another(|config| config.state_every = 2).await;
    for _ in 0..5 {
        deposit(&store, "ani", 1).await;
    }
    for change in [
        "UPDATE ops.aggregate_state SET fingerprint = 'older', state = '{\"balance\": 999}'",
        "UPDATE ops.aggregate_state SET fingerprint = 'account-1', state = '{\"nonsense\": 1}'",
        "UPDATE ops.aggregate_state SET fingerprint = 'account-1', version = 999",
        "DELETE FROM ops.aggregate_state",
    ] {
        sqlx::query(change).execute(&world.admin).await.expect("changes");
        let fresh = world.another(|config| config.state_every = 1_000).await;
        let refused = run(&fresh, "ani", AccountCommand::Withdraw { amount: 6 }, generated()).await;
        refused.expect_err("five are not six");
        run(&fresh, "ani", AccountCommand::Withdraw { amount: 1 }, generated()).await.expect("five cover one");
        deposit(&fresh, "ani", 1).await;
    }
}

#[tokio::test]
async fn a_saved_state_that_lies_is_found_even_when_later_events_hide_it() {
    let Some(world) = world().await else { return };
    let store = world.another(|config| config.state_every = 1).await;
    deposit(&store, "ani", 5).await;
    assert_eq!(fold_of(&store, "ani").await, verify::Fold::Equal { version: 1 });
    sqlx::query("UPDATE ops.aggregate_state SET state = jsonb_set(state, '{closed}', 'true')")
        .execute(&world.admin)
        .await
        .expect("lies");
    assert_eq!(fold_of(&store, "ani").await, verify::Fold::Differs { version: 1 });
    // From here on the account is closed in truth too; what was saved before is a lie all the same.
    let tail = world.another(|config| config.state_every = 1_000).await;
    run(&tail, "ani", AccountCommand::Close, generated()).await.expect("closes");
    assert_eq!(fold_of(&store, "ani").await, verify::Fold::Differs { version: 1 });
    sqlx::query("UPDATE ops.aggregate_state SET version = 99").execute(&world.admin).await.expect("runs ahead");
    assert_eq!(fold_of(&store, "ani").await, verify::Fold::Differs { version: 99 });
    sqlx::query("UPDATE ops.aggregate_state SET fingerprint = 'older'").execute(&world.admin).await.expect("ages");
    assert_eq!(fold_of(&store, "ani").await, verify::Fold::Whole);
}

#[tokio::test]
async fn every_aggregate_is_listed_once_and_one_that_does_not_fold_is_named_alone() {
    let Some(world) = world().await else { return };
    // More than one page of them.
    let names: Vec<String> = (0..502).map(|number| format!("a{number:03}")).collect();
    for name in &names {
        deposit(&world.store, name, 1).await;
    }
    damage(&world, "aggregate_id = 'a007'").await;
    sqlx::query("INSERT INTO ops.aggregate_state VALUES ('account', 'nobody', 'account-1', 1, '{}')")
        .execute(&world.admin)
        .await
        .expect("a state without events");
    let mut folds = verify::Folds::begin(&world.store).await.expect("begins");
    let mut seen = Vec::new();
    while let Some((aggregate_type, ids)) = folds.next().await.expect("lists") {
        assert_eq!(aggregate_type, "account");
        let found = folds.fold::<Account>(&ids).await.expect("folds");
        seen.extend(ids.into_iter().zip(found));
    }
    assert_eq!(seen.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(), names);
    let broken: Vec<_> = seen.iter().filter(|(_, fold)| !matches!(fold, verify::Fold::Whole)).collect();
    assert!(matches!(broken.as_slice(), [(id, verify::Fold::Broken { .. })] if id == "a007"), "{broken:?}");
    assert_eq!(folds.unfounded().await.expect("looks"), [("account".to_owned(), "nobody".to_owned())]);
}
