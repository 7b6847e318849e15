//! Coupons through every role: a bonus for a proved address, a code's money, a sale for less, and books that say so.

use std::time::Duration;

use minispod_e2e::{World, WorldOptions};
use minispod_testkit::{eventually, require};
use serde_json::{Value, json};

use crate::{invoices::paper, links::mailed_link};

const SETTLE: Duration = Duration::from_mins(1);
const EMAIL: &str = "coupons.ani@example.com";
const PASSWORD: &str = "Rahasia-123!";

fn coupon(code: &str, kind: &str, worth: Value) -> Value {
    let mut form = json!({"code": code, "name": format!("Name of {code}"), "type": kind, "maxUses": 10});
    form.as_object_mut().expect("an object").extend(worth.as_object().expect("an object").clone());
    form
}

/// The subjects of all mails.
async fn subjects(sink: &str) -> Vec<String> {
    let answer = reqwest::get(format!("{sink}/api/v1/messages?limit=200")).await.expect("the mail sink answers");
    let page: Value = answer.json().await.expect("the mail sink answers in JSON");
    let messages = page["messages"].as_array().cloned().unwrap_or_default();
    messages.iter().filter_map(|one| Some(one["Subject"].as_str()?.to_owned())).collect()
}

/// Below a million, as invoices write it.
fn rupiah(amount: i64) -> String {
    if amount < 1_000 { format!("Rp{amount}") } else { format!("Rp{}.{:03}", amount / 1_000, amount % 1_000) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bonus_a_code_and_a_sale_for_less_are_in_wallet_invoice_mail_and_books() {
    if !require("pg") || !require("nats") || !require("pdf") {
        return;
    }
    let world = World::start(WorldOptions::default()).await;
    let sql = world.sql().await;
    let admin = world.administrator("coupons.admin@example.com").await;
    for form in [
        coupon("NEWUSER", "WELCOME_BONUS", json!({"creditAmount": 5_000})),
        coupon("TOPUP25K", "CREDIT_TOPUP", json!({"creditAmount": 25_000})),
        coupon("LESS40", "SUBSCRIPTION_DISCOUNT", json!({"discountType": "PERCENTAGE", "discountPercent": 40})),
    ] {
        let made = admin.post("/admin/coupons", form).await;
        assert_eq!(made.status, 201, "{:#}", made.body);
    }
    let new = json!({"name": "Ani", "email": EMAIL, "password": PASSWORD, "confirmPassword": PASSWORD});
    let registered = world.door().post("/auth/register", new).await;
    let customer = world.door().with_token(registered.data()["tokens"]["accessToken"].as_str().expect("a token"));
    let link = mailed_link(&world.mail.api_url, EMAIL, "/auth/verify-email").await;
    customer.post("/auth/verify-email", json!({ "token": link })).await.data();
    let greeted = eventually(SETTLE, || async { customer.balance().await == 5_000 }).await;
    assert!(greeted, "the bonus did not come; the wallet holds {}", customer.balance().await);

    let redeemed = customer.post("/wallet/redeem-coupon", json!({"couponCode": "topup25k"})).await;
    assert_eq!(redeemed.data()["redemption"]["newBalance"], "30000", "{:#}", redeemed.body);
    let (plan, price) = world.plan("n8n").await;
    let reduced = price - price * 40 / 100;
    world.fund(&customer, 50_000).await;
    let bought = customer.post("/subscriptions", json!({"serviceId": plan, "couponCode": "LESS40"})).await;
    assert_eq!(bought.data()["finalAmount"], reduced, "{:#}", bought.body);
    world.settle(&sql, SETTLE).await;
    let wallet = customer.get("/billing/balance").await;
    let left = (80_000 - reduced, (30_000 - reduced).max(0));
    assert_eq!(
        (&wallet.data()["balance"], &wallet.data()["promotional"]),
        (&json!(left.0.to_string()), &json!(left.1.to_string())),
        "what was given was spent first"
    );
    let mails = subjects(&world.mail.api_url).await;
    assert_eq!(mails.iter().filter(|subject| subject.contains("Bonus Rp5.000")).count(), 1, "{mails:?}");

    let invoices = customer.get("/billing/invoices?type=SUBSCRIPTION").await;
    let invoice = invoices.data()["invoices"][0]["id"].as_str().expect("an invoice").to_owned();
    let text = paper(&world, &customer, &invoice, "en").await;
    for part in [rupiah(price), format!("-{}", rupiah(price - reduced)), rupiah(reduced), "Coupon discount".to_owned()]
    {
        assert!(text.contains(&part), "{part} is not on\n{text}");
    }
    let why = customer.get(&format!("/billing/invoices/{invoice}/why")).await;
    assert!(why.body.to_string().contains("Kupon mengurangi"), "{:#}", why.body);

    let books = world.must(&["ledger", "verify"]);
    assert!(books.contains("the books are as the log says"), "{books}");
    let log = world.must(&["log", "verify"]);
    assert!(log.contains("the same"), "{log}");
    let revenue = admin.get("/admin/billing/revenue").await;
    let totals = &revenue.data()["totals"];
    assert_eq!(
        (&totals["gross"], &totals["promotional"]),
        (&json!(reduced.to_string()), &json!(reduced.min(30_000).to_string())),
        "{totals:#}"
    );
}
