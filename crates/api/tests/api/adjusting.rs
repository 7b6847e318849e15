//! Administrators give and take money.

use std::time::Duration;

use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    stage::no,
    world::{Answered, open},
};

fn of(amount: Value, kind: &str) -> Value {
    json!({"amount": amount, "type": kind, "description": "goodwill for the outage"})
}

fn balances(answer: &Answered) -> (Value, Value) {
    let adjustment = &answer.data()["adjustment"];
    (adjustment["balanceBefore"].clone(), adjustment["balanceAfter"].clone())
}

#[actix_web::test]
async fn money_is_given_and_taken_as_far_as_it_is_there_w73() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    let (ani, ani_id) = world.register("ani@example.com").await;
    let path = format!("/admin/billing/users/{ani_id}/adjust-balance");
    let given = world.post(&path, &admin, of(json!(50_000), "CREDIT")).await;
    assert_eq!(given.status, 200, "{:#}", given.body);
    assert_eq!(
        given.data(),
        &json!({
            "userId": ani_id,
            "adjustment": {
                "amount": 50_000, "type": "CREDIT", "description": "goodwill for the outage",
                "balanceBefore": "0", "balanceAfter": "50000",
            },
            "adjustedBy": admin_id,
        })
    );
    assert_eq!(given.header("preference-applied"), Some("wait"));
    assert_eq!(world.get("/billing/balance", &ani).await.data()["balance"], "50000");
    world.clock.advance(Duration::from_secs(1));
    let taken = world.post(&path, &admin, of(json!(20_000), "DEBIT")).await;
    assert_eq!(
        (balances(&taken), &taken.data()["adjustment"]["amount"]),
        ((json!("50000"), json!("30000")), &json!(20_000))
    );
    let too_much = world.post(&path, &admin, of(json!(30_001), "DEBIT")).await;
    assert_eq!(no(&too_much), (422, "INSUFFICIENT_BALANCE"));
    assert_eq!(world.get("/billing/balance", &ani).await.data()["balance"], "30000");
    let history = world.get("/billing/transactions?type=ADJUSTMENT", &ani).await;
    let amounts: Vec<_> =
        history.data()["transactions"].as_array().into_iter().flatten().map(|line| line["amount"].clone()).collect();
    assert_eq!(amounts, [json!("-20000"), json!("50000")]);
    let (name, actor, fact) = world.events("wallet", &ani_id).await.pop().expect("events");
    assert_eq!((name.as_str(), &actor["id"]), ("WalletAdjusted", &json!(admin_id)));
    assert_eq!(fact["cause"]["reason"], "goodwill for the outage");
}

#[actix_web::test]
async fn w04_adjustments_at_the_same_time_take_what_is_there_and_no_more() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (ani, ani_id) = world.register("ani@example.com").await;
    let path = format!("/admin/billing/users/{ani_id}/adjust-balance");
    assert_eq!(world.post(&path, &admin, of(json!(100_000), "CREDIT")).await.status, 200);
    let debit = of(json!(40_000), "DEBIT");
    let answers = futures::future::join_all((0..5).map(|_| world.post(&path, &admin, debit.clone()))).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 422, 422, 422]);
    let mut steps: Vec<_> = answers.iter().filter(|answer| answer.status == 200).map(balances).collect();
    steps.sort_by_key(|(before, _)| before.to_string().len());
    assert_eq!(steps, [(json!("60000"), json!("20000")), (json!("100000"), json!("60000"))]);
    assert_eq!(world.get("/billing/balance", &ani).await.data()["balance"], "20000");
}

#[actix_web::test]
async fn one_key_adjusts_once_and_tells_the_same_balances() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (ani, ani_id) = world.register("ani@example.com").await;
    let path = format!("/admin/billing/users/{ani_id}/adjust-balance");
    let [first, _] = world.twice("POST", &path, &admin, &of(json!(5_000), "CREDIT"), "gift-1").await;
    assert_eq!(world.post(&path, &admin, of(json!(7_000), "CREDIT")).await.status, 200);
    let [third, _] = world.twice("POST", &path, &admin, &of(json!(5_000), "CREDIT"), "gift-1").await;
    assert_eq!((third.data(), third.header("idempotency-replayed")), (first.data(), Some("true")));
    assert_eq!(world.get("/billing/balance", &ani).await.data()["balance"], "12000");
    let [other, _] = world.twice("POST", &path, &admin, &of(json!(6_000), "CREDIT"), "gift-1").await;
    assert_eq!(no(&other), (422, "IDEMPOTENCY_KEY_REUSED"));
}

#[actix_web::test]
async fn w21_fractions_strangers_and_customers_are_refused() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (ani, ani_id) = world.register("ani@example.com").await;
    let path = format!("/admin/billing/users/{ani_id}/adjust-balance");
    for bad in [json!(1_000.5), json!(999), json!(100_000_001), json!("5000"), json!(-5_000)] {
        let refused = world.post(&path, &admin, of(bad.clone(), "CREDIT")).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec!["amount"]), "{bad}");
    }
    let refused = world.post(&path, &admin, json!({"amount": 5_000, "type": "GIFT", "description": "why"})).await;
    assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec!["type", "description"]));
    for id in ["cnobodys00000000000000000", "no-such-thing'"] {
        let path = format!("/admin/billing/users/{id}/adjust-balance");
        let absent = world.post(&path, &admin, of(json!(5_000), "CREDIT")).await;
        assert_eq!(no(&absent), (404, "NOT_FOUND_ERROR"), "{id}");
    }
    assert_eq!(no(&world.post(&path, &ani, of(json!(5_000), "CREDIT")).await), (403, "FORBIDDEN_ERROR"));
    assert_eq!(no(&world.call("POST", &path, None, Some(&of(json!(5_000), "CREDIT"))).await), (401, "AUTH_ERROR"));
    assert_eq!(world.count("WalletAdjusted").await, 0);
}
