//! Our Midtrans client against the stand-in: pages, status, faults, retries, the breaker.

use std::{sync::Arc, time::Duration};

use minispod_billing::{
    Environment, Gateway, GatewayError, MidtransClient, MidtransConfig, PaymentPage, ServerKey, StatusAnswer,
    gateway::{Customer, PageRequest},
};
use minispod_domain::GatewayStatus;
use minispod_kernel::{Clock, ManualClock, Rupiah, Timestamp};
use minispod_standins::{
    STAND_IN_HEADER,
    midtrans::{self, MidtransOptions, MidtransStandIn},
};
use serde_json::{Value, json};

use crate::{anywhere, clock, http, ids};

pub(crate) const KEY: &str = "SB-Mid-server-TEST";
pub(crate) const ORDER: &str = "TU-c0123456789abcdefghijklmn.1";

pub(crate) fn start() -> MidtransStandIn {
    midtrans::start(anywhere(), MidtransOptions::new(KEY, clock(), ids())).expect("it starts")
}

/// A client whose pauses are short.
pub(crate) fn client(standin: &MidtransStandIn, change: impl FnOnce(&mut MidtransConfig)) -> MidtransClient {
    client_at(standin, clock(), change)
}

fn client_at(
    standin: &MidtransStandIn,
    clock: Arc<dyn Clock>,
    change: impl FnOnce(&mut MidtransConfig),
) -> MidtransClient {
    let environment = Environment::At { base_url: standin.url.clone() };
    let mut config = MidtransConfig::new(environment, ServerKey::new(KEY));
    config.merchant_id = Some("G900000001".into());
    config.retry.first_pause = Duration::from_millis(2);
    change(&mut config);
    MidtransClient::new(config, clock, ids()).expect("a client")
}

fn page_request(order_id: &str) -> PageRequest {
    PageRequest {
        order_id: order_id.into(),
        amount: Rupiah::new(25_000),
        customer: Some(Customer { name: "Ani Wijaya".into(), email: "ani@example.com".into() }),
        lifetime: Duration::from_hours(24),
    }
}

pub(crate) async fn create(client: &MidtransClient) -> PaymentPage {
    client.create_page(&page_request(ORDER)).await.expect("a page")
}

pub(crate) async fn steer(standin: &MidtransStandIn, path: &str, body: Value) -> Value {
    let answer = http().post(format!("{}/standin/{path}", standin.url)).json(&body).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.json().await.unwrap_or(Value::Null)
}

pub(crate) async fn put(standin: &MidtransStandIn, path: &str, body: Value) {
    let answer = http().put(format!("{}/standin/{path}", standin.url)).json(&body).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
}

pub(crate) async fn known(client: &MidtransClient) -> GatewayStatus {
    match client.status(ORDER).await {
        Ok(StatusAnswer::Known(status)) => *status,
        other => panic!("a known status was expected: {other:?}"),
    }
}

#[tokio::test]
async fn an_order_goes_from_its_page_over_not_started_to_paid() {
    let standin = start();
    let client = client(&standin, |_| {});
    let page = create(&client).await;
    assert!(page.redirect_url.ends_with(&page.token));
    assert_eq!(client.status(ORDER).await.expect("an answer"), StatusAnswer::NotStarted);

    steer(&standin, &format!("orders/{ORDER}/pay"), json!({ "payment_type": "bank_transfer" })).await;
    let status = known(&client).await;
    assert_eq!((status.transaction_status.as_str(), status.status_code.as_str()), ("settlement", "200"));
    assert_eq!((status.gross_amount, status.currency.as_str()), (Some(Rupiah::new(25_000)), "IDR"));
    assert_eq!((status.payment_type.as_str(), status.merchant_matches), ("bank_transfer", true));
    assert!(matches!(client.create_page(&page_request(ORDER)).await, Err(GatewayError::OrderTaken)));
    standin.shutdown().await;
}

#[tokio::test]
async fn a_second_page_of_an_unpaid_order_replaces_the_first() {
    let standin = start();
    let client = client(&standin, |_| {});
    let (first, second) = (create(&client).await, create(&client).await);
    assert_ne!(first.token, second.token);
    let status =
        |page: PaymentPage| async move { http().get(page.redirect_url).send().await.expect("a page").status() };
    assert_eq!((status(first).await.as_u16(), status(second).await.as_u16()), (404, 200));
    standin.shutdown().await;
}

