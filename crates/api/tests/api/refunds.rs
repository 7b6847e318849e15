//! The refund desk: money of a paid top-up goes back once, by one administrator or two, and is never in two places.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
};
use minispod_domain::{AnyCommand, RefundCommand, TopUpCommand};
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    payments::{Asked, says, with_refund},
    stage::no,
    world::{Answered, World, open},
};

impl<S, B> World<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    /// A top-up that was paid with `payment_type` and credited.
    async fn paid(&self, token: &str, amount: i64, payment_type: &str) -> Asked {
        let asked = self.ask_topup(token, amount).await;
        let key = format!("paid-{}", asked.order_id);
        self.hears(&asked.id, says(&asked.order_id, amount, "settlement", payment_type), &key).await;
        asked
    }

    async fn refund(&self, admin: &str, asked: &Asked, more: Value) -> Answered {
        let mut body = json!({"reason": "moved to another house"});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        self.post(&format!("/admin/billing/topups/{}/refund", asked.id), admin, body).await
    }

    /// What the billing role reports to the desk.
    async fn reports(&self, asked: &Asked, command: RefundCommand, key: &str) {
        self.command(&asked.id, AnyCommand::TopUp(TopUpCommand::Desk(command)), key).await;
    }

    async fn refund_status(&self, admin: &str, key: &str) -> Value {
        self.get(&format!("/admin/billing/refunds/{key}"), admin).await.data()["status"].clone()
    }
}

fn key_of(answer: &Answered) -> String {
    assert_eq!(answer.status, 201, "{:#}", answer.body);
    answer.data()["refundKey"].as_str().expect("a key").to_owned()
}

#[actix_web::test]
async fn a_refund_takes_the_wallets_money_first_and_the_gateways_news_take_nothing_more() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    let (ani, _) = world.register("ani@example.com").await;
    let asked = world.paid(&ani, 150_000, "gopay").await;
    world.clock.advance(std::time::Duration::from_secs(1));
    let opened = world.refund(&admin, &asked, json!({"amount": 60_000})).await;
    let key = key_of(&opened);
    assert_eq!(key, format!("RF-{}-01", asked.id));
    assert_eq!((&opened.data()["status"], &opened.data()["method"]), (&json!("PROCESSING"), &json!("GATEWAY")));
    assert_eq!(world.balance(&ani).await, "90000", "reserved before anybody asks the gateway");
    let line = &world.get("/billing/transactions", &ani).await.data()["transactions"][0].clone();
    assert_eq!((&line["amount"], &line["description"]), (&json!("-60000"), &json!("Top-up refunded")));

    let (name, actor, fact) =
        world.events("topup", &asked.id).await.into_iter().find(|(name, ..)| name == "TopUpRefundOpened").expect("it");
    assert_eq!((name.as_str(), &actor["id"]), ("TopUpRefundOpened", &json!(admin_id)));
    assert!(fact["reason"]["sealed"].is_string() && !fact.to_string().contains("another house"), "{fact:#}");

    let submitted = RefundCommand::RecordSubmitted { refund_key: key.clone() };
    world.reports(&asked, submitted, "submitted").await;
    assert_eq!(world.refund_status(&admin, &key).await, "AT_GATEWAY");
    let news =
        |confirmed| with_refund(says(&asked.order_id, 150_000, "partial_refund", "gopay"), &key, 60_000, confirmed);
    world.hears(&asked.id, news(false), "first-notice").await;
    assert_eq!(world.refund_status(&admin, &key).await, "AT_GATEWAY", "confirmed by the second notice only");
    world.hears(&asked.id, news(true), "second-notice").await;
    assert_eq!(world.refund_status(&admin, &key).await, "CONFIRMED");
    assert_eq!((world.balance(&ani).await, world.count("WalletReversed").await), (json!("90000"), 0));

    let list = world.get("/admin/billing/refunds?status=CONFIRMED", &admin).await;
    let [line] = list.data()["refunds"].as_array().expect("a list").as_slice() else { panic!("{:#}", list.body) };
    assert_eq!((&line["reason"], &line["user"]["name"]), (&json!("moved to another house"), &json!("Ani Wijaya")));
    assert_eq!(world.get("/admin/billing/refunds?status=FAILED", &admin).await.data()["refunds"], json!([]));
    let beyond = world.refund(&admin, &asked, json!({"amount": 90_001})).await;
    assert_eq!(no(&beyond), (409, "CONFLICT_ERROR"));
}

