//! Saved states: loading costs the same however long the history, and always equals the whole fold.

use minispod_store::verify;

use crate::{
    account::{Account, AccountCommand},
    world::{deposit, generated, open, run, world},
};

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
    let check = verify::state::<Account>(&world.store, "ani").await.expect("checks");
    assert_eq!(check, verify::StateCheck { version, equal: true });

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
async fn a_saved_state_that_lies_is_found() {
    let Some(world) = world().await else { return };
    let store = world.another(|config| config.state_every = 1).await;
    deposit(&store, "ani", 5).await;
    assert!(verify::state::<Account>(&store, "ani").await.expect("checks").equal);
    sqlx::query("UPDATE ops.aggregate_state SET state = jsonb_set(state, '{balance}', '6')")
        .execute(&world.admin)
        .await
        .expect("lies");
    assert!(!verify::state::<Account>(&store, "ani").await.expect("checks").equal);
}
