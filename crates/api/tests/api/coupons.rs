//! Coupons at the door: what administrators issue, what customers get for a code, and what nobody gets twice.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
};
use minispod_api::{Allowance, ApiConfig};
use minispod_domain::ports::LinkKind;
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    market::NOBODY,
    stage::{PAID, PRICE, no},
    world::{Answered, World, open},
};

fn unlimited(config: &mut ApiConfig) {
    config.coupon_allowance = Allowance::unlimited();
    config.payment_allowance = Allowance::unlimited();
}

fn credit(code: &str) -> Value {
    json!({"code": code, "name": "For you", "type": "CREDIT_TOPUP", "creditAmount": 25_000, "maxUses": 5})
}

fn percent(code: &str, percent: u8) -> Value {
    json!({"code": code, "name": "Less", "type": "SUBSCRIPTION_DISCOUNT", "discountType": "PERCENTAGE",
        "discountPercent": percent, "maxUses": 5})
}

impl<S, B> World<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    /// Issues a coupon; its id.
    async fn issue(&self, admin: &str, coupon: Value) -> String {
        let created = self.post("/admin/coupons", admin, coupon).await;
        assert_eq!(created.status, 201, "{:#}", created.body);
        created.data()["coupon"]["id"].as_str().expect("an id").to_owned()
    }

    async fn put(&self, path: &str, token: &str, body: Value) -> Answered {
        self.call("PUT", path, Some(token), Some(&body)).await
    }

    async fn redeem(&self, token: &str, code: &str) -> Answered {
        self.post("/wallet/redeem-coupon", token, json!({"couponCode": code})).await
    }

    async fn validate(&self, token: &str, body: Value) -> Value {
        let answer = self.post("/wallet/validate-coupon", token, body).await;
        assert_eq!(answer.status, 200, "{:#}", answer.body);
        answer.data()["validation"].clone()
    }

    async fn purse_of(&self, token: &str) -> (Value, Value) {
        let wallet = self.get("/billing/balance", token).await;
        (wallet.data()["balance"].clone(), wallet.data()["promotional"].clone())
    }
}

fn why(answer: &Answered) -> (u16, String) {
    (answer.status.as_u16(), answer.body["message"].as_str().unwrap_or_default().to_owned())
}

fn fault(answer: &Answered) -> (u16, Vec<&str>) {
    (answer.status.as_u16(), answer.fields())
}

#[actix_web::test]
async fn a_code_gives_promotional_money_once_and_the_history_tells_it() {
    if !require("pg") {
        return;
    }
    let world = open(unlimited).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (ani, _) = world.register("ani@example.com").await;
    let id = world.issue(&admin, credit("top-25k")).await;
    let worth = world.validate(&ani, json!({"couponCode": " Top-25K "})).await;
    assert_eq!((&worth["valid"], &worth["coupon"]["potentialValue"]), (&json!(true), &json!(25_000)), "{worth:#}");

    let got = world.redeem(&ani, "Top-25k").await;
    assert_eq!(got.status, 200, "{:#}", got.body);
    let redemption = &got.data()["redemption"];
    assert_eq!((&redemption["newBalance"], &redemption["promotional"]), (&json!("25000"), &json!("25000")));
    let again = world.redeem(&ani, "TOP-25K").await;
    assert_eq!(why(&again), (400, "You have used this coupon as often as it allows".to_owned()));
    world.settle_reactions().await;
    assert_eq!(world.purse_of(&ani).await, (json!("25000"), json!("25000")), "once, whoever is quicker");

    let history = world.get("/wallet/coupon-history", &ani).await;
    let line = &history.data()["redemptions"][0];
    assert_eq!((&line["coupon"]["code"], &line["creditAmount"]), (&json!("TOP-25K"), &json!(25_000)), "{line:#}");
    let entry = &world.get("/billing/transactions", &ani).await.data()["transactions"][0].clone();
    assert_eq!((&entry["id"], &entry["type"]), (&line["transactionId"], &json!("PROMOTION")));
    let (budi, _) = world.register("budi@example.com").await;
    assert_eq!(world.get("/wallet/coupon-history", &budi).await.data()["redemptions"], json!([]));
    let seen = world.get(&format!("/admin/coupons/{id}"), &admin).await;
    assert_eq!(seen.data()["coupon"]["usedCount"], 1, "{:#}", seen.body);
    assert_eq!(seen.data()["redemptions"][0]["user"]["email"], "ani@example.com");
    let statement = world.get("/billing/statement", &ani).await;
    assert_eq!(statement.data()["lines"][0]["promotional"], "25000", "{:#}", statement.body);
}

