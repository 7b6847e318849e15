//! Nodes that join by themselves: a token that works once, signs of life under the node's own key, and what others see.

use std::time::Duration;

use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{stage::no, world::open};

fn machine(name: &str) -> Value {
    json!({
        "name": name, "hostname": format!("{name}.example.com"), "ipAddress": "203.0.113.7", "cpuCores": 4,
        "cpuArchitecture": "x86_64", "totalMemory": "16Gi", "totalStorage": "200Gi", "maxPods": 110,
    })
}

#[actix_web::test]
async fn a_node_joins_once_with_a_token_and_lives_by_its_own_key() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let made =
        world.call("POST", "/admin/workers/join-tokens", Some(&admin), Some(&json!({ "label": "rack 2" }))).await;
    assert_eq!(made.status, 201, "{:#}", made.body);
    let token = made.data()["token"].as_str().expect("a token").to_owned();
    let joined = world.call("POST", "/workers/register", Some(&token), Some(&machine("worker-1"))).await;
    assert_eq!(joined.status, 201, "{:#}", joined.body);
    assert_eq!((&joined.data()["status"], &joined.data()["isReady"]), (&json!("ACTIVE"), &json!(true)));
    let key = joined.data()["heartbeatToken"].as_str().expect("a key").to_owned();
    let again = world.call("POST", "/workers/register", Some(&token), Some(&machine("worker-1"))).await;
    assert_eq!(no(&again), (401, "AUTH_ERROR"), "a token works once");

    let path = "/workers/worker-1/heartbeat";
    let beat = json!({ "allocatedCPU": 1.5, "allocatedMemory": 2_048, "currentPods": 7 });
    let alive = world.call("PUT", path, Some(&key), Some(&beat)).await;
    assert_eq!(alive.status, 200, "{:#}", alive.body);
    assert_eq!((&alive.data()["allocatedCPU"], &alive.data()["currentPods"]), (&json!(1.5), &json!(7)));
    assert_eq!(world.call("PATCH", path, Some(&key), Some(&json!({}))).await.status, 200, "scripts know this name");
    assert_eq!(world.count("NodeBecameReady").await + world.count("NodeBecameUnready").await, 0, "no change, no fact");
    let ill = world.call("PUT", path, Some(&key), Some(&json!({ "isReady": false }))).await;
    assert_eq!(ill.data()["status"], "NOT_READY");
    assert_eq!(world.count("NodeBecameUnready").await, 1);

    let listed = world.get("/workers", &admin).await;
    let node = &listed.data()["workers"][0];
    assert_eq!(
        (&node["name"], &node["currentPods"], &node["status"]),
        (&json!("worker-1"), &json!(7), &json!("NOT_READY"))
    );
    assert!(!listed.body.to_string().contains("mpn_") && !listed.body.to_string().contains("mpj_"));
    let tokens = world.get("/admin/workers/join-tokens", &admin).await;
    let shown = &tokens.data()["tokens"][0];
    assert_eq!(
        (&shown["status"], &shown["node"], &shown["label"]),
        (&json!("USED"), &json!("worker-1"), &json!("rack 2"))
    );
    assert!(!tokens.body.to_string().contains(&token[30..]));
    let log = world.log_text().await;
    assert!(!log.contains(&key) && !log.contains(&token), "no token is in the log");

    let other = world.call("POST", "/admin/workers/join-tokens", Some(&admin), None).await;
    let other = other.data()["token"].as_str().expect("a token").to_owned();
    let anew = world.call("POST", "/workers/register", Some(&other), Some(&machine("worker-1"))).await;
    assert_eq!(anew.status, 200, "known, and joined anew");
    assert_eq!(no(&world.call("PUT", path, Some(&key), Some(&beat)).await), (401, "AUTH_ERROR"), "the old key");
    let fresh = anew.data()["heartbeatToken"].as_str().expect("a key").to_owned();
    assert_eq!(world.call("PUT", path, Some(&fresh), Some(&beat)).await.status, 200);
    let [removed, repeat] = world.twice("DELETE", "/workers/worker-1", &admin, &json!({}), "remove").await;
    assert_eq!((removed.status.as_u16(), repeat.status.as_u16()), (200, 200), "{:#}", repeat.body);
    assert_eq!((removed.data(), repeat.header("idempotency-replayed")), (repeat.data(), Some("true")));
    assert_eq!(no(&world.call("PUT", path, Some(&fresh), Some(&beat)).await), (401, "AUTH_ERROR"));
    assert_eq!(
        no(&world.call("DELETE", "/workers/worker-1", Some(&admin), None).await),
        (404, "WORKER_NODE_NOT_FOUND")
    );
}

#[actix_web::test]
async fn a_token_that_is_over_taken_back_or_made_up_lets_nobody_in() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (customer, _) = world.register("ani@example.com").await;
    let make = async || {
        let made = world
            .call("POST", "/admin/workers/join-tokens", Some(&admin), Some(&json!({ "expiresInMinutes": 1 })))
            .await;
        let text = |name: &str| made.data()[name].as_str().expect(name).to_owned();
        (text("id"), text("token"))
    };
    let (id, token) = make().await;
    assert_eq!(world.call("DELETE", &format!("/admin/workers/join-tokens/{id}"), Some(&admin), None).await.status, 200);
    let (_, late) = make().await;
    world.clock.advance(Duration::from_mins(1));
    let made_up = format!("{}x{}", &late[..40], &late[41..]);
    for shown in [&token, &late, &made_up, &"mpj_x".to_owned(), &customer, &admin] {
        let refused = world.call("POST", "/workers/register", Some(shown), Some(&machine("worker-1"))).await;
        assert_eq!(no(&refused), (401, "AUTH_ERROR"), "{shown}");
    }
    assert_eq!(world.call("POST", "/workers/register", None, Some(&machine("worker-1"))).await.status, 401);
    assert_eq!(world.count("NodeRegistered").await, 0);
    let (_, good) = make().await;
    let mut bad = machine("worker-1");
    (bad["cpuCores"], bad["ipAddress"]) = (json!(0), json!("nowhere"));
    let refused = world.call("POST", "/workers/register", Some(&good), Some(&bad)).await;
    assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec!["ipAddress", "cpuCores"]));
    let joined = world.call("POST", "/workers/register", Some(&good), Some(&machine("worker-1"))).await;
    assert_eq!(joined.status, 201, "a form that was refused has not used the token");
    for (method, path) in [("GET", "/workers"), ("POST", "/admin/workers/join-tokens"), ("DELETE", "/workers/worker-1")]
    {
        assert_eq!(world.call(method, path, Some(&customer), None).await.status, 403, "{method} {path}");
    }
    for (body, field) in [
        (json!({ "expiresInMinutes": 0 }), "expiresInMinutes"),
        (json!({ "expiresInMinutes": 10_081 }), "expiresInMinutes"),
        (json!({ "label": "x".repeat(101) }), "label"),
        (json!({ "days": 1 }), "days"),
    ] {
        let refused = world.call("POST", "/admin/workers/join-tokens", Some(&admin), Some(&body)).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec![field]));
    }
}
