//! A customer changes a subscription: automatic renewal, settings, a restart.

use minispod_domain::instance::{OVERRIDES, vault_owner};
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    shapes::assert_shape,
    stage::{PAID, PRICE, no},
    world::open,
};

#[actix_web::test]
async fn w67_automatic_renewal_is_switched_and_stays_so() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let (ani, budi) = (world.running("ani").await, world.waiting("budi").await);
    let path = format!("/subscriptions/{}", ani.id);
    let off = json!({"autoRenew": false});
    let answer = world.call("PUT", &path, Some(&ani.token), Some(&off)).await;
    assert_eq!((answer.status.as_u16(), &answer.data()["autoRenew"]), (200, &json!(false)), "{:#}", answer.body);
    assert_shape("GET /api/v1/subscriptions/:id", "ok", &answer.body);
    assert_eq!(answer.header("preference-applied"), Some("wait"));
    assert_eq!(world.get(&path, &ani.token).await.data()["autoRenew"], false);
    assert_eq!(world.call("PUT", &path, Some(&ani.token), Some(&off)).await.status, 200, "it is so already");
    assert_eq!(world.count("SubscriptionAutoRenewChanged").await, 1);
    let on = json!({"autoRenew": true});
    let [first, second] = world.twice("PUT", &path, &ani.token, &on, "on-1").await;
    assert_eq!((first.status.as_u16(), second.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(world.count("SubscriptionAutoRenewChanged").await, 2);

    assert_eq!(no(&world.call("PUT", &path, Some(&budi.token), Some(&off)).await), (404, "NOT_FOUND_ERROR"));
    for (bad, field) in [
        (json!({}), "body"),
        (json!({"status": "ACTIVE"}), "status"),
        (json!({"autoRenew": 5}), "autoRenew"),
        (json!({"customConfig": {"PATH": "/x"}}), "customConfig.PATH"),
        (json!({"customConfig": {"GENERIC_TIMEZONE": "(hidden)"}}), "customConfig.GENERIC_TIMEZONE"),
    ] {
        let refused = world.call("PUT", &path, Some(&ani.token), Some(&bad)).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec![field]), "{bad}");
    }
    assert_eq!(world.call("DELETE", &path, Some(&ani.token), None).await.status, 200);
    assert_eq!(no(&world.call("PUT", &path, Some(&ani.token), Some(&off)).await), (409, "CONFLICT_ERROR"));
}

#[actix_web::test]
async fn w67_other_settings_restart_the_service_and_their_values_are_in_the_vault_alone() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let (ani, budi) = (world.running("ani").await, world.waiting("budi").await);
    let path = format!("/subscriptions/{}", ani.id);
    let change = |config: Value| {
        let body = json!({ "customConfig": config });
        let (world, path, token) = (&world, &path, &ani.token);
        async move { world.call("PUT", path, Some(token), Some(&body)).await }
    };
    let kept = || async {
        let owner = vault_owner(&ani.instance_id);
        let value = world.store.vault().find(&owner, OVERRIDES).await.expect("reads");
        value.map(|bytes| serde_json::from_slice::<Value>(&bytes).expect("JSON"))
    };
    let answer = change(json!({"N8N_SMTP_PASS": "hunter2", "GENERIC_TIMEZONE": "Asia/Makassar"})).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    let hidden = json!({"N8N_SMTP_PASS": "(hidden)", "GENERIC_TIMEZONE": "(hidden)"});
    assert_eq!(answer.data()["serviceInstance"]["customConfig"], hidden);
    assert_eq!(world.get(&path, &ani.token).await.data()["serviceInstance"]["customConfig"], hidden);
    world.settle_reactions().await;
    let events = world.events("instance", &ani.instance_id).await;
    let [.., (reconfigured, ..), (restarted, _, fact)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((reconfigured.as_str(), restarted.as_str()), ("InstanceReconfigured", "InstanceRestartRequested"));
    assert_eq!(fact["spec"]["overrides"], json!(["GENERIC_TIMEZONE", "N8N_SMTP_PASS"]));
    let told: i64 = sqlx::query_scalar("SELECT count(*) FROM log.events WHERE payload::text LIKE '%hunter2%'")
        .fetch_one(world.store.pool())
        .await
        .expect("counts");
    assert_eq!(told, 0, "no value in the log");

    let answer = change(json!({"N8N_SMTP_PASS": "(hidden)"})).await;
    assert_eq!(answer.data()["serviceInstance"]["customConfig"], json!({"N8N_SMTP_PASS": "(hidden)"}));
    assert_eq!(kept().await, Some(json!({"N8N_SMTP_PASS": "hunter2"})), "what comes back hidden stays");
    assert_eq!(change(json!({})).await.status, 200);
    assert_eq!(kept().await, None);
    world.settle_reactions().await;
    let (_, _, fact) = world.events("instance", &ani.instance_id).await.pop().expect("events");
    assert_eq!(fact["spec"]["overrides"], json!([]));

    let early = json!({"customConfig": {"GENERIC_TIMEZONE": "UTC"}});
    let early = world.call("PUT", &format!("/subscriptions/{}", budi.id), Some(&budi.token), Some(&early)).await;
    assert_eq!(no(&early), (409, "CONFLICT_ERROR"), "it is being built with other settings");
    let owner = vault_owner(&budi.instance_id);
    assert_eq!(world.store.vault().find(&owner, OVERRIDES).await.expect("reads"), None, "a refusal leaves no value");
}

#[actix_web::test]
async fn w11_a_restart_is_for_what_is_paid_and_runs() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let (ani, budi) = (world.running("ani").await, world.waiting("budi").await);
    let path = format!("/subscriptions/{}/restart-pod", ani.id);
    let [first, second] = world.twice("POST", &path, &ani.token, &json!({}), "restart-1").await;
    assert_eq!(first.status, 200, "{:#}", first.body);
    assert_eq!((&first.data()["subscriptionId"], &first.data()["podId"]), (&json!(ani.id), &json!(ani.instance_id)));
    assert!(first.data()["message"].is_string());
    assert_eq!(first.data()["restartedAt"], world.clock_now().to_contract());
    assert_eq!((second.data(), second.header("idempotency-replayed")), (first.data(), Some("true")));
    assert_eq!(world.count("InstanceRestartRequested").await, 1);

    assert_eq!(no(&world.post(&path, &budi.token, json!({})).await), (404, "NOT_FOUND_ERROR"));
    let early = format!("/subscriptions/{}/restart-pod", budi.id);
    assert_eq!(no(&world.post(&early, &budi.token, json!({})).await), (409, "CONFLICT_ERROR"), "not deployed yet");
    for rest in ["SUSPENDED", "EXPIRED", "CANCELLED"] {
        assert_eq!(world.stand(&admin, &ani, rest).await.status, 200, "{rest}");
        assert_eq!(no(&world.post(&path, &ani.token, json!({})).await), (409, "CONFLICT_ERROR"), "{rest}");
    }
    assert_eq!(world.count("InstanceRestartRequested").await, 1);
}

#[actix_web::test]
async fn a_restart_never_starts_what_an_administrator_stopped() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let ani = world.running("ani").await;
    assert_eq!(world.deed(&admin, "POST", &ani, "stop", json!({})).await.status, 200);
    let path = format!("/subscriptions/{}/restart-pod", ani.id);
    assert_eq!(no(&world.post(&path, &ani.token, json!({})).await), (409, "CONFLICT_ERROR"));
}