#[tokio::test]
async fn the_page_names_itself_a_stand_in_and_a_person_can_pay_on_it() {
    let standin = start();
    let client = client(&standin, |_| {});
    let page = create(&client).await;
    let shown = http().get(&page.redirect_url).send().await.expect("the page");
    assert_eq!(shown.headers()[STAND_IN_HEADER], "midtrans");
    assert!(shown.text().await.expect("HTML").contains("This is a stand-in for Midtrans"));
    let chosen = http().post(&page.redirect_url).body("payment_type=gopay&outcome=pay");
    let chosen = chosen.header("content-type", "application/x-www-form-urlencoded").send().await.expect("an answer");
    assert_eq!(chosen.status().as_u16(), 200);
    assert_eq!(known(&client).await.payment_type, "gopay");
    standin.shutdown().await;
}

#[tokio::test]
async fn every_way_to_pay_and_every_end_reads_as_a_status() {
    let standin = start();
    let client = client(&standin, |_| {});
    create(&client).await;
    for (outcome, payment_type, status, code) in [
        ("pending", "bank_transfer", "pending", "201"),
        ("deny", "credit_card", "deny", "202"),
        ("challenge", "credit_card", "capture", "201"),
        ("pay", "credit_card", "capture", "200"),
        ("pay", "permata", "settlement", "200"),
        ("pay", "cstore", "settlement", "200"),
        ("pay", "echannel", "settlement", "200"),
        ("cancel", "qris", "cancel", "202"),
        ("expire", "qris", "expire", "407"),
    ] {
        steer(&standin, &format!("orders/{ORDER}/{outcome}"), json!({ "payment_type": payment_type })).await;
        let known = known(&client).await;
        assert_eq!((known.transaction_status.as_str(), known.status_code.as_str()), (status, code), "{payment_type}");
        assert_eq!(known.fraud_status.is_none(), payment_type == "cstore");
    }
    standin.shutdown().await;
}

#[tokio::test]
async fn pending_orders_can_be_cancelled_or_expired_and_settled_ones_cannot() {
    let standin = start();
    let client = client(&standin, |_| {});
    create(&client).await;
    assert_eq!(client.cancel(ORDER).await.expect("an answer"), StatusAnswer::NotStarted);
    for (end, expected) in [("cancel", "cancel"), ("expire", "expire")] {
        steer(&standin, &format!("orders/{ORDER}/pending"), json!({})).await;
        let answer = if end == "cancel" { client.cancel(ORDER).await } else { client.expire(ORDER).await };
        let Ok(StatusAnswer::Known(status)) = answer else { panic!("{end}: {answer:?}") };
        assert_eq!(status.transaction_status, expected);
    }
    steer(&standin, &format!("orders/{ORDER}/pay"), json!({})).await;
    assert!(matches!(client.cancel(ORDER).await, Err(GatewayError::Refused { status: 412, .. })));
    standin.shutdown().await;
}

#[tokio::test]
async fn a_refund_is_seen_with_its_key_and_confirmed_by_the_bank() {
    let standin = start();
    let client = client(&standin, |_| {});
    create(&client).await;
    steer(&standin, &format!("orders/{ORDER}/pay"), json!({ "payment_type": "gopay" })).await;
    let refund = |body: Value| {
        let request = http().post(format!("{}/v2/{ORDER}/refund", standin.url)).basic_auth(KEY, Some("")).json(&body);
        async move { request.send().await.expect("an answer").status().as_u16() }
    };
    assert_eq!(refund(json!({ "refund_key": "r1", "amount": 5_000, "reason": "asked" })).await, 200);
    assert_eq!(refund(json!({ "refund_key": "r1", "amount": 5_000 })).await, 406);
    assert_eq!(refund(json!({ "refund_key": "r2", "amount": 99_000 })).await, 414);
    let status = known(&client).await;
    assert_eq!(status.transaction_status, "partial_refund");
    let seen: Vec<_> =
        status.refunds.iter().map(|one| (one.refund_key.as_str(), one.amount.amount(), one.bank_confirmed)).collect();
    assert_eq!(seen, [("r1", 5_000, true)]);
    standin.shutdown().await;
}

