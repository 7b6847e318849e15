//! The same command key twice: one effect, the same answer; another body under the key is refused.

use minispod_e2e::{Door, World, WorldOptions};
use minispod_testkit::require;
use reqwest::Method;
use serde_json::{Value, json};

async fn keyed(door: &Door, path: &str, key: &str, body: &Value) -> minispod_e2e::door::Answer {
    door.try_send(Method::POST, path, Some(body.to_string().into_bytes()), &[("Idempotency-Key", key)])
        .await
        .expect("the api answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_key_has_one_effect_and_one_answer() {
    if !require("pg") || !require("nats") {
        return;
    }
    let world = World::start(WorldOptions::default()).await;
    let (customer, user) = world.door().register("Ani Idempotent").await;
    let body = json!({"amount": 50_000, "currency": "IDR"});
    let first = keyed(&customer, "/billing/topup", "key-1", &body).await;
    let second = keyed(&customer, "/billing/topup", "key-1", &body).await;
    assert_eq!(first.status, 201, "{}", first.body);
    assert_eq!(second.status, first.status);
    for field in ["transactionId", "orderId", "amount", "snapToken"] {
        assert_eq!(second.data()[field], first.data()[field], "{field} differs on the repeat");
    }
    let at_once = futures_all((0..8).map(|_| keyed(&customer, "/billing/topup", "key-2", &body)).collect()).await;
    let ids: std::collections::BTreeSet<String> = at_once
        .iter()
        .filter(|answer| answer.status == 201)
        .map(|answer| answer.data()["transactionId"].to_string())
        .collect();
    assert_eq!(ids.len(), 1, "eight requests at once under one key made {} top-ups", ids.len());
    let other = keyed(&customer, "/billing/topup", "key-1", &json!({"amount": 60_000, "currency": "IDR"})).await;
    assert!((400..500).contains(&other.status), "another body under a used key: {}", other.status);
    let sql = world.sql().await;
    let (count,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM log.events WHERE event_type = 'TopUpRequested' AND payload->>'user_id' = $1",
    )
    .bind(user["id"].as_str().expect("a user has an id"))
    .fetch_one(&sql)
    .await
    .expect("the log can be counted");
    assert_eq!(count, 2, "two keys, two top-ups");
    // Another customer's same key is another key.
    let (budi, _) = world.door().register("Budi Idempotent").await;
    let theirs = keyed(&budi, "/billing/topup", "key-1", &body).await;
    assert_ne!(theirs.data()["transactionId"], first.data()["transactionId"]);
}

async fn futures_all<T: Send + 'static>(futures: Vec<impl Future<Output = T> + Send>) -> Vec<T> {
    futures::future::join_all(futures).await
}
