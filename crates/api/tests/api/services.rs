//! The catalogue, and subscribing to it.

use minispod_domain::{AnyCommand, InstanceCommand, SubscriptionCommand};
use minispod_testkit::require;
use serde_json::json;

use crate::{
    shapes::{assert_part, assert_shape},
    world::{open, request},
};

const FREE: &str = "cplanfree0000000000000000";
const PAID: &str = "cplanpaid0000000000000000";

#[actix_web::test]
async fn the_catalogue_is_public_and_groups_variants() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", 35_000, 3).await;
    world.publish(FREE, "free", 0, -1).await;
    let answer = world.call("GET", "/services/grouped", None, None).await;
    assert_eq!(answer.status, 200);
    assert_shape("GET /api/v1/services/grouped", "ok", &answer.body);
    let offering = &answer.data()["services"][0];
    assert_eq!((&offering["name"], &answer.data()["total"]), (&json!("n8n"), &json!(1)));
    let free = &offering["variants"][0];
    assert_eq!(
        (&free["monthlyPrice"], &free["availableQuota"], &free["isDefault"]),
        (&json!("0"), &json!(-1), &json!(true))
    );
    assert_eq!((&free["cpuSpec"], &free["memSpec"]), (&json!("0.25 CPU"), &json!("512MB RAM")));
    let none = world.call("GET", "/services/grouped?search=ghost", None, None).await;
    assert_eq!(none.data()["services"], json!([]));
    let bad = world.call("GET", &format!("/services/grouped?search={}", "x".repeat(101)), None, None).await;
    assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["search"]));
}

#[actix_web::test]
async fn a_poor_customer_is_told_why_and_a_paying_one_is_served() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", 35_000, 3).await;
    let (token, user_id) = world.register("ani@example.com").await;
    let poor = world.post("/subscriptions", &token, json!({"serviceId": PAID})).await;
    assert_eq!(poor.status, 402);
    assert_shape("POST /api/v1/subscriptions", "refused", &poor.body);
    assert_eq!(poor.body["code"]["reasons"], json!(["Insufficient balance"]));
    assert_eq!(poor.body["code"]["balance"], json!({"current": "0", "required": 35_000, "sufficient": false}));

    let topup = world.post("/billing/topup", &token, json!({"amount": 100_000, "currency": "IDR"})).await;
    let (id, order) = (&topup.data()["transactionId"], &topup.data()["orderId"]);
    world.settle(id.as_str().expect("an id"), order.as_str().expect("an order"), 100_000).await;
    let bought = world.post("/subscriptions", &token, json!({"serviceId": PAID})).await;
    assert_eq!(bought.status, 200, "{:#}", bought.body);
    assert_shape("POST /api/v1/subscriptions", "ok", &bought.body);
    assert_eq!(bought.data()["status"], "PENDING_DEPLOYMENT");
    let tail = &user_id[user_id.len() - 8..];
    assert_eq!(bought.data()["subdomain"], format!("n8n-{tail}"));
    assert_eq!(bought.data()["service"]["availableQuota"], 2);
    assert_eq!(world.get("/billing/balance", &token).await.data()["balance"], "65000");

    let twice = world.post("/subscriptions", &token, json!({"serviceId": PAID})).await;
    assert_eq!(twice.status, 409);
    assert_eq!(twice.body["code"]["reasons"], json!(["Already subscribed to this service"]));
    assert_eq!(twice.body["code"]["existingSubscription"], true);
    assert_eq!(world.get("/billing/balance", &token).await.data()["balance"], "65000");

    let list = world.get("/subscriptions", &token).await;
    assert_shape("GET /api/v1/subscriptions", "ok", &list.body);
    assert_eq!(list.data()["subscriptions"].as_array().map(Vec::len), Some(1));
    let history = world.get("/billing/transactions?type=SERVICE_PURCHASE", &token).await;
    assert_eq!(history.data()["transactions"][0]["amount"], "35000");
}

#[actix_web::test]
async fn two_requests_at_once_make_one_subscription_and_one_charge() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(FREE, "free", 0, -1).await;
    let (token, _) = world.register("ani@example.com").await;
    let body = json!({"serviceId": FREE});
    let answers = futures::future::join_all((0..5).map(|_| world.post("/subscriptions", &token, body.clone()))).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409]);
    assert_eq!(world.count("SubscriptionCharged").await, 1);
    for refused in answers.iter().filter(|answer| answer.status == 409) {
        assert_eq!(refused.body["code"]["reasons"], json!(["Already subscribed to this service"]));
    }
}

