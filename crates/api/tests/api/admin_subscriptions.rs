//! Everybody's subscriptions in the hands of administrators.

use std::time::Duration;

use minispod_domain::{AnyCommand, PlanCommand};
use minispod_kernel::Rupiah;
use minispod_testkit::require;
use serde_json::json;

use crate::{
    catalogue::form,
    market::{BASIC, FREE, NOBODY, PRO, assert_keys, column, faults},
    shapes::assert_shape,
    world::open,
};

const DAY: Duration = Duration::from_hours(24);

#[actix_web::test]
async fn nobody_but_an_administrator_gets_in() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, ani_id) = world.register("ani@example.com").await;
    for path in [String::new(), "/stats".to_owned(), format!("/user/{ani_id}"), format!("/{NOBODY}")] {
        let path = format!("/admin/subscriptions{path}");
        assert_eq!(world.get(&path, &ani).await.status, 403, "{path}");
        assert_eq!(world.call("GET", &path, None, None).await.status, 401, "{path}");
    }
}

#[actix_web::test]
async fn an_administrator_sees_everybodys_subscriptions_and_finds_one_w65_w67() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, ani_id) = world.register("ani@example.com").await;
    let (budi, budi_id) = world.register("budi@shop.example").await;
    world.top_up(&ani, 100_000).await;
    let first = world.subscribe(&ani, BASIC).await;
    world.activate(&first).await;
    world.clock.advance(Duration::from_mins(1));
    let second = world.subscribe(&budi, FREE).await;
    let (admin, _) = world.administrator("admin@example.com").await;

    let list = world.get("/admin/subscriptions", &admin).await;
    assert_shape("GET /api/v1/admin/subscriptions", "ok", &list.body);
    assert_eq!(column(&list, "subscriptions", "id"), [second.as_str(), &first], "newest first");
    let row = &list.data()["subscriptions"][1];
    assert_eq!(row["user"], json!({"id": ani_id, "name": "Ani Wijaya", "email": "ani@example.com", "role": "USER"}));
    assert_eq!(row["service"]["monthlyPrice"], "31000");
    let tail = &budi_id[budi_id.len() - 8..];
    let (both, ani_only, budi_only) = (vec![&first, &second], vec![&first], vec![&second]);
    for (query, found) in [
        ("sortBy=createdAt&sortOrder=asc".to_owned(), both.clone()),
        ("sortBy=status&sortOrder=asc".to_owned(), both),
        ("status=ACTIVE".to_owned(), ani_only.clone()),
        ("status=SUSPENDED".to_owned(), vec![]),
        (format!("userId={budi_id}"), budi_only.clone()),
        (format!("serviceId={BASIC}"), ani_only.clone()),
        ("search=SHOP.example".to_owned(), budi_only.clone()),
        (format!("search=n8n-{tail}"), budi_only),
        ("search=100%25".to_owned(), vec![]),
        ("limit=1&page=2".to_owned(), ani_only),
    ] {
        let list = world.get(&format!("/admin/subscriptions?{query}"), &admin).await;
        assert_eq!(column(&list, "subscriptions", "id"), found, "{query}");
    }
    let bad = "limit=101&sortBy=price&sortOrder=up&userId=%27&search=x&status=LOST&serviceId=%27";
    let bad = world.get(&format!("/admin/subscriptions?{bad}"), &admin).await;
    let all = vec!["limit", "sortBy", "sortOrder", "userId", "search", "status", "serviceId"];
    assert_eq!(faults(&bad), (400, all));

    let of_ani = world.get(&format!("/admin/subscriptions/user/{ani_id}?limit=1"), &admin).await;
    assert_keys(of_ani.data(), &["user", "subscriptions", "pagination"]);
    assert_eq!(of_ani.data()["user"], row["user"]);
    assert_eq!(column(&of_ani, "subscriptions", "id"), [first.as_str()]);
    assert_eq!(of_ani.data()["pagination"], json!({"page": 1, "limit": 1, "total": 1, "totalPages": 1}));
    let none = world.get(&format!("/admin/subscriptions/user/{NOBODY}"), &admin).await;
    assert_eq!((none.status.as_u16(), &none.body["code"]), (404, &json!("USER_NOT_FOUND")));

    let detail = world.get(&format!("/admin/subscriptions/{first}"), &admin).await;
    assert_shape("GET /api/v1/admin/subscriptions/:id", "ok", &detail.body);
    assert_eq!(
        (&detail.data()["user"]["role"], &detail.data()["invoice"]["amount"]),
        (&json!("USER"), &json!("31000"))
    );
    assert_eq!(detail.data()["transactions"].as_array().map(Vec::len), Some(1));
    for id in [NOBODY, "A'B"] {
        assert_eq!(world.get(&format!("/admin/subscriptions/{id}"), &admin).await.status, 404);
    }
}

#[actix_web::test]
async fn the_fleet_in_numbers_counts_states_days_and_payments_w31() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, _) = world.register("ani@example.com").await;
    world.register("budi@example.com").await;
    world.top_up(&ani, 100_000).await;
    let old = world.subscribe(&ani, BASIC).await;
    world.activate(&old).await;
    world.clock.advance(DAY * 20);
    let ani = world.sign_in("ani@example.com").await.access;
    let budi = world.sign_in("budi@example.com").await.access;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.top_up(&budi, 62_000).await;
    world.subscribe(&budi, PRO).await;
    let gitea = world.post("/services", &admin, form("gitea", "basic")).await;
    let gitea = gitea.data()["id"].as_str().expect("an id").to_owned();
    let third = world.subscribe(&ani, &gitea).await;
    world.activate(&third).await;
    let ended = world.call("DELETE", &format!("/subscriptions/{third}"), Some(&ani), None).await;
    assert_eq!(ended.status, 200, "{:#}", ended.body);
    let dearer = PlanCommand::ChangePrice { monthly_price: Rupiah::new(999_000) };
    world.command(PRO, AnyCommand::Plan(dearer), "dearer").await;

    let stats = world.get("/admin/subscriptions/stats", &admin).await;
    assert_keys(stats.data(), &["overview", "recent", "revenue", "topServices"]);
    assert_eq!(
        stats.data()["overview"],
        json!({"active": 1, "expired": 0, "cancelled": 1, "pendingDeployment": 1, "suspended": 0, "total": 3})
    );
    assert_eq!(stats.data()["recent"], json!({"last7Days": 2}), "not the one of twenty days ago");
    assert_eq!(stats.data()["revenue"], json!({"monthly": 97_000}), "paid in February: 62 000 and 35 000");
    let top = stats.data()["topServices"].as_array().expect("services");
    assert_eq!(top.len(), 3);
    assert!(top.iter().all(|service| service["count"] == 1));
    assert_keys(&top[0], &["serviceId", "serviceName", "displayName", "count"]);
}
