//! Administrators suspend, resume, extend and end anybody's subscription.

use minispod_testkit::require;
use serde_json::json;

use crate::{
    shapes::{assert_part, assert_shape},
    stage::{MONEY, PAID, PRICE, no},
    world::open,
};

const STATUS: &str = "PUT /api/v1/admin/subscriptions/:id/status";

#[actix_web::test]
async fn a_suspension_gives_the_slot_back_and_a_resumption_takes_it_again_w57_w73() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    world.publish(PAID, "pro", PRICE, 1).await;
    let ani = world.running("ani").await;
    assert_eq!(world.slots_left().await, 0);

    let because = json!({"status": "SUSPENDED", "reason": "Ani mines coins"});
    let suspended = world.deed(&admin, "PUT", &ani, "status", because).await;
    assert_eq!(suspended.status, 200, "{:#}", suspended.body);
    assert_shape(STATUS, "ok", &suspended.body);
    assert_part(STATUS, "ok", "/data/user", &suspended.data()["user"]);
    assert_part(STATUS, "ok", "/data/serviceInstance", &suspended.data()["serviceInstance"]);
    assert_eq!(
        (&suspended.data()["status"], suspended.header("preference-applied")),
        (&json!("SUSPENDED"), Some("wait"))
    );
    assert_eq!((world.slots_left().await, world.status_of(&ani).await.as_str()), (1, "SUSPENDED"));
    let (name, actor, fact) = world.events("subscription", &ani.id).await.pop().expect("events");
    assert_eq!((name.as_str(), &actor["id"]), ("SubscriptionSuspended", &json!(admin_id)));
    assert!(fact["reason"]["sealed"].is_string() && !fact.to_string().contains("coins"), "{fact}");
    world.settle_reactions().await;
    let instance = world.names("instance", &ani.instance_id).await;
    assert!(instance.ends_with(&["InstanceStopRequested".into(), "InstanceLocked".into()]), "{instance:?}");
    let again = world.stand(&admin, &ani, "SUSPENDED").await;
    assert_eq!((again.status.as_u16(), world.count("SubscriptionSuspended").await), (200, 1));

    let resumed = world.stand(&admin, &ani, "ACTIVE").await;
    assert_eq!((resumed.status.as_u16(), &resumed.data()["status"]), (200, &json!("ACTIVE")), "{:#}", resumed.body);
    assert_eq!((world.slots_left().await, world.status_of(&ani).await.as_str()), (0, "ACTIVE"));
    world.settle_reactions().await;
    let instance = world.names("instance", &ani.instance_id).await;
    assert!(instance.ends_with(&["InstanceUnlocked".into(), "InstanceStartRequested".into()]), "{instance:?}");
    let again = world.stand(&admin, &ani, "ACTIVE").await;
    assert_eq!((again.status.as_u16(), world.count("SubscriptionResumeStarted").await), (200, 1));
    assert_eq!(world.balance_of(&ani).await, json!((MONEY - PRICE).to_string()), "nothing was charged");
}

#[actix_web::test]
async fn w08_a_resumption_without_a_slot_is_refused_and_changes_nothing() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(PAID, "pro", PRICE, 1).await;
    let ani = world.running("ani").await;
    assert_eq!(world.stand(&admin, &ani, "SUSPENDED").await.status, 200);
    let budi = world.waiting("budi").await;
    let path = format!("/admin/subscriptions/{}/status", ani.id);
    for refused in world.twice("PUT", &path, &admin, &json!({"status": "ACTIVE"}), "resume-1").await {
        assert_eq!(no(&refused), (409, "CONFLICT_ERROR"), "{:#}", refused.body);
        assert!(refused.body["message"].as_str().is_some_and(|text| text.contains("slot")), "{:#}", refused.body);
    }
    assert_eq!(world.count("SubscriptionResumeStarted").await, 1, "one key, one try");
    assert_eq!((world.slots_left().await, world.status_of(&ani).await.as_str()), (0, "SUSPENDED"));
    world.settle_reactions().await;
    assert_eq!(world.count("InstanceUnlocked").await, 0);

    assert_eq!(world.call("DELETE", &format!("/subscriptions/{}", budi.id), Some(&budi.token), None).await.status, 200);
    assert_eq!(world.stand(&admin, &ani, "ACTIVE").await.status, 200, "a slot is free again");
    assert_eq!(world.slots_left().await, 0);
}

