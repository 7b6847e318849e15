//! What of the gateway's news is for a person to look at, and what it never does to money.

use minispod_testkit::require;
use serde_json::{Value, json};
use sha2::{Digest, Sha512};

use crate::{
    stage::no,
    world::{SERVER_KEY, open},
};

const WEBHOOK: &str = "/billing/webhooks/midtrans";

/// A signed notification of a settlement; `more` is laid over it and not signed.
fn notice(order_id: &str, amount: &str, more: &Value) -> Value {
    let mut digest = Sha512::new();
    digest.update(format!("{order_id}200{amount}{SERVER_KEY}"));
    let mut body = json!({
        "order_id": order_id, "status_code": "200", "gross_amount": amount, "transaction_status": "settlement",
        "signature_key": format!("{:x}", digest.finalize()), "payment_type": "qris", "fraud_status": "accept",
        "currency": "IDR", "transaction_id": "11111111-2222-3333-4444-555555555555",
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        body[field] = value.clone();
    }
    body
}

#[actix_web::test]
async fn w23_a_notification_that_does_not_fit_its_order_is_shown_to_a_person_and_credits_nothing() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (ani, _) = world.register("ani@example.com").await;
    for (amount, more, reason) in [
        ("15000.00", json!({}), "a notification with amount 15000 instead of 50000"),
        ("50000.01", json!({}), "a notification with an amount that cannot be read"),
        ("50000.00", json!({"currency": "USD"}), "a notification with currency USD"),
    ] {
        let created = world.post("/billing/topup", &ani, json!({"amount": 50_000})).await;
        let order_id = created.data()["orderId"].as_str().expect("an order").to_owned();
        let told = world.call("POST", WEBHOOK, None, Some(&notice(&order_id, amount, &more))).await;
        assert_eq!(told.status, 200, "{:#}", told.body);
        world.settle_reactions().await;
        world.clock.advance(std::time::Duration::from_secs(30));
        let shown = world.get("/admin/billing/quarantine", &admin).await;
        let first = &shown.data()["topUps"][0];
        assert_eq!((&first["orderId"], &first["reason"]), (&json!(order_id), &json!(reason)), "{:#}", shown.body);
        assert_eq!(first["user"]["email"], "ani@example.com");
    }
    let listed = world.get("/admin/billing/quarantine", &admin).await.data()["topUps"].clone();
    let first = listed[0]["id"].as_str().expect("an id").to_owned();
    let close = format!("/admin/billing/topups/{first}/close-quarantine");
    let why = json!({"reason": "asked the gateway, a test of theirs"});
    assert_eq!(no(&world.post(&close, &ani, why.clone()).await), (403, "FORBIDDEN_ERROR"));
    assert_eq!(world.post(&close, &admin, json!({})).await.fields(), ["reason"]);
    let closed = world.post(&close, &admin, why.clone()).await;
    assert_eq!(closed.status, 200, "{:#}", closed.body);
    assert_eq!(no(&world.post(&close, &admin, why).await), (409, "CONFLICT_ERROR"));
    let left = world.get("/admin/billing/quarantine", &admin).await.data()["topUps"].clone();
    assert_eq!(left.as_array().map(Vec::len), Some(2), "{left:#}");
    assert_eq!(world.count("WalletCredited").await, 0);
    assert_eq!(world.get("/billing/balance", &ani).await.data()["balance"], "0");
    assert_eq!(no(&world.get("/admin/billing/quarantine", &ani).await), (403, "FORBIDDEN_ERROR"));
}

#[actix_web::test]
async fn w24_notifications_of_unknown_orders_are_answered_kept_whole_and_listed() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let nothing = world.get("/admin/billing/quarantine", &admin).await;
    assert_eq!(nothing.data()["unknownNotifications"], json!([]), "{:#}", nothing.body);
    let stray = notice("QRIS-static-77", "25000.00", &json!({"va_numbers": [{"bank": "bca", "va_number": "9900"}]}));
    for _ in 0..2 {
        assert_eq!(world.call("POST", WEBHOOK, None, Some(&stray)).await.status, 200);
    }
    let shown = world.get("/admin/billing/quarantine", &admin).await;
    let [one] = shown.data()["unknownNotifications"].as_array().expect("a list").as_slice() else {
        panic!("one: {:#}", shown.body)
    };
    assert_eq!((&one["orderId"], &one["amount"]), (&json!("QRIS-static-77"), &json!("25000")));
    assert_eq!(one["transactionId"], "11111111-2222-3333-4444-555555555555");
    let id = minispod_store::InboxId(one["id"].as_str().expect("an id").to_owned());
    let kept = world.store.inbox().find(&id).await.expect("answers").expect("is kept");
    assert_eq!(serde_json::from_slice::<Value>(&kept.body).expect("JSON"), stray, "every field, as it came");
}

#[actix_web::test]
async fn a_top_up_is_paid_by_its_own_id_or_by_that_of_its_line() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    let created = world.post("/billing/topup", &ani, json!({"amount": 50_000})).await;
    let topup_id = created.data()["transactionId"].as_str().expect("an id").to_owned();
    let history = world.get("/billing/transactions", &ani).await;
    let line_id = history.data()["transactions"][0]["id"].as_str().expect("an id").to_owned();
    assert_ne!(topup_id, line_id);
    for id in [&topup_id, &line_id] {
        let path = format!("/billing/transactions/{id}/pay");
        let paid = world.call("POST", &path, Some(&ani), None).await;
        assert_eq!((paid.status.as_u16(), &paid.data()["orderId"]), (200, &created.data()["orderId"]), "{id}");
        assert_eq!(world.call("POST", &path, Some(&budi), None).await.status, 404, "{id}");
    }
}
