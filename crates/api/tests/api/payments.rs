//! What becomes of a top-up whatever the gateway says and whenever: money once, nothing lost, nothing undone by old news.

use std::{sync::atomic::Ordering, time::Duration};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
};
use minispod_domain::{AnyCommand, GatewayRefund, GatewayStatus, TopUpCommand};
use minispod_kernel::Rupiah;
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    stage::no,
    world::{World, open},
};

/// A top-up as its customer was told of it.
pub struct Asked {
    pub id: String,
    pub order_id: String,
}

/// The gateway's word about an order of `amount`.
pub fn says(order_id: &str, amount: i64, word: &str, payment_type: &str) -> GatewayStatus {
    let code = match word {
        "pending" => "201",
        "deny" | "cancel" | "failure" => "202",
        "expire" => "407",
        _ => "200",
    };
    GatewayStatus {
        order_id: order_id.to_owned(),
        transaction_status: word.to_owned(),
        status_code: code.to_owned(),
        fraud_status: Some("accept".to_owned()),
        gross_amount: Some(Rupiah::new(amount)),
        currency: "IDR".to_owned(),
        merchant_matches: true,
        payment_type: payment_type.to_owned(),
        transaction_id: "11111111-2222-3333-4444-555555555555".to_owned(),
        refunds: Vec::new(),
    }
}

/// [`says`] with one refund.
pub fn with_refund(status: GatewayStatus, key: &str, amount: i64, bank_confirmed: bool) -> GatewayStatus {
    let refund = GatewayRefund { refund_key: key.to_owned(), amount: Rupiah::new(amount), bank_confirmed };
    GatewayStatus { refunds: vec![refund], ..status }
}

impl<S, B> World<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    /// Asks for a top-up.
    pub async fn ask_topup(&self, token: &str, amount: i64) -> Asked {
        let created = self.post("/billing/topup", token, json!({ "amount": amount })).await;
        assert_eq!(created.status, 201, "{:#}", created.body);
        let text = |name: &str| created.data()[name].as_str().expect("a text").to_owned();
        Asked { id: text("transactionId"), order_id: text("orderId") }
    }

    /// Lets the gateway say something, under a key of its own.
    pub async fn hears(&self, topup_id: &str, status: GatewayStatus, key: &str) {
        let command = AnyCommand::TopUp(TopUpCommand::ApplyGatewayStatus { status, after: None });
        self.command(topup_id, command, key).await;
    }

    /// The customer's balance.
    pub async fn balance(&self, token: &str) -> Value {
        self.get("/billing/balance", token).await.data()["balance"].clone()
    }
}

#[actix_web::test]
async fn w01_a_payment_whose_credit_was_interrupted_is_credited_when_work_goes_on() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, _) = world.register("ani@example.com").await;
    let asked = world.ask_topup(&ani, 50_000).await;
    // The process ends right after the payment was written down.
    let paid = says(&asked.order_id, 50_000, "settlement", "qris");
    let command = AnyCommand::TopUp(TopUpCommand::ApplyGatewayStatus { status: paid.clone(), after: None });
    world.command_alone(&asked.id, command, "paid").await;
    world.read.catch_up().await;
    assert_eq!(world.balance(&ani).await, "0");
    // The gateway's repeat finds nothing new, and the credit comes all the same: once.
    world.hears(&asked.id, paid, "paid-again").await;
    world.settle_reactions().await;
    world.settle_reactions().await;
    assert_eq!((world.balance(&ani).await, world.count("WalletCredited").await), (json!("50000"), 1));
    let topup = world.get(&format!("/billing/topup/{}", asked.id), &ani).await;
    assert_eq!((&topup.data()["status"], &topup.data()["invoice"]["status"]), (&json!("PAID"), &json!("PAID")));
}

#[actix_web::test]
async fn w02_the_webhook_and_the_poll_at_the_same_time_credit_once() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, _) = world.register("ani@example.com").await;
    let asked = world.ask_topup(&ani, 50_000).await;
    let paid = says(&asked.order_id, 50_000, "settlement", "qris");
    let at_once = (0..6).map(|number| {
        let (world, status, id) = (&world, paid.clone(), asked.id.clone());
        async move { world.hears(&id, status, &format!("heard-{number}")).await }
    });
    futures::future::join_all(at_once).await;
    world.settle_reactions().await;
    assert_eq!((world.count("TopUpConfirmed").await, world.count("WalletCredited").await), (1, 1));
    assert_eq!(world.balance(&ani).await, "50000");
}