#[actix_web::test]
async fn a_resumption_right_after_a_suspension_whose_request_died_still_finds_its_slot() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(PAID, "pro", PRICE, 1).await;
    let ani = world.running("ani").await;
    let suspend = minispod_domain::SubscriptionCommand::Suspend { reason: minispod_kernel::Sensitive::Forgotten };
    world.command_alone(&ani.id, minispod_domain::AnyCommand::Subscription(suspend), "died").await;
    let resumed = world.stand(&admin, &ani, "ACTIVE").await;
    assert_eq!((resumed.status.as_u16(), &resumed.data()["status"]), (200, &json!("ACTIVE")), "{:#}", resumed.body);
    world.settle_reactions().await;
    assert_eq!((world.slots_left().await, world.status_of(&ani).await.as_str()), (0, "ACTIVE"));
}

#[actix_web::test]
async fn w65_what_a_state_forbids_is_409_and_what_is_not_there_404() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(PAID, "pro", PRICE, 5).await;
    let ani = world.waiting("ani").await;
    for status in ["SUSPENDED", "ACTIVE", "EXPIRED"] {
        assert_eq!(no(&world.stand(&admin, &ani, status).await), (409, "CONFLICT_ERROR"), "{status}");
    }
    assert_eq!(world.stand(&admin, &ani, "PENDING_DEPLOYMENT").await.status, 200, "it stands so");
    let early = world.deed(&admin, "PUT", &ani, "extend", json!({"extensionDays": 7})).await;
    assert_eq!(no(&early), (409, "CONFLICT_ERROR"));

    let budi = world.running("budi").await;
    assert_eq!(no(&world.stand(&admin, &budi, "PENDING_DEPLOYMENT").await), (409, "CONFLICT_ERROR"));
    assert_eq!(world.stand(&admin, &budi, "CANCELLED").await.status, 200);
    for status in ["SUSPENDED", "ACTIVE", "EXPIRED", "PENDING_DEPLOYMENT"] {
        assert_eq!(no(&world.stand(&admin, &budi, status).await), (409, "CONFLICT_ERROR"), "{status}");
    }
    let over = world.deed(&admin, "PUT", &budi, "extend", json!({"extensionDays": 7})).await;
    assert_eq!(no(&over), (409, "CONFLICT_ERROR"));

    let bad = world.deed(&admin, "PUT", &ani, "status", json!({"status": "DELETED"})).await;
    assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["status"]));
    assert_shape(STATUS, "refused", &bad.body);
    for (verb, what, body) in every_deed() {
        for id in ["cnobodys00000000000000000", "no-such-thing'"] {
            let path = format!("/admin/subscriptions/{id}/{what}");
            let absent = world.call(verb, &path, Some(&admin), Some(&body)).await;
            assert_eq!(no(&absent), (404, "NOT_FOUND_ERROR"), "{verb} {path}");
        }
        assert_eq!(
            no(&world.deed(&ani.token, verb, &ani, what, body.clone()).await),
            (403, "FORBIDDEN_ERROR"),
            "{what}"
        );
        let path = format!("/admin/subscriptions/{}/{what}", ani.id);
        assert_eq!(no(&world.call(verb, &path, None, Some(&body)).await), (401, "AUTH_ERROR"), "{what}");
    }
}