#[tokio::test]
async fn a_scripted_answer_comes_back_as_it_was_written() {
    let standin = start();
    let client = client(&standin, |_| {});
    let answer = json!({
        "order_id": ORDER, "transaction_status": "settlement", "status_code": "200", "gross_amount": "1.50",
        "merchant_id": "G1", "currency": "USD",
    });
    put(&standin, &format!("orders/{ORDER}/status"), answer).await;
    let status = known(&client).await;
    assert_eq!((status.gross_amount, status.merchant_matches, status.currency.as_str()), (None, false, "USD"));
    put(&standin, &format!("orders/{ORDER}/status"), Value::Null).await;
    assert_eq!(client.status(ORDER).await.expect("an answer"), StatusAnswer::NotStarted);
    standin.shutdown().await;
}

#[tokio::test]
async fn a_wrong_key_is_told_apart_and_never_shown() {
    let standin = start();
    let client = client(&standin, |config| config.server_key = ServerKey::new("SB-Mid-server-WRONG"));
    let error = client.create_page(&page_request(ORDER)).await.expect_err("refused");
    assert!(matches!(error, GatewayError::KeyRefused { status: 401, .. }) && error.is_passing());
    assert!(!format!("{error:?} {error}").contains("WRONG"));
    assert!(matches!(client.status(ORDER).await, Err(GatewayError::KeyRefused { .. })));
    standin.shutdown().await;
}

#[tokio::test]
async fn what_the_gateway_would_decline_is_refused_for_good() {
    let standin = start();
    let client = client(&standin, |_| {});
    let free = PageRequest { amount: Rupiah::ZERO, ..page_request(ORDER) };
    let error = client.create_page(&free).await.expect_err("refused");
    assert!(matches!(error, GatewayError::Refused { status: 400, .. }) && !error.is_passing());
    assert!(matches!(client.status("a/../b").await, Err(GatewayError::BadOrderId { .. })));
    standin.shutdown().await;
}

#[tokio::test]
async fn errors_and_limits_are_tried_again_with_the_same_order_id() {
    let standin = start();
    let client = client(&standin, |_| {});
    for status in [500, 503, 429] {
        put(&standin, "faults", json!({ "error_next": { "count": 2, "status": status } })).await;
        create(&client).await;
    }
    put(&standin, "faults", json!({ "drop_next": 1 })).await;
    create(&client).await;
    let orders = http().get(format!("{}/standin/orders", standin.url)).send().await.expect("an answer");
    let orders: Value = orders.json().await.expect("JSON");
    assert_eq!(orders["orders"].as_array().map(Vec::len), Some(1), "a lost answer must not make a second order");

    put(&standin, "faults", json!({ "error_next": { "count": 3, "status": 503 } })).await;
    let error = client.status(ORDER).await.expect_err("three failures are the bound");
    assert!(matches!(error, GatewayError::OutOfOrder { status: 503, .. }));
    standin.shutdown().await;
}

#[tokio::test]
async fn a_slow_gateway_is_given_up_within_the_deadline() {
    let standin = start();
    let client = client(&standin, |config| {
        config.try_timeout = Duration::from_millis(100);
        config.retry.tries = 2;
        config.retry.deadline = Duration::from_millis(400);
    });
    put(&standin, "faults", json!({ "latency_ms": 5_000 })).await;
    let asked = tokio::time::Instant::now();
    let error = client.status(ORDER).await.expect_err("too slow");
    assert!(matches!(error, GatewayError::Unreachable { .. } | GatewayError::TimedOut { .. }));
    assert!(asked.elapsed() < Duration::from_secs(3));
    standin.shutdown().await;
}

#[tokio::test]
async fn a_gateway_that_keeps_failing_is_left_alone_until_a_probe_succeeds() {
    let standin = start();
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_700_000_000_000)));
    let client = client_at(&standin, clock.clone(), |config| {
        config.breaker_failures = 2;
        config.retry.tries = 1;
    });
    put(&standin, "faults", json!({ "error_next": { "count": 2, "status": 500 } })).await;
    for _ in 0..2 {
        assert!(matches!(client.status(ORDER).await, Err(GatewayError::OutOfOrder { .. })));
    }
    // The gateway is well again, but nobody asks it before the rest is over.
    assert!(matches!(client.status(ORDER).await, Err(GatewayError::Resting { .. })));
    clock.advance(Duration::from_secs(15));
    assert_eq!(client.status(ORDER).await.expect("the probe"), StatusAnswer::NotStarted);
    assert_eq!(client.status(ORDER).await.expect("closed again"), StatusAnswer::NotStarted);
    standin.shutdown().await;
}