#[actix_web::test]
async fn the_last_slot_is_sold_once_and_the_loser_keeps_nothing() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(FREE, "free", 0, 1).await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    let body = json!({"serviceId": FREE});
    assert_eq!(world.post("/subscriptions", &ani, body.clone()).await.status, 200);
    let late = world.post("/subscriptions", &budi, body).await;
    assert_eq!((late.status.as_u16(), &late.body["code"]["reasons"]), (409, &json!(["Service quota exhausted"])));
    assert_eq!(world.get("/subscriptions", &budi).await.data()["subscriptions"], json!([]));
}

#[actix_web::test]
async fn what_the_read_model_does_not_know_yet_the_plan_itself_refuses() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(FREE, "free", 0, 1).await;
    let (budi, _) = world.register("budi@example.com").await;
    let command = AnyCommand::Plan(minispod_domain::PlanCommand::AllocateSlot { subscription_id: "csomebody".into() });
    let cause = minispod_runtime::Cause {
        actor: minispod_kernel::Actor::system("test"),
        correlation_id: "test".into(),
        causation_id: None,
        traceparent: None,
    };
    let request = minispod_domain::CommandRequest {
        key: "behind the read model".into(),
        aggregate_id: FREE.into(),
        command,
        on_refusal: None,
    };
    world.dispatcher.dispatch(request, &cause).await.expect("the slot is taken");
    let keyed = || request_with_key(&budi);
    let late = world.send(keyed()).await;
    assert_eq!((late.status.as_u16(), &late.body["code"]["reasons"]), (409, &json!(["Service quota exhausted"])));
    let repeat = world.send(keyed()).await;
    assert_eq!((repeat.status.as_u16(), &repeat.body["code"]["reasons"]), (409, &json!(["Service quota exhausted"])));
    assert_eq!(world.count("SubscriptionRequested").await, 1);
}

#[actix_web::test]
async fn nobody_is_refused_for_what_only_a_late_read_model_says() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", 35_000, 1).await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    let body = json!({"serviceId": PAID});

    // The money is there and the read model catches up with it in time.
    world.stick(true);
    world.top_up(&ani, 100_000).await;
    world.stick(false);
    let bought = world.post("/subscriptions", &ani, body.clone()).await;
    assert_eq!(bought.status, 200, "{:#}", bought.body);
    let id = bought.data()["id"].as_str().expect("an id").to_owned();

    // She ends it, and the read model still shows the plan as sold out, her as subscribed and her wallet as too empty.
    world.settle_reactions().await;
    world.stick(true);
    assert_eq!(world.call("DELETE", &format!("/subscriptions/{id}"), Some(&ani), None).await.status, 200);
    world.settle_reactions().await;
    assert_eq!(world.get(&format!("/subscriptions/{id}"), &ani).await.data()["status"], "PENDING_DEPLOYMENT");
    let again = world.post("/subscriptions", &ani, body.clone()).await;
    assert_eq!((again.status.as_u16(), again.header("preference-applied")), (200, None), "{:#}", again.body);

    // What is true is refused all the same: the plan and the wallet themselves say so.
    let late = world.post("/subscriptions", &budi, body.clone()).await;
    assert_eq!((late.status.as_u16(), &late.body["code"]["reasons"]), (409, &json!(["Service quota exhausted"])));
    world.stick(false);
    let late = world.post("/subscriptions", &budi, body).await;
    let reasons = json!(["Insufficient balance", "Service quota exhausted"]);
    assert_eq!((late.status.as_u16(), &late.body["code"]["reasons"]), (409, &reasons));
}

fn request_with_key(token: &str) -> actix_web::test::TestRequest {
    request("POST", "/subscriptions", Some(token), Some(&json!({"serviceId": FREE})))
        .insert_header(("idempotency-key", "k1"))
}

#[actix_web::test]
async fn a_repeat_under_the_same_key_gives_the_same_subscription() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(FREE, "free", 0, -1).await;
    let (token, _) = world.register("ani@example.com").await;
    let first = world.send(request_with_key(&token)).await;
    let second = world.send(request_with_key(&token)).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200), "{:#}", second.body);
    assert_eq!(first.data()["id"], second.data()["id"]);
    assert_eq!((first.header("idempotency-replayed"), second.header("idempotency-replayed")), (None, Some("true")));
    let other = json!({"serviceId": FREE, "autoRenew": false});
    let other = request("POST", "/subscriptions", Some(&token), Some(&other)).insert_header(("idempotency-key", "k1"));
    assert_eq!(world.send(other).await.status, 422);
    world.command(FREE, AnyCommand::Plan(minispod_domain::PlanCommand::Retire), "retire").await;
    let third = world.send(request_with_key(&token)).await;
    assert_eq!(
        (third.status.as_u16(), &third.data()["id"]),
        (200, &first.data()["id"]),
        "what is sold today is no matter"
    );
    assert_eq!(world.post("/subscriptions", &token, json!({"serviceId": FREE})).await.status, 404);
    assert_eq!(world.count("SubscriptionRequested").await, 1);
}