fn every_deed() -> [(&'static str, &'static str, serde_json::Value); 5] {
    [
        ("PUT", "status", json!({"status": "SUSPENDED"})),
        ("PUT", "extend", json!({"extensionDays": 7})),
        ("DELETE", "force-cancel", json!({"reason": "long enough a reason"})),
        ("POST", "start", json!({})),
        ("POST", "stop", json!({})),
    ]
}

#[actix_web::test]
async fn w30_days_count_from_the_periods_end_and_bring_back_what_has_expired() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    world.publish(PAID, "pro", PRICE, 1).await;
    let ani = world.running("ani").await;
    let end = |answer: &crate::world::Answered| answer.data()["expiresAt"].as_str().expect("an instant").to_owned();
    let path = format!("/subscriptions/{}", ani.id);
    let before = world.get(&path, &ani.token).await;

    let [first, second] = world
        .twice("PUT", &format!("/admin/subscriptions/{}/extend", ani.id), &admin, &json!({"extensionDays": 10}), "ten")
        .await;
    assert_eq!((first.status.as_u16(), second.header("idempotency-replayed")), (200, Some("true")), "{:#}", first.body);
    assert_shape(STATUS, "ok", &first.body);
    assert_eq!((end(&first), world.count("SubscriptionExtended").await), (end(&second), 1), "one key, ten days");
    assert_ne!(end(&first), end(&before));
    assert_eq!(end(&world.get(&path, &ani.token).await), end(&first));
    let (_, actor, fact) = world.events("subscription", &ani.id).await.pop().expect("events");
    assert_eq!((&actor["id"], &fact["days"]), (&json!(admin_id), &json!(10)));

    assert_eq!(world.stand(&admin, &ani, "EXPIRED").await.status, 200);
    assert_eq!((world.slots_left().await, world.status_of(&ani).await.as_str()), (1, "EXPIRED"));
    world.settle_reactions().await;
    assert_eq!(world.count("InstanceLocked").await, 1, "W12: what has expired does not run");
    world.clock.advance(std::time::Duration::from_hours(24 * 90));
    let token = world.sign_in("admin@example.com").await.access;
    assert_eq!(no(&world.stand(&token, &ani, "ACTIVE").await), (409, "CONFLICT_ERROR"), "its time is over");
    let revived = world.deed(&token, "PUT", &ani, "extend", json!({"extensionDays": 30})).await;
    assert_eq!((revived.status.as_u16(), &revived.data()["status"]), (200, &json!("ACTIVE")), "{:#}", revived.body);
    let from_now = world.clock_now().plus(std::time::Duration::from_hours(24 * 30));
    assert_eq!((end(&revived), world.slots_left().await), (from_now.to_contract(), 0));
    for bad in [json!(0), json!(366), json!("x"), json!(null)] {
        let refused = world.deed(&token, "PUT", &ani, "extend", json!({ "extensionDays": bad })).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec!["extensionDays"]));
    }
}

#[actix_web::test]
async fn a_forced_end_keeps_its_reason_and_gives_back_once_w13_w73() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    world.publish(PAID, "pro", PRICE, 2).await;
    let ani = world.running("ani").await;
    let because = json!({"reason": "Ani does not answer us"});
    for short in [json!({}), json!({"reason": "short"})] {
        let refused = world.deed(&admin, "DELETE", &ani, "force-cancel", short).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec!["reason"]));
    }
    for _ in 0..3 {
        let ended = world.deed(&admin, "DELETE", &ani, "force-cancel", because.clone()).await;
        assert_eq!((ended.status.as_u16(), &ended.data()["status"]), (200, &json!("CANCELLED")), "{:#}", ended.body);
        assert_shape(STATUS, "ok", &ended.body);
        assert_eq!(world.slots_left().await, 2);
    }
    assert_eq!((world.count("SubscriptionCancelled").await, world.count("PlanSlotReleased").await), (1, 1));
    let (_, actor, fact) = world.events("subscription", &ani.id).await.pop().expect("events");
    assert_eq!((&actor["id"], &fact["reason"]["reason"]), (&json!(admin_id), &json!("administrator")));
    assert!(fact["reason"]["text"]["sealed"].is_string() && !fact.to_string().contains("answer"), "{fact}");
    world.settle_reactions().await;
    assert_eq!(world.balance_of(&ani).await, json!((MONEY - PRICE).to_string()), "no refund of what ran");
    assert_eq!(world.count("InstanceDeletionRequested").await, 1);
}

