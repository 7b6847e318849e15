//! What another plan would cost, and whether it may be had: asked, never done.

use std::time::Duration;

use minispod_domain::{AnyCommand, PlanCommand};
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    catalogue::form,
    market::{BASIC, FREE, NOBODY, PRO, assert_keys, column, faults},
    world::{Answered, open},
};

const DAY: Duration = Duration::from_hours(24);

fn codes(answer: &Answered) -> Vec<&str> {
    let reasons = answer.data()["reasons"].as_array().expect("reasons");
    reasons.iter().map(|reason| reason["code"].as_str().expect("a code")).collect()
}

#[actix_web::test]
async fn customers_see_dearer_plans_of_their_service_and_administrators_see_all_w15() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.post("/services", &admin, form("gitea", "basic")).await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    world.top_up(&ani, 50_000).await;
    let id = world.subscribe(&ani, BASIC).await;
    world.activate(&id).await;
    let path = format!("/subscriptions/{id}/upgrade-options");
    let mine = world.get(&path, &ani).await;
    assert_eq!(mine.status, 200, "{:#}", mine.body);
    assert_eq!(
        mine.data()["currentService"],
        json!({"id": BASIC, "name": "N8N - Basic", "variant": "basic", "monthlyPrice": 31_000})
    );
    assert_eq!(
        mine.data()["availableOptions"],
        json!([{
            "serviceId": PRO, "serviceName": "N8N - Basic", "variant": "pro", "variantDisplayName": "Plan pro",
            "monthlyPrice": 62_000, "features": ["5 active workflows"], "resources": {"cpu": "1", "memory": "1Gi"},
            "changeType": "UPGRADE", "proratedCost": 31_000, "isUpgrade": true, "isDowngrade": false, "savings": 0,
        }])
    );
    let all = world.get(&path, &admin).await;
    assert_eq!(column(&all, "availableOptions", "serviceId"), [FREE, PRO], "cheapest first, no other service");
    let cheaper = &all.data()["availableOptions"][0];
    assert_eq!(
        (&cheaper["changeType"], &cheaper["proratedCost"], &cheaper["savings"], &cheaper["isDowngrade"]),
        (&json!("DOWNGRADE"), &json!(0), &json!(31_000), &json!(true))
    );
    world.command(PRO, AnyCommand::Plan(PlanCommand::Retire), "retired").await;
    assert_eq!(world.get(&path, &ani).await.data()["availableOptions"], json!([]));
    for foreign in [world.get(&path, &budi).await, world.get("/subscriptions/A'B/upgrade-options", &ani).await] {
        assert_eq!((foreign.status.as_u16(), &foreign.body["code"]), (404, &json!("SUBSCRIPTION_NOT_FOUND")));
    }
}

#[actix_web::test]
async fn the_sum_is_of_whole_rupiah_over_the_current_period_w18_w21() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, _) = world.register("ani@example.com").await;
    world.top_up(&ani, 80_000).await;
    let id = world.subscribe(&ani, BASIC).await;
    world.activate(&id).await;
    world.clock.advance(DAY * 10);
    let ani = world.sign_in("ani@example.com").await.access;
    let path = format!("/subscriptions/{id}/calculate-upgrade");
    let events = world.log_length().await;
    let sum = world.post(&path, &ani, json!({"newServiceId": PRO})).await;
    assert_eq!(sum.status, 200, "{:#}", sum.body);
    assert_eq!(
        sum.data(),
        &json!({
            "subscriptionId": id,
            "currentService": {"id": BASIC, "name": "N8N - Basic", "variant": "basic", "price": 31_000},
            "targetService": {"id": PRO, "name": "N8N - Basic", "variant": "pro", "price": 62_000},
            "billingCycle": {"start": "2027-01-15T08:00:00.000Z", "end": "2027-02-15T08:00:00.000Z",
                             "totalDays": 31, "remainingDays": 21},
            "financial": {"oldPlanPrice": 31_000, "newPlanPrice": 62_000, "unusedAmount": 21_000,
                          "proratedNewAmount": 42_000, "netAmount": 21_000, "chargeAmount": 21_000, "refundAmount": 0},
            "changeType": "UPGRADE",
            "userBalance": 49_000,
        })
    );
    let down = world.post(&path, &ani, json!({"newServiceId": FREE})).await;
    assert_eq!(down.data()["financial"]["refundAmount"], 21_000, "a sum is no permission");
    assert_eq!(
        (&down.data()["changeType"], &down.data()["financial"]["netAmount"]),
        (&json!("DOWNGRADE"), &json!(-21_000))
    );
    assert_eq!(world.log_length().await, events, "asking writes nothing");

    // Twenty-one days later the second month begins, which has 28 days.
    world.clock.advance(DAY * 20);
    let ani = world.sign_in("ani@example.com").await.access;
    let renewed = world.call("PUT", &format!("/subscriptions/{id}/renew"), Some(&ani), None).await;
    assert_eq!(renewed.status, 200, "{:#}", renewed.body);
    world.clock.advance(DAY * 8);
    let ani = world.sign_in("ani@example.com").await.access;
    let sum = world.post(&path, &ani, json!({"newServiceId": PRO})).await;
    assert_eq!(
        sum.data()["billingCycle"],
        json!({"start": "2027-02-15T08:00:00.000Z", "end": "2027-03-15T08:00:00.000Z", "totalDays": 28,
               "remainingDays": 21})
    );
    // 31 000 × 21 / 28 = 23 250.
    assert_eq!(sum.data()["financial"]["chargeAmount"], 23_250);
}