#[actix_web::test]
async fn wishes_are_honoured_or_refused_by_name() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(FREE, "free", 0, -1).await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    let wish = json!({"serviceId": FREE, "subdomain": "Toko-Ani", "billingCycle": "yearly",
                      "customConfig": {"GENERIC_TIMEZONE": "Asia/Makassar"}, "autoRenew": "false"});
    let bought = world.post("/subscriptions", &ani, wish.clone()).await;
    assert_eq!(bought.status, 200, "{:#}", bought.body);
    assert_eq!((&bought.data()["subdomain"], &bought.data()["autoRenew"]), (&json!("toko-ani"), &json!(false)));
    let expires = bought.data()["expiresAt"].as_str().expect("a date");
    assert!(expires.starts_with("2028-01"), "{expires} is a year later");
    let taken = world.post("/subscriptions", &budi, wish).await;
    assert_eq!((taken.status.as_u16(), taken.body["message"].as_str()), (409, Some("This subdomain is taken")));
    let bad = json!({"serviceId": FREE, "customConfig": {"PATH": "/tmp", "LD_PRELOAD": "x"}});
    let bad = world.post("/subscriptions", &budi, bad).await;
    assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["customConfig.LD_PRELOAD", "customConfig.PATH"]));
    let none = world.post("/subscriptions", &budi, json!({"serviceId": "cnothing"})).await;
    assert_eq!((none.status.as_u16(), none.body["code"].as_str()), (404, Some("NOT_FOUND_ERROR")));
}

#[actix_web::test]
async fn a_running_instance_is_shown_with_every_field_of_the_contract() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", 35_000, 3).await;
    let (token, user_id) = world.register("ani@example.com").await;
    world.top_up(&token, 70_000).await;
    let wish = json!({"serviceId": PAID, "customConfig": {"GENERIC_TIMEZONE": "Asia/Makassar"}});
    let bought = world.post("/subscriptions", &token, wish).await;
    let id = bought.data()["id"].as_str().expect("an id").to_owned();
    world.settle_reactions().await;
    let path = format!("/subscriptions/{id}");
    assert_eq!(world.get(&path, &token).await.data()["serviceInstance"], json!(null), "the cluster has not taken it");
    let instance: String =
        sqlx::query_scalar("SELECT aggregate_id FROM log.events WHERE event_type = 'InstanceProvisionRequested'")
            .fetch_one(world.store.pool())
            .await
            .expect("reads");
    let (workload, url) = (format!("n8n-{id}"), "https://toko.n8n.example".to_owned());
    let applied = InstanceCommand::RecordApplied {
        generation: 1,
        namespace: format!("customer-{user_id}"),
        workload: workload.clone(),
        internal_url: "http://inside:5678".to_owned(),
        external_url: url.clone(),
        volume_claim: Some(format!("{workload}-data")),
        simulated: false,
        program: None,
    };
    let ready = InstanceCommand::RecordReady { generation: 1, external_url: url.clone() };
    for (command, key) in [(applied, "applied"), (ready, "ready")] {
        world.command(&instance, AnyCommand::Instance(command), key).await;
    }
    world.settle_reactions().await;

    let detail = world.get(&path, &token).await;
    let exchange = "GET /api/v1/subscriptions/:id";
    assert_shape(exchange, "ok", &detail.body);
    let shown = &detail.data()["serviceInstance"];
    assert_part(exchange, "ok", "/data/serviceInstance/oneOf/0", shown);
    assert_part(exchange, "ok", "/data/service", &detail.data()["service"]);
    assert_part(exchange, "ok", "/data/invoice/oneOf/0", &detail.data()["invoice"]);
    let line = &detail.data()["transactions"][0];
    assert_part(exchange, "ok", "/data/transactions/0", line);
    assert_part(exchange, "ok", "/data/transactions/0/invoice/oneOf/0", &line["invoice"]);
    for (field, expected) in [
        ("id", json!(instance)),
        ("subscriptionId", json!(id)),
        ("podName", json!(workload)),
        ("namespace", json!(format!("customer-{user_id}"))),
        ("status", json!("RUNNING")),
        ("internalUrl", json!("http://inside:5678")),
        ("externalUrl", json!(url)),
        ("credentials", json!({"deployment": workload, "service": workload, "ingress": workload})),
        ("customConfig", json!({"GENERIC_TIMEZONE": "(hidden)"})),
        ("volumeClaimName", json!(format!("{workload}-data"))),
        ("volumeSize", json!("250Mi")),
        ("volumeMountPath", json!("/home/node/.n8n")),
        ("lastError", json!(null)),
    ] {
        assert_eq!(shown[field], expected, "{field}");
    }
    assert_eq!(detail.data()["status"], "ACTIVE");
    let list = world.get("/subscriptions", &token).await;
    let listed = &list.data()["subscriptions"][0]["serviceInstance"];
    assert_part("GET /api/v1/subscriptions", "ok", "/data/subscriptions/0/serviceInstance/oneOf/0", listed);
    assert_eq!(listed["externalUrl"], json!(url));
}