#[actix_web::test]
async fn w10_what_never_ran_is_ended_and_paid_back() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(PAID, "pro", PRICE, 2).await;
    let ani = world.waiting("ani").await;
    let because = json!({"reason": "the node burns, sorry"});
    let ended = world.deed(&admin, "DELETE", &ani, "force-cancel", because).await;
    assert_eq!((ended.status.as_u16(), &ended.data()["status"]), (200, &json!("CANCELLED")), "{:#}", ended.body);
    assert_eq!((world.balance_of(&ani).await, world.slots_left().await), (json!(MONEY.to_string()), 2));
}

#[actix_web::test]
async fn w13_the_end_of_what_is_suspended_gives_back_nothing_twice() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(PAID, "pro", PRICE, 2).await;
    let (ani, budi) = (world.running("ani").await, world.running("budi").await);
    for customer in [&ani, &budi] {
        assert_eq!(world.stand(&admin, customer, "SUSPENDED").await.status, 200);
    }
    assert_eq!(world.slots_left().await, 2);
    let by_customer = world.call("DELETE", &format!("/subscriptions/{}", ani.id), Some(&ani.token), None).await;
    assert_eq!((by_customer.status.as_u16(), &by_customer.data()["status"]), (200, &json!("CANCELLED")));
    let renewal = world.call("PUT", &format!("/subscriptions/{}/renew", budi.id), Some(&budi.token), None).await;
    assert_eq!(no(&renewal), (409, "CONFLICT_ERROR"), "what is suspended is not renewed");
    assert_eq!(world.balance_of(&budi).await, json!((MONEY - PRICE).to_string()));
    world.settle_reactions().await;
    assert_eq!((world.slots_left().await, world.count("PlanSlotReleased").await), (2, 2));
}

#[actix_web::test]
async fn w28_who_is_deleted_leaves_no_suspended_subscription_behind() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(PAID, "pro", PRICE, 2).await;
    let ani = world.running("ani").await;
    assert_eq!(world.stand(&admin, &ani, "SUSPENDED").await.status, 200);
    let gone = world.call("DELETE", &format!("/admin/users/{}", ani.user_id), Some(&admin), None).await;
    assert_eq!(gone.status, 200, "{:#}", gone.body);
    world.settle_reactions().await;
    assert_eq!((world.count("SubscriptionCancelled").await, world.slots_left().await), (1, 2));
    assert_eq!(world.count("InstanceDeletionRequested").await, 1);
    let again = world.deed(&admin, "DELETE", &ani, "force-cancel", json!({"reason": "after the deletion"})).await;
    assert_eq!((again.status.as_u16(), &again.data()["user"]["role"]), (200, &json!("USER")), "{:#}", again.body);
}

#[actix_web::test]
async fn read_models_that_lag_do_not_make_the_answer_lag() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(PAID, "pro", PRICE, 1).await;
    let ani = world.running("ani").await;
    world.stick(true);
    let suspended = world.stand(&admin, &ani, "SUSPENDED").await;
    assert_eq!((&suspended.data()["status"], suspended.header("preference-applied")), (&json!("SUSPENDED"), None));
    let resumed = world.stand(&admin, &ani, "ACTIVE").await;
    assert_eq!((resumed.status.as_u16(), &resumed.data()["status"]), (200, &json!("ACTIVE")), "{:#}", resumed.body);
    world.stick(false);
    world.read.catch_up().await;
    assert_eq!((world.slots_left().await, world.status_of(&ani).await.as_str()), (0, "ACTIVE"));
}