#[actix_web::test]
async fn everything_in_the_way_is_named_with_the_sum_w14_w15() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let gitea = world.post("/services", &admin, form("gitea", "basic")).await;
    let gitea = gitea.data()["id"].as_str().expect("an id").to_owned();
    let (ani, _) = world.register("ani@example.com").await;
    world.top_up(&ani, 61_999).await;
    let id = world.subscribe(&ani, BASIC).await;
    let path = format!("/subscriptions/{id}/validate-upgrade");
    let ask = |token: &str, plan: &str| {
        let (world, path, token, body) = (&world, &path, token.to_owned(), json!({ "newServiceId": plan }));
        async move { world.post(path, &token, body).await }
    };
    let early = ask(&ani, PRO).await;
    assert_eq!((early.status.as_u16(), &early.body["code"]), (400, &json!("UPGRADE_NOT_ELIGIBLE")));
    assert_eq!(
        (early.body["success"].as_bool(), codes(&early)),
        (Some(false), vec!["INVALID_SUBSCRIPTION_STATUS", "INSUFFICIENT_BALANCE"])
    );
    assert_keys(early.data(), &["isEligible", "reasons", "calculation"]);
    world.activate(&id).await;
    let poor = ask(&ani, PRO).await;
    assert_eq!((&poor.data()["isEligible"], codes(&poor)), (&json!(false), vec!["INSUFFICIENT_BALANCE"]));
    assert_eq!(poor.data()["calculation"]["financial"]["chargeAmount"], 31_000);
    assert_eq!(codes(&ask(&ani, BASIC).await), ["SAME_SERVICE"]);
    assert_eq!(codes(&ask(&ani, &gitea).await), ["DIFFERENT_SERVICE"]);
    assert_eq!(codes(&ask(&ani, FREE).await), ["DOWNGRADE_NOT_ALLOWED"]);
    assert_eq!(ask(&admin, FREE).await.data()["isEligible"], true, "an administrator may move it down");

    world.top_up(&ani, 10_000).await;
    let rich = ask(&ani, PRO).await;
    assert_eq!((rich.status.as_u16(), &rich.data()["reasons"]), (200, &json!([])), "{:#}", rich.body);
    assert_eq!(rich.data()["calculation"]["userBalance"], 40_999);
    assert_eq!(ask(&admin, PRO).await.data()["calculation"]["userBalance"], 40_999, "the customer's, whoever asks");
    let full = PlanCommand::ChangeCapacity { capacity: minispod_events::Capacity(0) };
    world.command(PRO, AnyCommand::Plan(full), "full").await;
    assert_eq!(codes(&ask(&ani, PRO).await), ["SERVICE_UNAVAILABLE"]);
}

#[actix_web::test]
async fn what_is_not_there_is_404_and_a_bad_form_400() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    let id = world.subscribe(&ani, FREE).await;
    for verb in ["calculate-upgrade", "validate-upgrade"] {
        let path = |id: &str| format!("/subscriptions/{id}/{verb}");
        for (body, fields) in [
            (json!({}), vec!["newServiceId"]),
            (json!({"newServiceId": 7}), vec!["newServiceId"]),
            (json!({"newServiceId": "../../etc"}), vec!["newServiceId"]),
            (json!([]), vec!["body"]),
        ] {
            assert_eq!(faults(&world.post(&path(&id), &ani, body.clone()).await), (400, fields), "{body}");
        }
        let wish = json!({"newServiceId": PRO});
        for (token, id) in [(&budi, id.as_str()), (&ani, NOBODY)] {
            let none = world.post(&path(id), token, wish.clone()).await;
            assert_eq!((none.status.as_u16(), &none.data()["error"]), (404, &json!("SUBSCRIPTION_NOT_FOUND")));
        }
        let none = world.post(&path(&id), &ani, json!({"newServiceId": NOBODY})).await;
        assert_eq!((none.status.as_u16(), &none.data()["error"]), (404, &json!("SERVICE_NOT_FOUND")));
    }
}

#[actix_web::test]
async fn there_are_no_plan_changes_yet_and_the_question_is_still_judged() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    let id = world.subscribe(&ani, FREE).await;
    let path = format!("/subscriptions/{id}/plan-changes");
    let none = json!({
        "planChanges": [],
        "pagination": {"currentPage": 2, "totalPages": 0, "totalCount": 0, "hasNextPage": false,
                       "hasPreviousPage": true},
    });
    for token in [&ani, &admin] {
        let list = world.get(&format!("{path}?page=2&status=COMPLETED&changeType=UPGRADE"), token).await;
        assert_eq!((list.status.as_u16(), list.data()), (200, &none));
    }
    assert_eq!(world.get(&path, &ani).await.data()["planChanges"], Value::Array(Vec::new()));
    let bad = world.get(&format!("{path}?page=0&limit=101&status=LOST&changeType=SIDEWAYS"), &ani).await;
    assert_eq!(faults(&bad), (400, vec!["page", "limit", "status", "changeType"]));
    assert_eq!(world.get(&path, &budi).await.status, 404);
}