#[actix_web::test]
async fn a_repeat_under_one_key_redeems_once() {
    if !require("pg") {
        return;
    }
    let world = open(unlimited).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (ani, _) = world.register("ani@example.com").await;
    let twice = json!({"code": "TWICE", "name": "Twice", "type": "CREDIT_TOPUP", "creditAmount": 10_000, "maxUses": 9,
        "maxUsesPerUser": 2});
    world.issue(&admin, twice).await;
    let send = || {
        crate::world::request("POST", "/wallet/redeem-coupon", Some(&ani), Some(&json!({"couponCode": "TWICE"})))
            .insert_header(("idempotency-key", "one-use"))
    };
    let first = world.send(send()).await;
    let second = world.send(send()).await;
    assert_eq!((first.status, second.status.as_u16()), (second.status, 200), "{:#}", second.body);
    assert_eq!(first.data()["redemption"]["redemptionId"], second.data()["redemption"]["redemptionId"]);
    assert_eq!(world.balance(&ani).await, json!("10000"));
    assert_eq!(world.redeem(&ani, "TWICE").await.status, 200, "another request is another use");
    assert_eq!(world.balance(&ani).await, json!("20000"));
}

#[actix_web::test]
async fn a_subscription_costs_less_by_a_code_and_the_next_period_does_not() {
    if !require("pg") {
        return;
    }
    let world = open(unlimited).await;
    world.publish(PAID, "basic", PRICE, 5).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (ani, _) = world.register("ani@example.com").await;
    world.issue(&admin, percent("LESS40", 40)).await;
    let reduced = PRICE * 6 / 10;
    let worth = world.validate(&ani, json!({"couponCode": "LESS40", "serviceId": PAID})).await;
    assert_eq!(worth["coupon"]["potentialValue"], PRICE - reduced, "{worth:#}");
    // Less than the list price is enough.
    world.top_up(&ani, reduced).await;
    let bought = world.post("/subscriptions", &ani, json!({"serviceId": PAID, "couponCode": "less40"})).await;
    assert_eq!(bought.status, 200, "{:#}", bought.body);
    let view = bought.data();
    assert_eq!(
        (&view["originalAmount"], &view["discountAmount"], &view["finalAmount"], &view["couponApplied"]),
        (&json!(PRICE), &json!(PRICE - reduced), &json!(reduced), &json!("LESS40"))
    );
    assert_eq!(world.balance(&ani).await, json!("0"));
    world.settle_reactions().await;
    let line = &world.get("/wallet/coupon-history", &ani).await.data()["redemptions"][0].clone();
    assert_eq!((&line["discountAmount"], &line["subscriptionId"]), (&json!(PRICE - reduced), &view["id"]));
    let invoices = world.get("/billing/invoices", &ani).await;
    let of_sale =
        invoices.data()["invoices"].as_array().expect("a list").iter().find(|one| one["type"] == "SUBSCRIPTION");
    assert_eq!(of_sale.expect("an invoice of the sale")["amount"], reduced.to_string(), "{:#}", invoices.body);
    let id = view["id"].as_str().expect("an id").to_owned();
    world.deploy(&id, "https://ani.n8n.example").await;
    world.top_up(&ani, PRICE).await;
    let renewed = world.call("PUT", &format!("/subscriptions/{id}/renew"), Some(&ani), None).await;
    assert_eq!(renewed.status, 200, "{:#}", renewed.body);
    assert_eq!(world.balance(&ani).await, json!("0"), "the full price");
}

#[actix_web::test]
async fn a_sale_that_cannot_be_had_tells_why_and_uses_nothing() {
    if !require("pg") {
        return;
    }
    let world = open(unlimited).await;
    world.publish(PAID, "basic", PRICE, 5).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (ani, _) = world.register("ani@example.com").await;
    let id = world.issue(&admin, percent("HALF", 50)).await;
    world.issue(&admin, credit("MONEY")).await;
    let buy = |code: &str| json!({"serviceId": PAID, "couponCode": code});
    for (code, said) in [("NOBODY", "There is no such coupon"), ("MONEY", "This coupon is not for this")] {
        let refused = world.post("/subscriptions", &ani, buy(code)).await;
        assert_eq!(fault(&refused), (400, vec!["couponCode"]), "{:#}", refused.body);
        assert_eq!(refused.body["errors"][0]["message"], said, "{:#}", refused.body);
    }
    let poor = world.post("/subscriptions", &ani, buy("HALF")).await;
    assert_eq!(poor.status, 402, "{:#}", poor.body);
    assert_eq!(poor.body["code"]["balance"]["required"], PRICE / 2, "what it would cost with the code");
    world.settle_reactions().await;
    let seen = world.get(&format!("/admin/coupons/{id}"), &admin).await;
    assert_eq!((&seen.data()["coupon"]["usedCount"], world.count("WalletDebited").await), (&json!(0), 0));
}

