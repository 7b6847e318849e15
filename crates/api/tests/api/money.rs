//! Top-ups, payments, notifications, the history and invoices.

use std::sync::atomic::Ordering;

use actix_web::test::TestRequest;
use minispod_testkit::require;
use serde_json::{Value, json};
use sha2::{Digest, Sha512};

use crate::{
    shapes::{assert_part, assert_shape},
    world::{SERVER_KEY, open, request},
};

fn notification(order_id: &str, amount: &str) -> Value {
    let mut digest = Sha512::new();
    digest.update(format!("{order_id}200{amount}{SERVER_KEY}"));
    let signature = format!("{:x}", digest.finalize());
    json!({
        "order_id": order_id, "status_code": "200", "gross_amount": amount, "transaction_status": "settlement",
        "signature_key": signature, "payment_type": "qris", "fraud_status": "accept", "currency": "IDR",
        "transaction_id": "11111111-2222-3333-4444-555555555555", "brand_new_field": {"of": ["tomorrow"]},
    })
}

#[actix_web::test]
async fn a_top_up_is_requested_paid_again_notified_and_credited() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register("ani@example.com").await;
    let created = world.post("/billing/topup", &token, json!({"amount": 50_000, "currency": "IDR"})).await;
    assert_eq!(created.status, 201, "{:#}", created.body);
    assert_shape("POST /api/v1/billing/topup", "ok", &created.body);
    let text = |name: &str| created.data()[name].as_str().expect("a text").to_owned();
    let (topup_id, order_id) = (text("transactionId"), text("orderId"));
    assert_eq!(
        (text("amount"), text("status"), order_id.clone()),
        ("50000".into(), "PENDING".into(), format!("TU-{topup_id}.1"))
    );

    let history = world.get("/billing/transactions?page=1&limit=20", &token).await;
    assert_shape("GET /api/v1/billing/transactions", "ok", &history.body);
    let line = &history.data()["transactions"][0];
    assert_eq!((&line["status"], &line["actions"]["canPay"]), (&json!("PENDING"), &json!(true)));
    let line_id = line["id"].as_str().expect("an id").to_owned();
    let paid = world.call("POST", &format!("/billing/transactions/{line_id}/pay"), Some(&token), None).await;
    assert_eq!(paid.status, 200, "{:#}", paid.body);
    assert_shape("POST /api/v1/billing/transactions/:id/pay", "ok", &paid.body);
    assert_eq!((&paid.data()["orderId"], &paid.data()["snapToken"]), (&json!(order_id), &created.data()["snapToken"]));

    let notice = notification(&order_id, "50000.00");
    for _ in 0..2 {
        let answer = world.call("POST", "/billing/webhooks/midtrans", None, Some(&notice)).await;
        assert_eq!((answer.status.as_u16(), &answer.data()["orderId"]), (200, &json!(order_id)));
    }
    assert_eq!(world.count("TopUpNotificationRecorded").await, 1);
    assert_eq!(world.get("/billing/balance", &token).await.data()["balance"], "0", "a notification moves no money");
    world.settle(&topup_id, &order_id, 50_000).await;
    world.settle_reactions().await;
    assert_eq!(world.get("/billing/balance", &token).await.data()["balance"], "50000");

    let topup = world.get(&format!("/billing/topup/{topup_id}"), &token).await;
    assert_eq!((&topup.data()["status"], &topup.data()["invoice"]["status"]), (&json!("PAID"), &json!("PAID")));
    let line = world.get(&format!("/billing/transactions/{line_id}"), &token).await;
    assert_eq!(
        (&line.data()["status"], &line.data()["actions"]["canDownloadInvoice"]),
        (&json!("SUCCESS"), &json!(true))
    );
    assert_eq!(line.data()["user"]["email"], "ani@example.com");
    let twice = world.call("POST", &format!("/billing/transactions/{line_id}/pay"), Some(&token), None).await;
    assert_eq!(twice.status, 409);

    let invoice_id = topup.data()["invoice"]["id"].as_str().expect("an invoice").to_owned();
    let pdf = world.get(&format!("/billing/invoices/{invoice_id}/pdf"), &token).await;
    assert_eq!((pdf.status.as_u16(), pdf.header("content-type")), (200, Some("application/pdf")));
    assert!(pdf.bytes.starts_with(b"%PDF"));
    assert!(
        pdf.header("content-disposition").is_some_and(|value| value.starts_with("attachment; filename=\"invoice-INV-"))
    );
    world.read.catch_up().await;
    let invoice = world.get(&format!("/billing/invoices/{invoice_id}"), &token).await;
    assert_eq!((&invoice.data()["downloadCount"], &invoice.data()["amount"]), (&json!(1), &json!("50000")));
    let list = world.get("/billing/invoices?type=TOPUP&status=PAID", &token).await;
    assert_eq!(list.data()["invoices"][0]["topUpTransaction"]["orderId"], json!(order_id));
}