#[actix_web::test]
async fn a_refund_never_drives_a_wallet_below_zero() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (ani, ani_id) = world.register("ani@example.com").await;
    let asked = world.paid(&ani, 150_000, "gopay").await;
    let take = json!({"amount": 100_000, "type": "DEBIT", "description": "spent elsewhere"});
    assert_eq!(world.post(&format!("/admin/billing/users/{ani_id}/adjust-balance"), &admin, take).await.status, 200);
    let refused = world.refund(&admin, &asked, json!({"amount": 50_001})).await;
    assert_eq!(no(&refused), (422, "INSUFFICIENT_BALANCE"));
    assert_eq!(world.balance(&ani).await, "50000");
    let failed = world.get("/admin/billing/refunds", &admin).await;
    let line = &failed.data()["refunds"][0];
    assert_eq!((&line["status"], &line["outcome"]), (&json!("FAILED"), &json!("wallet-insufficient-balance")));
    let history = world.get("/admin/billing/transactions?type=TOPUP", &admin).await;
    assert_eq!(history.data()["transactions"][0]["actions"]["canRefund"], true);
    key_of(&world.refund(&admin, &asked, json!({"amount": 50_000})).await);
    assert_eq!(world.balance(&ani).await, "0");
}

#[actix_web::test]
async fn a_large_refund_needs_another_administrator() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (adi, _) = world.administrator("adi@example.com").await;
    let (budi, budi_id) = world.administrator("budi@example.com").await;
    let (ani, _) = world.register("ani@example.com").await;
    let asked = world.paid(&ani, 3_000_000, "gopay").await;
    let opened = world.refund(&adi, &asked, json!({"amount": 1_000_001})).await;
    let key = key_of(&opened);
    assert_eq!(
        (&opened.data()["status"], &opened.data()["needsApproval"]),
        (&json!("AWAITING_APPROVAL"), &json!(true))
    );
    assert_eq!(world.balance(&ani).await, "1999999");
    let approve = format!("/admin/billing/refunds/{key}/approve");
    assert_eq!(no(&world.post(&approve, &adi, json!({})).await), (403, "FORBIDDEN_ERROR"));
    assert_eq!(no(&world.post(&approve, &ani, json!({})).await), (403, "FORBIDDEN_ERROR"));
    let approved = world.post(&approve, &budi, json!({})).await;
    assert_eq!((&approved.data()["status"], &approved.data()["approvedBy"]), (&json!("PROCESSING"), &json!(budi_id)));

    let second = key_of(&world.refund(&adi, &asked, json!({"amount": 1_500_000})).await);
    assert_eq!(world.balance(&ani).await, "499999");
    let refuse = format!("/admin/billing/refunds/{second}/refuse");
    assert_eq!(world.post(&refuse, &budi, json!({})).await.fields(), ["reason"]);
    let refused = world.post(&refuse, &budi, json!({"reason": "the customer changed his mind"})).await;
    assert_eq!((&refused.data()["status"], &refused.data()["declinedBy"]), (&json!("DECLINED"), &json!(budi_id)));
    assert_eq!(world.balance(&ani).await, "1999999", "the reserved money is in the wallet again");
    assert_eq!(no(&world.post(&refuse, &budi, json!({"reason": "once more please"})).await), (409, "CONFLICT_ERROR"));
    let exact = key_of(&world.refund(&adi, &asked, json!({"amount": 1_000_000})).await);
    assert_eq!(world.refund_status(&adi, &exact).await, "PROCESSING");
}