#[actix_web::test]
async fn w03_what_is_paid_stays_paid_whatever_old_news_come_and_a_replay_credits_nothing() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, _) = world.register("ani@example.com").await;
    let asked = world.ask_topup(&ani, 50_000).await;
    let said = |word: &str| says(&asked.order_id, 50_000, word, "gopay");
    world.hears(&asked.id, said("settlement"), "paid").await;
    let refund = with_refund(said("partial_refund"), "RF-elsewhere", 20_000, false);
    world.hears(&asked.id, refund, "refunded").await;
    for (number, late) in ["pending", "authorize", "expire", "settlement", "capture"].into_iter().enumerate() {
        world.hears(&asked.id, said(late), &format!("late-{number}")).await;
        let topup = world.get(&format!("/billing/topup/{}", asked.id), &ani).await;
        assert_eq!(topup.data()["status"], "PAID", "after {late}");
        assert!(topup.data()["paidAt"].is_string(), "after {late}");
        assert_eq!(world.balance(&ani).await, "30000", "after {late}");
    }
    assert_eq!(world.count("WalletCredited").await, 1);
}

#[actix_web::test]
async fn w25_an_expired_top_up_is_expired_everywhere_can_be_paid_again_and_late_money_counts() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, _) = world.register("ani@example.com").await;
    let asked = world.ask_topup(&ani, 50_000).await;
    world.clock.advance(Duration::from_hours(24));
    let ani = world.sign_in("ani@example.com").await.access;
    let expire = AnyCommand::TopUp(TopUpCommand::Expire { order_id: asked.order_id.clone() });
    world.command(&asked.id, expire, "expired").await;
    let topup = world.get(&format!("/billing/topup/{}", asked.id), &ani).await;
    assert_eq!(topup.data()["status"], "EXPIRED");
    let history = world.get("/billing/transactions", &ani).await;
    let line = &history.data()["transactions"][0];
    assert_eq!((&line["status"], &line["actions"]["canPay"]), (&json!("EXPIRED"), &json!(false)));
    let line_id = line["id"].as_str().expect("an id").to_owned();
    let again = world.call("POST", &format!("/billing/transactions/{line_id}/pay"), Some(&ani), None).await;
    assert_eq!((again.status.as_u16(), &again.data()["orderId"]), (200, &json!(format!("TU-{}.2", asked.id))));
    // The first order was paid at the last moment after all.
    world.hears(&asked.id, says(&asked.order_id, 50_000, "settlement", "qris"), "late").await;
    world.settle_reactions().await;
    assert_eq!(world.balance(&ani).await, "50000");
    let topup = world.get(&format!("/billing/topup/{}", asked.id), &ani).await;
    assert_eq!((&topup.data()["status"], &topup.data()["orderId"]), (&json!("PAID"), &json!(asked.order_id)));
}

#[actix_web::test]
async fn w26_an_order_whose_page_could_not_be_made_is_seen_and_can_be_paid() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, _) = world.register("ani@example.com").await;
    world.pages.broken.store(true, Ordering::SeqCst);
    assert_eq!(world.post("/billing/topup", &ani, json!({"amount": 50_000})).await.status, 503);
    world.read.catch_up().await;
    let topups = world.get("/billing/topup", &ani).await;
    assert_eq!(topups.data()["transactions"][0]["status"], "PENDING", "{:#}", topups.body);
    let history = world.get("/billing/transactions", &ani).await;
    let line = &history.data()["transactions"][0];
    assert_eq!((&line["status"], &line["actions"]["canPay"]), (&json!("PENDING"), &json!(true)));
}

#[actix_web::test]
async fn a_customer_cancels_an_order_and_money_that_was_faster_still_counts() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    let asked = world.ask_topup(&ani, 50_000).await;
    let path = format!("/billing/topup/{}/cancel", asked.id);
    assert_eq!(no(&world.call("POST", &path, Some(&budi), None).await), (404, "NOT_FOUND_ERROR"));
    for _ in 0..2 {
        let cancelled = world.call("POST", &path, Some(&ani), None).await;
        assert_eq!((cancelled.status.as_u16(), &cancelled.data()["status"]), (200, &json!("CANCELLED")));
        assert_eq!(cancelled.data()["snapToken"], Value::Null);
    }
    assert_eq!(world.count("TopUpWithdrawn").await, 1);
    let topup = world.get(&format!("/billing/topup/{}", asked.id), &ani).await;
    assert_eq!(topup.data()["status"], "CANCELLED");
    world.hears(&asked.id, says(&asked.order_id, 50_000, "settlement", "qris"), "late").await;
    assert_eq!(world.balance(&ani).await, "50000");
    assert_eq!(no(&world.call("POST", &path, Some(&ani), None).await), (409, "CONFLICT_ERROR"));

    let other = world.ask_topup(&ani, 20_000).await;
    let path = format!("/billing/topup/{}/cancel", other.id);
    assert_eq!(world.call("POST", &path, Some(&ani), None).await.status, 200);
    let again = world.call("POST", &format!("/billing/transactions/{}/pay", other.id), Some(&ani), None).await;
    assert_eq!(again.data()["orderId"], json!(format!("TU-{}.2", other.id)), "{:#}", again.body);
}
