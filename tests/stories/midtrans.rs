//! The gateway's notifications, re-signed for fresh orders, in every order and number: the wallet is what GET status says last.

use std::{collections::BTreeMap, time::Duration};

use minispod_e2e::{Door, World, WorldOptions, world::SERVER_KEY};
use minispod_standins::midtrans::signature;
use minispod_testkit::require;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

const SETTLE: Duration = Duration::from_mins(2);

fn samples() -> Value {
    serde_json::from_str(include_str!("../fixtures/midtrans-samples.json")).expect("the samples are JSON")
}

/// Payloads by sample number or name.
fn payloads() -> BTreeMap<String, Value> {
    let file = samples();
    let numbered = file["samples"].as_array().into_iter().flatten().map(|s| (s["n"].to_string(), s["payload"].clone()));
    let named = ["extra_samples", "negative_cases"]
        .into_iter()
        .flat_map(|list| file[list].as_array().cloned().unwrap_or_default())
        .map(|s| (s["name"].as_str().unwrap_or_default().to_owned(), s["payload"].clone()));
    numbered.chain(named).collect()
}

/// The payload for another order, signed again.
fn resigned(payload: &Value, order: &str) -> Value {
    let mut payload = payload.clone();
    payload["order_id"] = json!(order);
    let text = |key: &str| payload[key].as_str().unwrap_or_default().to_owned();
    payload["signature_key"] = json!(signature(order, &text("status_code"), &text("gross_amount"), SERVER_KEY));
    payload
}

fn amount(payload: &Value) -> i64 {
    payload["gross_amount"]
        .as_str()
        .and_then(|text| text.split('.').next()?.parse().ok())
        .expect("a sample has an amount")
}

/// Every order of a few things.
fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    if items.len() <= 1 {
        return vec![items.to_vec()];
    }
    let mut all = Vec::new();
    for (index, first) in items.iter().enumerate() {
        let mut rest = items.to_vec();
        rest.remove(index);
        for mut tail in permutations(&rest) {
            tail.insert(0, first.clone());
            all.push(tail);
        }
    }
    all
}

/// One order of one customer at the stand-in.
struct Order {
    id: String,
    label: String,
    expected: i64,
}

struct Stage<'a> {
    world: &'a World,
    customer: Door,
    control: Door,
    sql: PgPool,
}

impl Stage<'_> {
    async fn order(&self, label: &str, amount: i64, expected: i64) -> Order {
        let answer = self.customer.post("/billing/topup", json!({"amount": amount, "currency": "IDR"})).await;
        let id = answer.data()["orderId"].as_str().expect("a top-up has an order id").to_owned();
        Order { id, label: label.to_owned(), expected }
    }

    /// What GET status shall answer from now on.
    async fn gateway_says(&self, order: &Order, payload: &Value) {
        let url = format!("{}/standin/orders/{}/status", self.world.midtrans.url, order.id);
        assert!(put(&url, &resigned(payload, &order.id)).await, "the stand-in takes the script of {}", order.id);
    }

    async fn deliver(&self, order: &Order, payload: &Value) -> u16 {
        self.control.post("/billing/webhooks/midtrans", resigned(payload, &order.id)).await.status
    }

    /// The sum of the wallet entries of one order.
    async fn effect(&self, order: &Order) -> i64 {
        let (sum,): (Option<i64>,) = sqlx::query_as(
            "SELECT sum(CASE event_type WHEN 'WalletReversed' THEN -1 ELSE 1 END * (payload->>'amount')::bigint)::bigint
             FROM log.events WHERE aggregate_type = 'wallet' AND payload->'cause'->>'order_id' = $1",
        )
        .bind(&order.id)
        .fetch_one(&self.sql)
        .await
        .expect("the log answers");
        sum.unwrap_or_default()
    }
}

/// PUT of JSON at a stand-in's control address.
async fn put(url: &str, body: &Value) -> bool {
    let client =
        reqwest::Client::builder().timeout(Duration::from_secs(10)).build().expect("an HTTP client can be made");
    client.request(Method::PUT, url).json(body).send().await.is_ok_and(|answer| answer.status().is_success())
}