#[actix_web::test]
async fn a_running_subscription_is_shown_renewed_and_cancelled() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", 35_000, 3).await;
    let (token, _) = world.register("ani@example.com").await;
    let topup = world.post("/billing/topup", &token, json!({"amount": 70_000})).await;
    let (topup_id, order) = (&topup.data()["transactionId"], &topup.data()["orderId"]);
    world.settle(topup_id.as_str().expect("an id"), order.as_str().expect("an order"), 70_000).await;
    let bought = world.post("/subscriptions", &token, json!({"serviceId": PAID})).await;
    let id = bought.data()["id"].as_str().expect("an id").to_owned();
    world.settle_reactions().await;
    let url = "https://toko.n8n.example".to_owned();
    world.command(&id, AnyCommand::Subscription(SubscriptionCommand::Activate { external_url: url }), "ready").await;
    world.settle_reactions().await;

    let path = format!("/subscriptions/{id}");
    let detail = world.get(&path, &token).await;
    assert_eq!(detail.status, 200);
    assert_shape("GET /api/v1/subscriptions/:id", "ok", &detail.body);
    assert_eq!((&detail.data()["status"], &detail.data()["invoice"]["status"]), (&json!("ACTIVE"), &json!("PAID")));
    let before = detail.data()["expiresAt"].clone();

    let renew = format!("{path}/renew");
    let renewed = world.call("PUT", &renew, Some(&token), None).await;
    assert_eq!(renewed.status, 200, "{:#}", renewed.body);
    assert!(renewed.data()["expiresAt"].as_str() > before.as_str());
    for _ in 0..2 {
        let poor = request("PUT", &renew, Some(&token), None).insert_header(("idempotency-key", "renew-1"));
        let poor = world.send(poor).await;
        assert_eq!((poor.status.as_u16(), &poor.body["code"]["reasons"]), (402, &json!(["Insufficient balance"])));
    }
    assert_eq!(world.count("SubscriptionRenewalFailed").await, 1);

    let stale = request("DELETE", &path, Some(&token), None).insert_header(("if-match", "\"1\""));
    assert_eq!(world.send(stale).await.status, 412);
    let reason = json!({"reason": "done with it"});
    let version: i64 = sqlx::query_scalar("SELECT max(sequence) FROM log.events WHERE aggregate_id = $1")
        .bind(&id)
        .fetch_one(world.store.pool())
        .await
        .expect("reads");
    let current =
        request("DELETE", &path, Some(&token), Some(&reason)).insert_header(("if-match", format!("\"{version}\"")));
    let cancelled = world.send(current).await;
    assert_eq!(cancelled.header("etag"), Some(format!("\"{}\"", version + 1).as_str()));
    assert_eq!((cancelled.status.as_u16(), &cancelled.data()["status"]), (200, &json!("CANCELLED")));
    let again = world.call("DELETE", &path, Some(&token), None).await;
    assert_eq!(again.status, 200);
    assert_eq!(world.count("SubscriptionCancelled").await, 1);
    assert_eq!(world.call("PUT", &renew, Some(&token), None).await.status, 409);
}