#[actix_web::test]
async fn a_proved_address_earns_the_welcome_bonus_once() {
    if !require("pg") {
        return;
    }
    let world = open(unlimited).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let bonus = json!({"code": "NEWUSER", "name": "Welcome", "type": "WELCOME_BONUS", "creditAmount": 20_000,
        "maxUses": 100});
    world.issue(&admin, bonus).await;
    let (ani, user_id) = world.register("ani@example.com").await;
    world.settle_reactions().await;
    assert_eq!(world.balance(&ani).await, json!("0"), "a bare registration earns nothing");
    let token = world.mailed_link(LinkKind::VerifyEmail, &user_id).await;
    for _ in 0..2 {
        world.call("POST", "/auth/verify-email", None, Some(&json!({"token": token}))).await;
        world.settle_reactions().await;
    }
    assert_eq!(world.purse_of(&ani).await, (json!("20000"), json!("20000")));
    assert_eq!(world.mails("welcome_bonus").await, 1);
    let by_hand = world.redeem(&ani, "NEWUSER").await;
    assert_eq!(why(&by_hand), (400, "This coupon is not for this".to_owned()));
}

#[actix_web::test]
async fn a_coupon_is_listed_changed_disabled_and_deleted_by_administrators_only() {
    if !require("pg") {
        return;
    }
    let world = open(unlimited).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (ani, _) = world.register("ani@example.com").await;
    let first = world.issue(&admin, credit("FIRST")).await;
    let second = world.issue(&admin, percent("SECOND", 20)).await;
    let taken = world.post("/admin/coupons", &admin, credit("first")).await;
    assert_eq!(no(&taken), (409, "CONFLICT_ERROR"));
    assert_eq!(world.get("/admin/coupons", &ani).await.status, 403);
    let found = world.get("/admin/coupons?search=eco&type=SUBSCRIPTION_DISCOUNT&status=ACTIVE", &admin).await;
    assert_eq!(found.data()["coupons"].as_array().map(Vec::len), Some(1), "{:#}", found.body);

    // The client sends its whole form back, with what it wants otherwise.
    let mut form = world.get(&format!("/admin/coupons/{first}"), &admin).await.data()["coupon"].clone();
    for shown_only in ["id", "usedCount", "createdAt", "updatedAt"] {
        form.as_object_mut().expect("an object").remove(shown_only);
    }
    form["name"] = json!("Other name");
    form["maxUses"] = json!(7);
    form["status"] = json!("DISABLED");
    let changed = world.put(&format!("/admin/coupons/{first}"), &admin, form.clone()).await;
    assert_eq!(changed.status, 200, "{:#}", changed.body);
    let coupon = &changed.data()["coupon"];
    assert_eq!(
        (&coupon["name"], &coupon["maxUses"], &coupon["status"]),
        (&json!("Other name"), &json!(7), &json!("DISABLED"))
    );
    assert_eq!(why(&world.redeem(&ani, "FIRST").await), (400, "This coupon cannot be used any more".to_owned()));
    form["creditAmount"] = json!(99_000);
    form["code"] = json!("ELSE");
    let fixed = world.put(&format!("/admin/coupons/{first}"), &admin, form).await;
    assert_eq!(fault(&fixed), (400, vec!["code", "creditAmount"]), "{:#}", fixed.body);

    let both = json!({"couponIds": [first, NOBODY, second], "status": "ACTIVE"});
    let bulk = world.put("/admin/coupons/bulk-status", &admin, both).await;
    assert_eq!(bulk.data()["updatedCount"], 2, "{:#}", bulk.body);
    assert_eq!(bulk.data()["errors"][0]["couponId"], NOBODY);
    assert_eq!(world.redeem(&ani, "FIRST").await.status, 200);
    let used = world.call("DELETE", &format!("/admin/coupons/{first}"), Some(&admin), None).await;
    assert_eq!(why(&used), (400, "A coupon that was used stays; disable it instead".to_owned()));
    let gone = world.call("DELETE", &format!("/admin/coupons/{second}"), Some(&admin), None).await;
    assert_eq!(gone.status, 200, "{:#}", gone.body);
    assert_eq!(world.get(&format!("/admin/coupons/{second}"), &admin).await.status, 404);
    world.issue(&admin, percent("SECOND", 30)).await;

    let statistics = world.get("/admin/coupons/statistics?period=week", &admin).await;
    let overview = &statistics.data()["statistics"]["overview"];
    assert_eq!(
        (&overview["totalCoupons"], &overview["totalRedemptions"], &overview["totalCredited"]),
        (&json!(2), &json!(1), &json!("25000")),
        "{overview:#}"
    );
    assert_eq!(statistics.data()["statistics"]["topCoupons"][0]["code"], "FIRST");
}