#[actix_web::test]
async fn a_refund_that_the_gateway_refuses_is_in_the_wallet_again() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (ani, _) = world.register("ani@example.com").await;
    let asked = world.paid(&ani, 150_000, "gopay").await;
    let key = key_of(&world.refund(&admin, &asked, json!({"amount": 150_000})).await);
    assert_eq!(world.balance(&ani).await, "0");
    for number in 0..2 {
        let fail = RefundCommand::Fail { refund_key: key.clone(), reason: "412: no".into() };
        world.reports(&asked, fail, &format!("failed-{number}")).await;
    }
    world.settle_reactions().await;
    assert_eq!(
        (world.refund_status(&admin, &key).await, world.balance(&ani).await),
        (json!("FAILED"), json!("150000"))
    );
    let again = key_of(&world.refund(&admin, &asked, json!({"amount": 150_000})).await);
    assert_eq!(again, format!("RF-{}-02", asked.id), "a new try has a new key");
}

#[actix_web::test]
async fn what_came_by_transfer_goes_back_by_transfer() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (ani, _) = world.register("ani@example.com").await;
    let asked = world.paid(&ani, 150_000, "bank_transfer").await;
    let refused = world.refund(&admin, &asked, json!({"amount": 50_000, "method": "GATEWAY"})).await;
    assert_eq!(no(&refused), (409, "CONFLICT_ERROR"));
    let opened = world.refund(&admin, &asked, json!({"amount": 50_000})).await;
    let key = key_of(&opened);
    assert_eq!((&opened.data()["method"], &opened.data()["status"]), (&json!("BANK_TRANSFER"), &json!("PROCESSING")));
    let transfer = format!("/admin/billing/refunds/{key}/transfer");
    assert_eq!(world.post(&transfer, &admin, json!({})).await.fields(), ["made"]);
    let made = world.post(&transfer, &admin, json!({"made": true, "reason": "transfer 4711"})).await;
    assert_eq!((made.status.as_u16(), &made.data()["status"]), (200, &json!("CONFIRMED")), "{:#}", made.body);
    assert_eq!(world.balance(&ani).await, "100000");
    let other = key_of(&world.refund(&admin, &asked, json!({"amount": 20_000})).await);
    let transfer = format!("/admin/billing/refunds/{other}/transfer");
    let failed = world.post(&transfer, &admin, json!({"made": false})).await;
    assert_eq!(failed.data()["status"], "FAILED");
    assert_eq!(world.balance(&ani).await, "100000");
}

#[actix_web::test]
async fn unknown_refunds_bad_forms_and_customers_are_turned_away() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (ani, _) = world.register("ani@example.com").await;
    let unpaid = world.ask_topup(&ani, 50_000).await;
    assert_eq!(no(&world.refund(&admin, &unpaid, json!({"amount": 10_000})).await), (409, "CONFLICT_ERROR"));
    assert_eq!(no(&world.refund(&ani, &unpaid, json!({"amount": 10_000})).await), (403, "FORBIDDEN_ERROR"));
    let bad = world.refund(&admin, &unpaid, json!({"amount": 0, "reason": "x", "method": "CASH"})).await;
    assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["amount", "reason", "method"]));
    let nobody = Asked { id: "c000000000000000000000000".into(), order_id: String::new() };
    assert_eq!(no(&world.refund(&admin, &nobody, json!({"amount": 10_000})).await), (404, "NOT_FOUND_ERROR"));
    for key in ["RF-c000000000000000000000000-01", "..%2f..", "x'"] {
        let absent = world.get(&format!("/admin/billing/refunds/{key}"), &admin).await;
        assert_eq!(absent.status, 404, "{key}");
    }
    assert_eq!(world.get("/admin/billing/refunds?status=LOST&userId=x", &admin).await.fields(), ["status", "userId"]);
}
