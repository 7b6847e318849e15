//! No more is sold than the cluster has room for: orders, larger plans, and what administrators see of it.

use std::{sync::Arc, time::Duration};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
};
use minispod_domain::{AnyCommand, PlanCommand, ports::fleet::NodeSeen};
use minispod_events::{Capacity, PlanDetails};
use minispod_kernel::{Clock, Rupiah};
use minispod_store::ClusterRoom;
use minispod_testkit::require;
use serde_json::json;

use crate::{
    fleet::{PlayedFleet, node},
    market::{BASIC, PRO},
    stage::{PAID, PRICE},
    world::{World, n8n, open, open_with_fleet},
};

const GI: i64 = 1 << 30;
const NO_ROOM: &str = "Insufficient cluster capacity";

/// What the nodes give is measured now.
async fn measured<S, B>(world: &World<S>, cpu_millis: i64, memory_bytes: i64)
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let room = ClusterRoom { at: world.clock.now(), cpu_millis, memory_bytes };
    world.store.telemetry().record_room(room).await.expect("kept");
}

/// The plan of these tests requests a quarter of a core and half a gigabyte.
#[actix_web::test]
async fn what_does_not_fit_is_refused_before_it_is_paid() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", PRICE, -1).await;
    measured(&world, 500, 8 * GI).await;
    world.running("ani").await;
    let budi = world.running("budi").await;
    let (citra, _) = world.register("citra@example.com").await;
    world.top_up(&citra, 100_000).await;
    let eligibility = world.get(&format!("/subscriptions/eligibility/{PAID}"), &citra).await;
    assert_eq!((&eligibility.data()["eligible"], &eligibility.data()["reasons"]), (&json!(false), &json!([NO_ROOM])));
    let order = json!({ "serviceId": PAID });
    let refused = world.post("/subscriptions", &citra, order.clone()).await;
    assert_eq!(refused.status, 409, "{:#}", refused.body);
    assert_eq!(refused.body["code"]["reasons"], json!([NO_ROOM]));
    assert_eq!(world.count("SubscriptionRequested").await, 2, "nothing is written");

    let ended = world.call("DELETE", &format!("/subscriptions/{}", budi.id), Some(&budi.token), None).await;
    assert_eq!(ended.status, 200, "{:#}", ended.body);
    assert_eq!(world.post("/subscriptions", &citra, order.clone()).await.status, 200, "what ended gives its room back");

    let (dewi, _) = world.register("dewi@example.com").await;
    world.top_up(&dewi, 100_000).await;
    assert_eq!(world.post("/subscriptions", &dewi, order.clone()).await.status, 409);
    world.clock.advance(Duration::from_mins(11));
    let dewi = world.sign_in("dewi@example.com").await.access;
    let sold = world.post("/subscriptions", &dewi, order).await;
    assert_eq!(sold.status, 200, "an old measurement refuses nobody: {:#}", sold.body);
}

#[actix_web::test]
async fn a_repeated_order_is_answered_even_when_it_took_the_last_of_the_room() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", PRICE, -1).await;
    measured(&world, 250, 8 * GI).await;
    let (ani, _) = world.register("ani@example.com").await;
    world.top_up(&ani, 100_000).await;
    let [first, second] = world.twice("POST", "/subscriptions", &ani, &json!({ "serviceId": PAID }), "k1").await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200), "{:#}", second.body);
    assert_eq!(first.data()["id"], second.data()["id"]);
}

#[actix_web::test]
async fn a_larger_plan_needs_room_for_what_it_has_more() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(BASIC, "basic", 31_000, -1).await;
    let details = PlanDetails { variant: "pro".to_owned(), cpu_request: "0.75".to_owned(), ..n8n() };
    let publish = PlanCommand::Publish { details, monthly_price: Rupiah::new(62_000), capacity: Capacity(-1) };
    world.command(PRO, AnyCommand::Plan(publish), "publish-pro").await;
    let (ani, _) = world.register("ani@example.com").await;
    world.top_up(&ani, 200_000).await;
    let id = world.subscribe(&ani, BASIC).await;
    world.activate(&id).await;
    let wish = json!({ "newServiceId": PRO, "confirmPayment": true });
    let validate = format!("/subscriptions/{id}/validate-upgrade");
    measured(&world, 749, 8 * GI).await;
    let asked = world.post(&validate, &ani, wish.clone()).await;
    assert_eq!(asked.status, 400, "{:#}", asked.body);
    assert_eq!(asked.body["data"]["reasons"][0]["code"], "SERVICE_UNAVAILABLE");
    let refused = world.post(&format!("/subscriptions/{id}/upgrade"), &ani, wish.clone()).await;
    assert_eq!(refused.status, 409, "{:#}", refused.body);
    assert!(refused.body["message"].as_str().expect("a text").contains("no room"), "{:#}", refused.body);
    assert_eq!(world.count("SubscriptionPlanChangeStarted").await, 0, "nothing is written");
    measured(&world, 750, 8 * GI).await;
    assert_eq!(world.post(&validate, &ani, wish.clone()).await.status, 200, "its own quarter of a core counts");
    let moved = world.post(&format!("/subscriptions/{id}/upgrade"), &ani, wish).await;
    assert_eq!(moved.status, 200, "{:#}", moved.body);
}

#[actix_web::test]
async fn administrators_see_what_is_sold_and_what_is_left_and_the_ratio_counts() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    fleet.laid().nodes = vec![node("open")];
    let world = open_with_fleet(fleet.clone()).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let unknown = world.get("/admin/workers/stats", &admin).await;
    assert_eq!(
        unknown.data()["resources"]["selling"],
        json!({
            "percent": 100,
            "room": null,
            "sold": null,
            "left": null,
            "requested": { "cpu": 1.5, "memory": 2.0 },
            "used": { "cpu": 0.4, "memory": 1.0 },
        })
    );
    world.publish(PAID, "pro", PRICE, -1).await;
    world.running("ani").await;
    measured(&world, 4_000, 8 * GI).await;
    fleet.laid().nodes = vec![NodeSeen { usage: None, ..node("open") }];
    let shown = world.get("/admin/workers/stats", &admin).await;
    assert_eq!(
        shown.data()["resources"]["selling"],
        json!({
            "percent": 100,
            "room": { "cpu": 4.0, "memory": 8.0 },
            "sold": { "cpu": 0.25, "memory": 0.5 },
            "left": { "cpu": 3.75, "memory": 7.5 },
            "requested": { "cpu": 1.5, "memory": 2.0 },
            "used": null,
        })
    );
    for (percent, status) in [(200, 200), (0, 200), (100, 409)] {
        let world = open(|config| config.sell_percent = percent).await;
        world.publish(PAID, "pro", PRICE, -1).await;
        measured(&world, 125, 8 * GI).await;
        let (budi, _) = world.register("budi@example.com").await;
        world.top_up(&budi, 100_000).await;
        let order = world.post("/subscriptions", &budi, json!({ "serviceId": PAID })).await;
        assert_eq!(order.status, status, "{percent}: {:#}", order.body);
    }
}