#[actix_web::test]
async fn a_gateway_that_is_away_leaves_an_order_that_can_be_paid_later() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register("ani@example.com").await;
    world.pages.broken.store(true, Ordering::SeqCst);
    let away = world.post("/billing/topup", &token, json!({"amount": 50_000})).await;
    assert_eq!((away.status.as_u16(), away.header("retry-after")), (503, Some("2")));
    assert!(!away.body.to_string().contains("10.1.2.3"), "no internal text");
    world.read.catch_up().await;
    world.pages.broken.store(false, Ordering::SeqCst);
    let history = world.get("/billing/transactions", &token).await;
    let line_id = history.data()["transactions"][0]["id"].as_str().expect("the order is kept").to_owned();
    let paid =
        world.call("POST", &format!("/billing/transactions/{line_id}/pay"), Some(&token), Some(&json!({}))).await;
    assert_eq!(paid.status, 200, "{:#}", paid.body);
    assert_eq!(world.count("TopUpRequested").await, 1);
}

#[actix_web::test]
async fn one_key_makes_one_order() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register("ani@example.com").await;
    let keyed = |amount: i64| {
        request("POST", "/billing/topup", Some(&token), Some(&json!({"amount": amount})))
            .insert_header(("idempotency-key", "\"order-1\""))
    };
    let first = world.send(keyed(50_000)).await;
    let second = world.send(keyed(50_000)).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201), "{:#}", second.body);
    assert_eq!(first.data()["orderId"], second.data()["orderId"]);
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    let other = world.send(keyed(60_000)).await;
    assert_eq!((other.status.as_u16(), other.body["code"].as_str()), (422, Some("IDEMPOTENCY_KEY_REUSED")));
    assert_eq!(world.count("TopUpRequested").await, 1);
}

#[actix_web::test]
async fn repeats_under_the_same_key_are_no_further_payments() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register("ani@example.com").await;
    let keyed = |path: &str, key: &'static str, body: Value| {
        request("POST", path, Some(&token), Some(&body)).insert_header(("idempotency-key", key))
    };
    let topup = || keyed("/billing/topup", "order-1", json!({"amount": 50_000}));
    let first = world.send(topup()).await;
    let history = world.get("/billing/transactions", &token).await;
    let line_id = history.data()["transactions"][0]["id"].as_str().expect("an id").to_owned();
    let pay = || keyed(&format!("/billing/transactions/{line_id}/pay"), "pay-1", json!({}));
    assert_eq!(world.send(pay()).await.status, 200);
    for _ in 0..3 {
        assert_eq!(world.post("/billing/topup", &token, json!({"amount": 50_000})).await.status, 201);
    }
    assert_eq!(world.post("/billing/topup", &token, json!({"amount": 50_000})).await.status, 429);
    let again = world.send(topup()).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, Some("true")), "{:#}", again.body);
    assert_eq!(again.data()["orderId"], first.data()["orderId"]);
    assert_eq!(world.send(pay()).await.status, 200);
    let other = keyed("/billing/topup", "order-1", json!({"amount": 60_000}));
    assert_eq!(world.send(other).await.body["code"], "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(world.send(keyed("/billing/topup", "order-2", json!({"amount": 50_000}))).await.status, 429);
}

#[actix_web::test]
async fn notifications_are_judged_before_anything_is_kept() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let mut forged = notification("TU-c.1", "50000.00");
    forged["signature_key"] = json!("0".repeat(128));
    let mut numeric = notification("TU-c.1", "50000.00");
    numeric["gross_amount"] = json!(50_000.00);
    let path = "/billing/webhooks/midtrans";
    let refused = world.call("POST", path, None, Some(&forged)).await;
    assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (401, Some("AUTH_ERROR")));
    let refused = world.call("POST", path, None, Some(&numeric)).await;
    assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec!["gross_amount"]));
    assert_eq!(world.call("POST", path, None, Some(&json!([1]))).await.status, 400);
    let huge = TestRequest::post().uri("/api/v1/billing/webhooks/midtrans").set_payload(vec![b' '; 64 * 1024 + 1]);
    assert_eq!(world.send(huge).await.status, 413);
    let unknown = world.call("POST", path, None, Some(&notification("qris-static-77", "50000.00"))).await;
    assert_eq!(unknown.status, 200, "an order we never made is kept for a person");
    let kept: i64 =
        sqlx::query_scalar("SELECT count(*) FROM ops.inbox").fetch_one(world.store.pool()).await.expect("counts");
    assert_eq!((kept, world.count("TopUpNotificationRecorded").await), (1, 0));
}

#[actix_web::test]
async fn a_notification_that_cannot_be_stored_is_asked_for_again() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.store.pool().close().await;
    let answer = world.call("POST", "/billing/webhooks/midtrans", None, Some(&notification("TU-c.1", "1.00"))).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("2")));
}

