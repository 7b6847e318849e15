//! A customer's subscriptions as he reads them: lists, numbers, eligibility.

use minispod_domain::{AnyCommand, PlanCommand, SubscriptionCommand};
use minispod_kernel::Rupiah;
use minispod_testkit::require;
use serde_json::json;

use crate::{
    catalogue::form,
    market::{BASIC, FREE, NOBODY, PRO, assert_keys, column, faults},
    shapes::assert_shape,
    world::open,
};

const MINUTE: std::time::Duration = std::time::Duration::from_mins(1);

#[actix_web::test]
async fn the_list_is_filtered_sorted_and_paged_and_only_ones_own_w67() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let gitea = world.post("/services", &admin, form("gitea", "basic")).await;
    let gitea = gitea.data()["id"].as_str().expect("an id").to_owned();
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    world.top_up(&ani, 100_000).await;
    let first = world.subscribe(&ani, BASIC).await;
    world.activate(&first).await;
    world.clock.advance(MINUTE);
    let second = world.subscribe(&ani, &gitea).await;
    let foreign = world.subscribe(&budi, FREE).await;

    let ids = |query: &str| {
        let (world, ani, path) = (&world, &ani, format!("/subscriptions{query}"));
        async move {
            let list = world.get(&path, ani).await;
            assert_shape("GET /api/v1/subscriptions", "ok", &list.body);
            column(&list, "subscriptions", "id").into_iter().map(str::to_owned).collect::<Vec<_>>()
        }
    };
    let one = |id: &String| vec![id.clone()];
    let (newest, oldest) = (vec![second.clone(), first.clone()], vec![first.clone(), second.clone()]);
    assert_eq!(ids("").await, newest);
    assert_eq!(ids("?sortBy=createdAt&sortOrder=asc").await, oldest);
    assert_eq!(ids("?sortBy=status&sortOrder=asc").await, oldest, "ACTIVE before PENDING_DEPLOYMENT");
    assert_eq!(ids("?status=ACTIVE").await, one(&first));
    assert_eq!(ids("?status=PENDING_DEPLOYMENT").await, one(&second));
    assert_eq!(ids(&format!("?serviceId={gitea}")).await, one(&second));
    assert_eq!(ids(&format!("?serviceId={FREE}")).await, Vec::<String>::new(), "somebody else's");
    assert_eq!(ids("?limit=1&page=2").await, one(&first));
    let page = world.get("/subscriptions?limit=1&page=2", &ani).await;
    assert_eq!(page.data()["pagination"], json!({"page": 2, "limit": 1, "total": 2, "totalPages": 2}));

    let bad =
        world.get("/subscriptions?page=0&limit=101&status=LOST&serviceId=%27&sortBy=name&sortOrder=up", &ani).await;
    let (status, mut fields) = faults(&bad);
    fields.sort_unstable();
    assert_eq!((status, fields), (400, vec!["limit", "page", "serviceId", "sortBy", "sortOrder", "status"]));
    assert_eq!(bad.body["code"], "VALIDATION_ERROR");

    let detail = world.get(&format!("/subscriptions/{first}"), &ani).await;
    assert_shape("GET /api/v1/subscriptions/:id", "ok", &detail.body);
    assert_eq!(detail.data()["transactions"][0]["amount"], "31000");
    assert_eq!(detail.data()["invoice"]["amount"], "31000");
    assert_eq!(world.get(&format!("/subscriptions/{foreign}"), &ani).await.status, 404);
}

#[actix_web::test]
async fn the_numbers_are_what_was_paid_and_not_list_prices_w31() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    let empty = json!({"active": 0, "expired": 0, "cancelled": 0, "pendingDeployment": 0, "suspended": 0, "total": 0,
                       "totalRevenue": 0});
    assert_eq!(world.get("/subscriptions/stats", &ani).await.data(), &empty);
    world.top_up(&ani, 200_000).await;
    let id = world.subscribe(&ani, BASIC).await;
    world.activate(&id).await;
    let dearer = PlanCommand::ChangePrice { monthly_price: Rupiah::new(99_000) };
    world.command(BASIC, AnyCommand::Plan(dearer), "dearer").await;
    let stats = world.get("/subscriptions/stats", &ani).await;
    assert_eq!((&stats.data()["active"], &stats.data()["totalRevenue"]), (&json!(1), &json!(31_000)));
    let renewed = world.call("PUT", &format!("/subscriptions/{id}/renew"), Some(&ani), None).await;
    assert_eq!(renewed.status, 200, "{:#}", renewed.body);
    assert_eq!(world.get("/subscriptions/stats", &ani).await.data()["totalRevenue"], 62_000, "the renewal is paid too");

    world.call("DELETE", &format!("/subscriptions/{id}"), Some(&ani), None).await;
    let other = world.subscribe(&ani, PRO).await;
    let failed = SubscriptionCommand::FailProvisioning { detail: "no node".to_owned() };
    world.command(&other, AnyCommand::Subscription(failed), "failed").await;
    world.settle_reactions().await;
    let stats = world.get("/subscriptions/stats", &ani).await;
    assert_eq!((&stats.data()["cancelled"], &stats.data()["total"]), (&json!(2), &json!(2)), "{:#}", stats.body);
    assert_eq!(stats.data()["totalRevenue"], 62_000, "what was given back is not counted");
    assert_eq!(world.get("/subscriptions/stats", &budi).await.data(), &empty);
}

#[actix_web::test]
async fn eligibility_names_every_reason_and_buys_nothing_w65() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(BASIC, "basic", 31_000, 1).await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    let path = format!("/subscriptions/eligibility/{BASIC}");
    let poor = world.get(&path, &ani).await;
    assert_keys(poor.data(), &["eligible", "service", "balance", "quota", "existingSubscription", "reasons"]);
    assert_eq!((poor.status.as_u16(), &poor.data()["eligible"]), (200, &json!(false)));
    assert_eq!(poor.data()["reasons"], json!(["Insufficient balance"]));
    assert_eq!(poor.data()["balance"], json!({"current": "0", "required": 31_000, "sufficient": false}));
    assert_eq!(
        poor.data()["service"],
        json!({"id": BASIC, "displayName": "N8N - Basic", "monthlyPrice": "31000", "availableQuota": 1})
    );

    world.top_up(&ani, 31_000).await;
    let events = world.log_length().await;
    let rich = world.get(&path, &ani).await;
    assert_eq!((&rich.data()["eligible"], &rich.data()["reasons"]), (&json!(true), &json!([])));
    assert_eq!(rich.data()["quota"], json!({"available": 1, "sufficient": true}));
    assert_eq!(rich.data()["balance"]["current"], "31000");
    assert_eq!(world.log_length().await, events, "looking writes nothing");

    world.subscribe(&ani, BASIC).await;
    let again = world.get(&path, &ani).await;
    let all = json!(["Insufficient balance", "Already subscribed to this service", "Service quota exhausted"]);
    assert_eq!((&again.data()["reasons"], &again.data()["existingSubscription"]), (&all, &json!(true)));
    assert_eq!(again.data()["quota"], json!({"available": 0, "sufficient": false}));
    assert_eq!(world.get(&path, &budi).await.data()["existingSubscription"], false);

    world.command(BASIC, AnyCommand::Plan(PlanCommand::Retire), "retired").await;
    for id in [BASIC, NOBODY, "A'B"] {
        let none = world.get(&format!("/subscriptions/eligibility/{id}"), &budi).await;
        assert_eq!((none.status.as_u16(), &none.body["code"]), (404, &json!("NOT_FOUND_ERROR")), "{id}");
    }
}
