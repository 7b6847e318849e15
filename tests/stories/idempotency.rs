//! The same command key twice: one effect, the same answer; another body under the key is refused.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use minispod_e2e::{World, WorldOptions, door::Answer};
use minispod_testkit::{require, wait_until};
use serde_json::{Value, json};
use sqlx::PgPool;

const READY: Duration = Duration::from_mins(2);

/// Events of a type whose payload names `id` as `field`.
async fn events(sql: &PgPool, event_type: &str, field: &str, id: &str) -> i64 {
    let (count,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM log.events WHERE event_type = $1
         AND $3 IN (payload->>$2, payload->'cause'->>$2, payload->'subject'->>$2, CASE $2 WHEN 'id' THEN aggregate_id END)",
    )
    .bind(event_type)
    .bind(field)
    .bind(id)
    .fetch_one(sql)
    .await
    .expect("the log can be counted");
    count
}

async fn all_events(sql: &PgPool) -> i64 {
    let (count,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM log.events").fetch_one(sql).await.expect("the log can be counted");
    count
}

fn is_replay(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

#[track_caller]
fn is_refused_as_reused(answer: &Answer) {
    assert_eq!((answer.status, &answer.body["code"]), (422, &json!("IDEMPOTENCY_KEY_REUSED")), "{}", answer.body);
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_key_has_one_effect_and_one_answer() {
    if !require("pg") || !require("nats") {
        return;
    }
    let world = World::start(WorldOptions::default()).await;
    let (customer, user) = world.door().register("Ani Idempotent").await;
    let body = json!({"amount": 50_000, "currency": "IDR"});
    let first = customer.post_keyed("/billing/topup", "key-1", &body).await;
    let second = customer.post_keyed("/billing/topup", "key-1", &body).await;
    assert_eq!(first.status, 201, "{}", first.body);
    assert_eq!(second.status, first.status);
    assert_eq!((is_replay(&first), is_replay(&second)), (false, true));
    assert_eq!(second.data(), first.data(), "the repeat is answered differently");
    let at_once = join_all((0..8).map(|_| customer.post_keyed("/billing/topup", "key-2", &body))).await;
    let ids: BTreeSet<String> = at_once.iter().map(|answer| text(answer.data(), "transactionId")).collect();
    assert_eq!(ids.len(), 1, "eight requests at once under one key made {} top-ups", ids.len());
    let sql = world.sql().await;
    world.settle(&sql, READY).await;
    let before = all_events(&sql).await;
    let other = json!({"amount": 60_000, "currency": "IDR"});
    is_refused_as_reused(&customer.post_keyed("/billing/topup", "key-1", &other).await);
    world.settle(&sql, READY).await;
    assert_eq!(all_events(&sql).await, before, "another body under a used key wrote something");
    let user_id = text(&user, "id");
    assert_eq!(events(&sql, "TopUpRequested", "user_id", &user_id).await, 2, "two keys, two top-ups");
    // Another customer's same key is another key.
    let (budi, _) = world.door().register("Budi Idempotent").await;
    let theirs = budi.post_keyed("/billing/topup", "key-1", &body).await;
    assert_ne!(theirs.data()["transactionId"], first.data()["transactionId"]);
}

/// What one subscription must have left in the log, however often it was asked for.
async fn is_sold_once(sql: &PgPool, id: &str) {
    let counts = [
        ("SubscriptionRequested", "id"),
        ("SubscriptionSlotHeld", "id"),
        ("SubscriptionCharged", "id"),
        ("SubscriptionProvisioningStarted", "id"),
        ("WalletDebited", "subscription_id"),
        ("InvoiceDrafted", "subscription_id"),
        ("PlanSlotAllocated", "subscription_id"),
    ];
    for (event, field) in counts {
        assert_eq!(events(sql, event, field, id).await, 1, "{event} of {id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_sold_once_under_one_key() {
    if !require("pg") || !require("nats") {
        return;
    }
    let mut world = World::start(WorldOptions::default()).await;
    let sql = world.sql().await;
    let (customer, user) = world.door().register("Ani Subscribes Twice").await;
    let ((n8n, n8n_price), (ghost, ghost_price)) = (world.plan("n8n").await, world.plan("ghost").await);
    world.fund(&customer, 500_000).await;
    // Nothing moves on by itself between the two answers.
    world.role("provisioner").freeze();
    let wish = json!({"serviceId": n8n});
    let first = customer.post_keyed("/subscriptions", "sub-1", &wish).await;
    let second = customer.post_keyed("/subscriptions", "sub-1", &wish).await;
    assert_eq!(second.status, first.status);
    assert_eq!((is_replay(&first), is_replay(&second)), (false, true));
    assert_eq!(second.data(), first.data(), "the repeat is answered differently");
    let id = text(first.data(), "id");
    // Another body, and the same body at another door.
    for (path, body) in [("/subscriptions", json!({"serviceId": ghost})), ("/billing/topup", json!({"amount": 50_000}))]
    {
        is_refused_as_reused(&customer.post_keyed(path, "sub-1", &body).await);
    }
    let wish = json!({"serviceId": ghost});
    let at_once = join_all((0..5).map(|_| customer.post_keyed("/subscriptions", "sub-2", &wish))).await;
    let ids: BTreeSet<String> = at_once.iter().map(|answer| text(answer.data(), "id")).collect();
    assert_eq!(ids.len(), 1, "five requests at once under one key made {ids:?}");
    assert_eq!(at_once.iter().filter(|answer| !is_replay(answer)).count(), 1, "one of the five was the first");
    let other = ids.first().cloned().unwrap_or_default();
    assert_ne!(other, id);
    assert_eq!(customer.balance().await, 500_000 - n8n_price - ghost_price, "each is paid once");
    world.role("provisioner").thaw();
    for id in [&id, &other] {
        let path = format!("/subscriptions/{id}");
        wait_until(READY, || async { customer.get(&path).await.data()["status"] == "ACTIVE" }).await;
    }
    // Long afterwards the key still answers what it answered first.
    let late = customer.post_keyed("/subscriptions", "sub-1", &json!({"serviceId": n8n})).await;
    assert_eq!((text(late.data(), "id"), is_replay(&late)), (id.clone(), true));
    for field in ["userId", "serviceId", "status", "startDate", "expiresAt", "subdomain", "createdAt"] {
        assert_eq!(late.data()[field], first.data()[field], "{field} differs on the late repeat");
    }
    world.settle(&sql, READY).await;
    for id in [&id, &other] {
        is_sold_once(&sql, id).await;
    }
    let user_id = text(&user, "id");
    assert_eq!(events(&sql, "SubscriptionRequested", "user_id", &user_id).await, 2, "two keys, two subscriptions");
    assert_eq!(customer.balance().await, 500_000 - n8n_price - ghost_price);
    another_customers_key(&world, &n8n, &id).await;
}

/// The same key of somebody else is another key; one that was refused for want of money buys once there is some.
async fn another_customers_key(world: &World, plan: &str, first: &str) {
    let (budi, _) = world.door().register("Budi Subscribes Too").await;
    let wish = json!({"serviceId": plan});
    for _ in 0..2 {
        assert_eq!(budi.post_keyed("/subscriptions", "sub-1", &wish).await.status, 402);
    }
    world.fund(&budi, 500_000).await;
    let bought = budi.post_keyed("/subscriptions", "sub-1", &wish).await;
    assert_ne!(text(bought.data(), "id"), first);
}
