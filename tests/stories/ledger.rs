//! The books: `ledger verify` finds them sound after real money, and names what somebody changed beneath them.

use std::time::Duration;

use minispod_e2e::{World, WorldOptions};
use minispod_testkit::require;
use serde_json::json;
use sqlx::Executor;

const SETTLE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn the_books_are_verified_and_what_is_changed_beneath_them_is_named() {
    if !require("pg") || !require("nats") {
        return;
    }
    let world = World::start(WorldOptions::default()).await;
    let sql = world.sql().await;
    let (customer, _) = world.door().register("Ani Counts").await;
    world.fund(&customer, 200_000).await;
    let (plan, _) = world.plan("n8n").await;
    world.subscribe(&customer, &plan).await;
    customer.post("/billing/topup", json!({"amount": 50_000, "currency": "IDR"})).await.data();
    world.settle(&sql, SETTLE).await;
    let sound = world.must(&["ledger", "verify"]);
    assert!(sound.contains("the books are as the log says"), "{sound}");
    assert!(sound.contains("2 in the log") && sound.contains("2 transactions of 4 legs that add up to 0"), "{sound}");

    let schema: String = sqlx::query_scalar(
        "SELECT 'read_ledger_g' || generation FROM read.generations WHERE projection = 'ledger' AND state = 'live'",
    )
    .fetch_one(&sql)
    .await
    .expect("the ledger has a generation");
    let lopsided = format!("UPDATE {schema}.ledger_legs SET amount = amount + 1 WHERE account = 'revenue'");
    let refused = sql.execute(lopsided.as_str()).await.expect_err("the database refuses it").to_string();
    assert!(refused.contains("legs that add up to"), "{refused}");
    // Balanced, so that only the log knows better.
    let forged = format!(
        "UPDATE {schema}.ledger_legs l SET amount = l.amount + sign(l.amount)::bigint * 7
         FROM {schema}.ledger_transactions t WHERE t.id = l.transaction_id AND t.kind = 'SUBSCRIPTION_CHARGE'"
    );
    sql.execute(forged.as_str()).await.expect("both legs together balance");
    let (ok, text) = world.run(&["ledger", "verify"]);
    assert!(!ok && text.contains("DIFFERENCE    charge/"), "forged legs pass:\n{text}");
    sql.execute(forged.replace("+ sign", "- sign").as_str()).await.expect("put back");
    let gone = format!("UPDATE {schema}.ledger_balances SET balance = balance - 9 WHERE account LIKE 'wallet/%'");
    sql.execute(gone.as_str()).await.expect("it can be changed");
    sql.execute("DELETE FROM log.claims WHERE key LIKE 'entry/topup/%'").await.expect("it can be deleted");
    let (ok, text) = world.run(&["ledger", "verify"]);
    for part in ["account wallet/", "add up to -9", "has no claim", "3 differences"] {
        assert!(!ok && text.contains(part), "{part} is not in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_prices_are_compared_with_what_was_charged_and_nothing_changes() {
    if !require("pg") || !require("nats") {
        return;
    }
    let world = World::start(WorldOptions::default()).await;
    let sql = world.sql().await;
    let (customer, _) = world.door().register("Ani Asks").await;
    world.fund(&customer, 200_000).await;
    let (plan, price) = world.plan("n8n").await;
    world.subscribe(&customer, &plan).await;
    world.settle(&sql, SETTLE).await;
    let variant: String = sqlx::query_scalar("SELECT variant FROM read.plans WHERE id = $1")
        .bind(&plan)
        .fetch_one(&sql)
        .await
        .expect("the plan is in the catalogue");
    let events = "SELECT count(*) FROM log.events";
    let before: i64 = sqlx::query_scalar(events).fetch_one(&sql).await.expect("counts");
    let file = world.directory().join("prices.toml");
    std::fs::write(&file, format!("[plans]\n\"n8n/{variant}\" = {}\n", price + 1_000)).expect("it can be written");
    let path = file.display().to_string();
    let words = ["whatif", "--price-list", &path, "--from", "2020-01-01", "--to", "2099-12-31"];
    let told = world.must(&words);
    assert!(told.contains(&format!("n8n/{variant}")) && told.contains("+1000"), "{told}");
    let json: serde_json::Value =
        serde_json::from_str(&world.must(&[&words[..], &["--json"]].concat())).expect("JSON and nothing else");
    assert_eq!((&json["total"]["decisions"], &json["total"]["difference"]), (&json!(1), &json!(1_000)), "{json:#}");
    std::fs::write(&file, "[plans]\n\"n8n/golden\" = 1\n").expect("it can be written");
    let (ok, refused) = world.run(&words);
    assert!(!ok && refused.contains("no plan n8n/golden") && refused.contains(&format!("n8n/{variant}")), "{refused}");
    let after: i64 = sqlx::query_scalar(events).fetch_one(&sql).await.expect("counts");
    assert_eq!(after, before);
}