async fn stage(world: &World) -> Stage<'_> {
    let (customer, _) = world.door().register("Ani Midtrans").await;
    Stage { world, customer, control: world.door(), sql: world.sql().await }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wallet_is_what_the_gateways_last_status_implies_in_every_order_of_delivery() {
    if !require("pg") || !require("nats") {
        return;
    }
    let world = World::start(WorldOptions::default()).await;
    let stage = stage(&world).await;
    let payloads = payloads();
    let groups: &[(&[&str], i64)] = &[
        (&["1", "2"], 150_000),
        (&["3"], 300_000),
        (&["4", "5"], 0),
        (&["6"], 0),
        (&["7", "unknown_extra_fields", "12"], 100_000),
        (&["8"], 25_000),
        (&["9"], 100_000),
        (&["10"], 500_000),
        (&["11"], 0),
        (&["card.deny.by_bank"], 0),
        (&["bri_va.cancel"], 0),
    ];
    let mut orders = Vec::new();
    for (group, expected) in groups {
        let last = &payloads[*group.last().expect("a group has messages")];
        for delivery in permutations(group) {
            let order = stage.order(&format!("{delivery:?}, GET final"), amount(last), *expected).await;
            stage.gateway_says(&order, last).await;
            for message in &delivery {
                assert_eq!(stage.deliver(&order, &payloads[*message]).await, 200, "{}", order.label);
            }
            orders.push(order);
            // The same, with the gateway's own state moving on between the deliveries.
            let order = stage.order(&format!("{delivery:?}, GET moving"), amount(last), *expected).await;
            for (step, message) in delivery.iter().enumerate() {
                stage.gateway_says(&order, &payloads[group[step]]).await;
                assert_eq!(stage.deliver(&order, &payloads[*message]).await, 200, "{}", order.label);
            }
            // Midtrans repeats the last notification; with it the last status is certainly asked for.
            stage.deliver(&order, &resigned_marked(last)).await;
            orders.push(order);
        }
    }
    duplicates(&stage, &payloads, &mut orders).await;
    world.settle(&stage.sql, SETTLE).await;
    let mut wrong = Vec::new();
    for order in &orders {
        let effect = stage.effect(order).await;
        if effect != order.expected {
            wrong.push(format!("{}: {effect} instead of {}", order.label, order.expected));
        }
    }
    assert!(wrong.is_empty(), "{} of {} orders are wrong:\n{}", wrong.len(), orders.len(), wrong.join("\n"));
    let total: i64 = orders.iter().map(|order| order.expected).sum();
    assert_eq!(stage.customer.balance().await, total, "the wallet is the sum of all orders");
    println!("{} orders, {} rupiah", orders.len(), total);
}

/// A notification that differs in a field without meaning, so that it is not the same body again.
fn resigned_marked(payload: &Value) -> Value {
    let mut payload = payload.clone();
    payload["status_message"] = json!("midtrans payment notification, repeated");
    payload
}

async fn duplicates(stage: &Stage<'_>, payloads: &BTreeMap<String, Value>, orders: &mut Vec<Order>) {
    let paid = &payloads["2"];
    let order = stage.order("five times one after another", amount(paid), amount(paid)).await;
    stage.gateway_says(&order, paid).await;
    for _ in 0..5 {
        assert_eq!(stage.deliver(&order, paid).await, 200);
    }
    orders.push(order);
    let order = stage.order("five times at once", amount(paid), amount(paid)).await;
    stage.gateway_says(&order, paid).await;
    let all = futures::future::join_all((0..5).map(|_| stage.deliver(&order, paid))).await;
    assert_eq!(all, vec![200; 5]);
    orders.push(order);
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_tampered_and_foreign_notifications_move_no_money() {
    if !require("pg") || !require("nats") {
        return;
    }
    let mut world = World::start(WorldOptions::default()).await;
    let stage = stage(&world).await;
    let payloads = payloads();
    let post = async |payload: &Value| stage.control.post("/billing/webhooks/midtrans", payload.clone()).await.status;
    // As published, byte for byte: well signed, of orders we never made. Kept, answered, worth nothing here.
    for (name, payload) in payloads.iter().filter(|(name, _)| name.parse::<u32>().is_ok() || name.contains('.')) {
        assert_eq!(post(payload).await, 200, "the published sample {name}");
    }
    let order = stage.order("forged", 150_000, 0).await;
    let mut forged = payloads["wrong_key"].clone();
    forged["order_id"] = json!(order.id);
    assert_eq!(post(&forged).await, 401, "a wrong key");
    let mut tampered = resigned(&payloads["2"], &order.id);
    tampered["gross_amount"] = json!("1500000.00");
    assert_eq!(post(&tampered).await, 401, "a changed amount");
    let mut number = resigned(&payloads["7"], &order.id);
    number["gross_amount"] = json!(154_600.0);
    assert_eq!(post(&number).await, 400, "an amount as a number");
    let wrong_amount = stage.order("another amount", 150_000, 0).await;
    let payload = &payloads["valid_signature_but_amount_differs_from_order"];
    stage.gateway_says(&wrong_amount, payload).await;
    assert_eq!(stage.deliver(&wrong_amount, payload).await, 200, "another amount than the order's");
    let swapped = stage.order("status swapped under a valid signature", 185_000, 185_000).await;
    stage.gateway_says(&swapped, &payloads["4"]).await;
    assert_eq!(stage.deliver(&swapped, &payloads["status_swapped_same_signature"]).await, 200);
    assert_eq!(post(&payloads["unknown_order"]).await, 200, "an order we never made");
    let (kept,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM ops.inbox").fetch_one(&stage.sql).await.expect("counted");
    assert!(kept >= 17, "notifications that verify are kept, the unknown order's too: {kept}");
    world.settle(&stage.sql, SETTLE).await;
    for order in [&order, &wrong_amount, &swapped] {
        assert_eq!(stage.effect(order).await, order.expected, "{}", order.label);
    }
    let (quarantined,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM log.events WHERE event_type = 'TopUpQuarantined'")
            .fetch_one(&stage.sql)
            .await
            .expect("counted");
    assert_eq!(quarantined, 1, "the wrong amount waits for a person");
    let late = resigned(&payloads["7"], &order.id);
    let door = world.door();
    drop(stage);
    world.pg.stop().await;
    let answer = door.post("/billing/webhooks/midtrans", late.clone()).await;
    assert_eq!(answer.status, 503, "not stored, so not accepted: {}", answer.body);
    world.pg.restart().await;
}