#[actix_web::test]
async fn the_sixth_payment_in_a_minute_waits() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    for _ in 0..5 {
        assert_eq!(world.post("/billing/topup", &ani, json!({"amount": 50_000})).await.status, 201);
    }
    let limited = world.post("/billing/topup", &ani, json!({"amount": 50_000})).await;
    assert_eq!((limited.status.as_u16(), limited.body["code"].as_str()), (429, Some("RATE_LIMIT_EXCEEDED")));
    assert!(limited.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok()));
    assert_eq!(world.post("/billing/topup", &budi, json!({"amount": 50_000})).await.status, 201);
    for _ in 0..4 {
        world.clock.advance(std::time::Duration::from_secs(12));
        let limited = world.post("/billing/topup", &ani, json!({"amount": 50_000})).await;
        assert_eq!(limited.status, 429, "five within the last minute are all");
    }
    assert_eq!(world.count("TopUpRequested").await, 6);
    world.clock.advance(std::time::Duration::from_secs(12));
    assert_eq!(world.post("/billing/topup", &ani, json!({"amount": 50_000})).await.status, 201);
}

#[actix_web::test]
async fn other_peoples_money_does_not_exist_and_bad_filters_are_named() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    let open_order = world.post("/billing/topup", &ani, json!({"amount": 25_000})).await;
    let open_id = open_order.data()["transactionId"].as_str().expect("an id").to_owned();
    let payable = world.get("/billing/transactions", &ani).await;
    let payable = payable.data()["transactions"][0]["id"].as_str().expect("an id").to_owned();
    let created = world.post("/billing/topup", &ani, json!({"amount": 50_000})).await;
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let topup_id = text(&created.data()["transactionId"]);
    world.settle(&topup_id, &text(&created.data()["orderId"]), 50_000).await;
    world.settle_reactions().await;
    let topup = world.get(&format!("/billing/topup/{topup_id}"), &ani).await;
    assert_eq!(topup.data()["invoice"]["status"], "PAID", "{:#}", topup.body);
    let (invoice, invoice_id) = (&topup.data()["invoice"], text(&topup.data()["invoice"]["id"]));
    let lines = world.get("/billing/transactions", &ani).await;
    assert_shape("GET /api/v1/billing/transactions", "ok", &lines.body);
    let lines = lines.data()["transactions"].as_array().expect("lines").clone();
    let line = lines.iter().find(|line| line["invoice"]["id"] == invoice_id.as_str()).expect("a line with its invoice");
    assert_part("GET /api/v1/billing/transactions", "ok", "/data/transactions/0", line);
    assert_part("GET /api/v1/billing/transactions", "ok", "/data/transactions/0/invoice/oneOf/0", &line["invoice"]);
    assert_eq!(&line["invoice"], invoice);
    for (method, path) in [
        ("GET", format!("/billing/topup/{topup_id}")),
        ("GET", format!("/billing/topup/{open_id}")),
        ("GET", format!("/billing/transactions/{}", text(&line["id"]))),
        ("POST", format!("/billing/transactions/{payable}/pay")),
        ("GET", format!("/billing/invoices/{invoice_id}")),
        ("GET", format!("/billing/invoices/{invoice_id}/pdf")),
    ] {
        let answer = world.call(method, &path, Some(&budi), None).await;
        assert_eq!(answer.status, 404, "{method} {path}");
        assert_shape("GET /api/v1/billing/invoices/:id/pdf", "refused", &answer.body);
        for secret in [&invoice_id, &text(&invoice["invoiceNumber"]), "ani@example.com"] {
            assert!(!answer.body.to_string().contains(secret), "{method} {path} tells {secret}");
        }
        assert_eq!(world.call(method, &path, Some(&ani), None).await.status, 200, "hers: {method} {path}");
    }
    assert_eq!(world.count("InvoiceDownloaded").await, 1, "only the owner's look counts");
    assert_eq!(world.get("/billing/invoices", &budi).await.data()["invoices"], json!([]));
    assert_eq!(world.get("/billing/transactions", &budi).await.data()["transactions"], json!([]));
    for path in ["/billing/topup/x", "/billing/transactions/short", "/billing/invoices/..%2f..%2fetc"] {
        assert_eq!(world.get(path, &ani).await.status, 400, "{path}");
    }
    let bad = world.get("/billing/transactions?page=x&limit=0&type=LOAN&status=LOST&startDate=1&endDate=2", &ani).await;
    assert_eq!(bad.fields(), ["page", "limit", "type", "status", "startDate", "endDate"]);
    for beyond in ["9999-12-31T23:59:59-01:00", "-9999-01-01T00:00:00%2B01:00", "-0001-01-01"] {
        let bad = world.get(&format!("/billing/transactions?startDate={beyond}&endDate={beyond}"), &ani).await;
        assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["startDate", "endDate"]), "{beyond}");
    }
    assert_eq!(world.get("/billing/transactions?startDate=1970-01-01&endDate=9999-12-31", &ani).await.status, 200);
    assert_eq!(world.get("/billing/invoices?status=LOST", &ani).await.fields(), ["status"]);
}