#[actix_web::test]
async fn who_joins_a_renewal_under_way_is_told_how_it_ends() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", 35_000, 3).await;
    let (token, _) = world.register("ani@example.com").await;
    world.top_up(&token, 70_000).await;
    let bought = world.post("/subscriptions", &token, json!({"serviceId": PAID})).await;
    let id = bought.data()["id"].as_str().expect("an id").to_owned();
    world.settle_reactions().await;
    let url = "https://toko.n8n.example".to_owned();
    world.command(&id, AnyCommand::Subscription(SubscriptionCommand::Activate { external_url: url }), "ready").await;
    let path = format!("/subscriptions/{id}");
    let before = world.get(&path, &token).await.data()["expiresAt"].clone();
    let renew = format!("{path}/renew");

    // Somebody asked and got no further than the request: the money is there first, then it is not.
    let asked = || AnyCommand::Subscription(SubscriptionCommand::StartRenewal);
    world.command_alone(&id, asked(), "first").await;
    let joined = world.call("PUT", &renew, Some(&token), None).await;
    assert_eq!(joined.status, 200, "{:#}", joined.body);
    assert!(joined.data()["expiresAt"].as_str() > before.as_str(), "renewed means paid");
    assert_eq!((world.count("SubscriptionRenewalStarted").await, world.count("SubscriptionRenewed").await), (1, 1));

    world.command_alone(&id, asked(), "second").await;
    for _ in 0..2 {
        let poor = request("PUT", &renew, Some(&token), None).insert_header(("idempotency-key", "joins"));
        let poor = world.send(poor).await;
        assert_eq!((poor.status.as_u16(), &poor.body["code"]["reasons"]), (402, &json!(["Insufficient balance"])));
    }
    assert_eq!((world.count("SubscriptionRenewalFailed").await, world.count("SubscriptionRenewed").await), (1, 1));
}

#[actix_web::test]
async fn a_write_answers_its_own_outcome_when_the_read_models_are_late() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", 35_000, 3).await;
    let (token, _) = world.register("ani@example.com").await;
    world.top_up(&token, 70_000).await;
    let bought = world.post("/subscriptions", &token, json!({"serviceId": PAID})).await;
    let id = bought.data()["id"].as_str().expect("an id").to_owned();
    world.settle_reactions().await;
    let url = "https://toko.n8n.example".to_owned();
    world.command(&id, AnyCommand::Subscription(SubscriptionCommand::Activate { external_url: url }), "ready").await;
    let path = format!("/subscriptions/{id}");
    let before = world.get(&path, &token).await;
    let fields = |answer: &crate::world::Answered| {
        ["status", "startDate", "expiresAt", "updatedAt"].map(|name| answer.data()[name].clone())
    };

    world.stick(true);
    world.clock.advance(std::time::Duration::from_secs(5));
    let renewed = world.call("PUT", &format!("{path}/renew"), Some(&token), None).await;
    assert_eq!((renewed.status.as_u16(), renewed.header("preference-applied")), (200, None), "{:#}", renewed.body);
    assert!(renewed.data()["expiresAt"].as_str() > before.data()["expiresAt"].as_str(), "the next period is paid");
    assert_eq!(fields(&world.get(&path, &token).await), fields(&before), "the read model does not know");
    world.stick(false);
    world.read.catch_up().await;
    assert_eq!(fields(&renewed), fields(&world.get(&path, &token).await), "what was told is what is shown later");

    world.stick(true);
    world.clock.advance(std::time::Duration::from_secs(5));
    let cancelled = world.call("DELETE", &path, Some(&token), None).await;
    assert_eq!((cancelled.status.as_u16(), &cancelled.data()["status"]), (200, &json!("CANCELLED")));
    world.stick(false);
    world.read.catch_up().await;
    assert_eq!(fields(&cancelled), fields(&world.get(&path, &token).await));
}

#[actix_web::test]
async fn other_peoples_subscriptions_do_not_exist() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(FREE, "free", 0, -1).await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    let bought = world.post("/subscriptions", &ani, json!({"serviceId": FREE})).await;
    let path = format!("/subscriptions/{}", bought.data()["id"].as_str().expect("an id"));
    for (method, path) in [("GET", path.clone()), ("DELETE", path.clone()), ("PUT", format!("{path}/renew"))] {
        let answer = world.call(method, &path, Some(&budi), None).await;
        assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (404, Some("NOT_FOUND_ERROR")), "{method}");
    }
    for bad in ["status=LOST", "page=0", "limit=1000", "sortBy=price", "sortOrder=up"] {
        let answer = world.get(&format!("/subscriptions?{bad}"), &ani).await;
        assert_eq!((answer.status.as_u16(), answer.fields().len()), (400, 1), "{bad}");
    }
}
