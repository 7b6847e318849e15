//! Administrators change many subscriptions at once, and start and stop services.

use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    shapes::assert_part,
    stage::{Customer, PAID, PRICE, no},
    world::{open, request},
};

const BULK: &str = "/admin/subscriptions/bulk-update";

fn all(customers: &[&Customer], action: &str, data: Value) -> Value {
    let ids: Vec<_> = customers.iter().map(|customer| customer.id.clone()).collect();
    json!({"subscriptionIds": ids, "action": action, "data": data})
}

#[actix_web::test]
async fn each_of_many_succeeds_or_fails_by_itself() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let (ani, budi, citra) = (world.running("ani").await, world.running("budi").await, world.waiting("citra").await);
    let mut body = all(&[&ani, &citra, &budi], "updateStatus", json!({"status": "SUSPENDED"}));
    body["subscriptionIds"].as_array_mut().expect("a list").push(json!("cnobodys00000000000000000"));
    let [first, second] = world.twice("PUT", BULK, &admin, &body, "bulk-1").await;
    for answer in [&first, &second] {
        assert_eq!(answer.status, 200, "{:#}", answer.body);
        let numbers = ["totalProcessed", "successful", "failed"].map(|name| answer.data()[name].as_i64());
        assert_eq!(numbers, [Some(4), Some(2), Some(2)]);
        let results = answer.data()["results"].as_array().expect("results");
        let done: Vec<_> = results.iter().map(|one| one["subscriptionId"].clone()).collect();
        assert_eq!(done, [json!(ani.id), json!(budi.id)]);
        for one in results {
            assert_eq!((&one["success"], &one["data"]["status"]), (&json!(true), &json!("SUSPENDED")));
            let exchange = "PUT /api/v1/admin/subscriptions/:id/status";
            assert_part(exchange, "ok", "/data/user", &one["data"]["user"]);
        }
        let errors = answer.data()["errors"].as_array().expect("errors");
        assert!(errors.iter().all(|one| one["success"] == json!(false) && one["error"].is_string()), "{errors:?}");
        assert_eq!(errors[1]["error"], "Subscription not found");
    }
    assert_eq!(world.count("SubscriptionSuspended").await, 2, "one key, one effect");
    assert_eq!(world.slots_left().await, 2);
    let extended = all(&[&ani, &budi], "extend", json!({"extensionDays": 5}));
    let extended = world.call("PUT", BULK, Some(&admin), Some(&extended)).await;
    assert_eq!((&extended.data()["successful"], world.count("SubscriptionExtended").await), (&json!(2), 2));
    let ended = all(&[&ani, &budi, &citra], "cancel", json!({"reason": "the plan is closed down"}));
    let ended = world.call("PUT", BULK, Some(&admin), Some(&ended)).await;
    assert_eq!((&ended.data()["successful"], world.slots_left().await), (&json!(3), 3), "{:#}", ended.body);
}

#[actix_web::test]
async fn w65_nothing_done_at_all_is_a_refusal_with_the_object_in_its_code() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let ani = world.waiting("ani").await;
    let forbidden = all(&[&ani], "updateStatus", json!({"status": "SUSPENDED"}));
    let absent =
        json!({"subscriptionIds": ["cnobodys00000000000000000"], "action": "extend", "data": {"extensionDays": 1}});
    for (body, status) in [(forbidden, 409), (absent, 422)] {
        let refused = world.call("PUT", BULK, Some(&admin), Some(&body)).await;
        assert_eq!((refused.status.as_u16(), &refused.body["success"]), (status, &json!(false)), "{:#}", refused.body);
        let code = &refused.body["code"];
        assert_eq!((&code["totalProcessed"], &code["failed"], &code["results"]), (&json!(1), &json!(1), &json!([])));
        assert!(code["errors"][0]["error"].is_string());
    }
    let mixed = json!({"subscriptionIds": [ani.id, ani.id], "action": "extend", "data": {"status": "ACTIVE"}});
    let mixed = world.call("PUT", BULK, Some(&admin), Some(&mixed)).await;
    assert_eq!(mixed.fields(), ["subscriptionIds", "data.extensionDays", "data.status"]);
    let customer = all(&[&ani], "extend", json!({"extensionDays": 1}));
    assert_eq!(no(&world.call("PUT", BULK, Some(&ani.token), Some(&customer)).await), (403, "FORBIDDEN_ERROR"));
    assert_eq!(world.count("SubscriptionExtended").await, 0);
}

#[actix_web::test]
async fn w11_a_service_is_stopped_and_started_but_never_without_a_right_to_run() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let ani = world.running("ani").await;
    let power = |what: &'static str| {
        // As the client sends it: the header of JSON, and no body.
        let path = format!("/admin/subscriptions/{}/{what}", ani.id);
        world.send(request("POST", &path, Some(&admin), None))
    };
    for _ in 0..2 {
        let stopped = power("stop").await;
        assert_eq!((stopped.status.as_u16(), &stopped.body["success"]), (200, &json!(true)), "{:#}", stopped.body);
        assert_eq!(stopped.data()["status"], "ACTIVE");
    }
    let stops = world.events("instance", &ani.instance_id).await;
    let (name, actor, _) = stops.last().expect("events");
    assert_eq!((name.as_str(), &actor["id"]), ("InstanceStopRequested", &json!(admin_id)));
    assert_eq!((world.count("InstanceStopRequested").await, world.slots_left().await), (1, 2));
    assert_eq!(power("start").await.status, 200);
    assert_eq!(world.count("InstanceStartRequested").await, 1);

    assert_eq!(world.stand(&admin, &ani, "SUSPENDED").await.status, 200);
    world.settle_reactions().await;
    assert_eq!(no(&power("start").await), (409, "CONFLICT_ERROR"));
    assert_eq!(power("stop").await.status, 200, "it is stopped already");
    assert_eq!(world.stand(&admin, &ani, "ACTIVE").await.status, 200);
    assert_eq!(world.stand(&admin, &ani, "EXPIRED").await.status, 200);
    world.settle_reactions().await;
    assert_eq!(no(&power("start").await), (409, "CONFLICT_ERROR"));
    let starts = world.count("InstanceStartRequested").await;
    assert_eq!(world.stand(&admin, &ani, "CANCELLED").await.status, 200);
    world.settle_reactions().await;
    for what in ["start", "stop"] {
        assert_eq!(no(&power(what).await), (409, "CONFLICT_ERROR"), "{what}");
    }
    assert_eq!(world.count("InstanceStartRequested").await, starts);
}

#[actix_web::test]
async fn one_key_stops_once_even_when_it_was_started_since() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let ani = world.running("ani").await;
    let path = |what: &str| format!("/admin/subscriptions/{}/{what}", ani.id);
    let [first, second] = world.twice("POST", &path("stop"), &admin, &json!({}), "stop-1").await;
    assert_eq!((first.status.as_u16(), second.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(world.post(&path("start"), &admin, json!({})).await.status, 200);
    let [third, _] = world.twice("POST", &path("stop"), &admin, &json!({}), "stop-1").await;
    assert_eq!(third.header("idempotency-replayed"), Some("true"));
    assert_eq!(
        world.names("instance", &ani.instance_id).await.last().map(String::as_str),
        Some("InstanceStartRequested")
    );
}