#[actix_web::test]
async fn every_unfit_part_of_a_form_is_named() {
    if !require("pg") {
        return;
    }
    let world = open(unlimited).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (ani, _) = world.register("ani@example.com").await;
    let base = |more: Value| {
        let mut form = json!({"code": "CODE", "name": "Name"});
        form.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        form
    };
    for (more, fields) in [
        (json!({}), vec!["type"]),
        (json!({"type": "GIFT"}), vec!["type"]),
        (json!({"type": "CREDIT_TOPUP"}), vec!["creditAmount"]),
        (json!({"type": "CREDIT_TOPUP", "creditAmount": 999}), vec!["creditAmount"]),
        (json!({"type": "CREDIT_TOPUP", "creditAmount": 5_000, "discountPercent": 5}), vec!["discountPercent"]),
        (json!({"type": "CREDIT_TOPUP", "creditAmount": 5_000, "serviceName": "n8n"}), vec!["serviceName"]),
        (json!({"type": "SUBSCRIPTION_DISCOUNT"}), vec!["discountType"]),
        (json!({"type": "SUBSCRIPTION_DISCOUNT", "discountType": "PERCENTAGE"}), vec!["discountPercent"]),
        (json!({"type": "FREE_SERVICE"}), vec!["serviceName"]),
        (json!({"type": "FREE_SERVICE", "serviceName": "N 8"}), vec!["serviceName", "serviceName"]),
        (
            json!({"type": "WELCOME_BONUS", "creditAmount": 5_000, "maxUsesPerUser": 2, "maxUses": 0}),
            vec!["maxUses", "maxUsesPerUser"],
        ),
        (
            json!({"type": "CREDIT_TOPUP", "creditAmount": 5_000, "validUntil": "2020-01-01", "price": 1}),
            vec!["validUntil", "price"],
        ),
        (
            json!({"code": "a b", "name": " ", "type": "CREDIT_TOPUP", "creditAmount": 5_000, "validFrom": "soon"}),
            vec!["code", "name", "validFrom"],
        ),
    ] {
        let refused = world.post("/admin/coupons", &admin, base(more.clone())).await;
        assert_eq!(fault(&refused), (400, fields), "{more}: {:#}", refused.body);
    }
    for (path, body, fields) in [
        ("/wallet/redeem-coupon", json!({}), vec!["couponCode"]),
        ("/wallet/redeem-coupon", json!({"couponCode": "a"}), vec!["couponCode"]),
        (
            "/wallet/validate-coupon",
            json!({"couponCode": 5, "subscriptionAmount": -1}),
            vec!["couponCode", "subscriptionAmount"],
        ),
    ] {
        let refused = world.post(path, &ani, body.clone()).await;
        assert_eq!(fault(&refused), (400, fields), "{body}: {:#}", refused.body);
    }
    let unknown = world.validate(&ani, json!({"couponCode": "NOBODY"})).await;
    assert_eq!((&unknown["valid"], &unknown["error"]), (&json!(false), &json!("There is no such coupon")));
    assert_eq!(world.count("CouponCreated").await, 0);
}

#[actix_web::test]
async fn nobody_finds_a_code_by_trying() {
    if !require("pg") {
        return;
    }
    let world = open(|config| config.coupon_allowance = Allowance::per_minute(3)).await;
    let (ani, _) = world.register("ani@example.com").await;
    let mut seen = Vec::new();
    for number in 0..5 {
        let body = json!({"couponCode": format!("TRY-{number}")});
        let path = if number % 2 == 0 { "/wallet/validate-coupon" } else { "/wallet/redeem-coupon" };
        seen.push(world.post(path, &ani, body).await.status.as_u16());
    }
    assert_eq!(seen, [200, 400, 200, 429, 429]);
    // Nor with the key of another request of theirs.
    let keyed = |path: &str, body: Value| {
        crate::world::request("POST", path, Some(&ani), Some(&body)).insert_header(("idempotency-key", "another"))
    };
    let topup = world.send(keyed("/billing/topup", json!({"amount": 50_000}))).await;
    assert_eq!(topup.status, 201, "{:#}", topup.body);
    let tried = world.send(keyed("/wallet/redeem-coupon", json!({"couponCode": "TRY-9"}))).await;
    assert_eq!((tried.status.as_u16(), &tried.body["code"]), (422, &json!("IDEMPOTENCY_KEY_REUSED")));
}
