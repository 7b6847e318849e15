//! Everybody's money in the hands of administrators.

use std::time::Duration;

use minispod_domain::{AnyCommand, SubscriptionCommand, UserCommand};
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    market::{BASIC, NOBODY, assert_keys, column, faults},
    shapes::{assert_part, assert_shape},
    world::open,
};

const DAY: Duration = Duration::from_hours(24);
const PATHS: [&str; 6] = [
    "/admin/billing/transactions",
    "/admin/billing/transactions/c000000000000000000000000",
    "/admin/billing/statistics",
    "/admin/billing/users",
    "/admin/billing/users/c000000000000000000000000",
    "/admin/billing/health",
];

#[actix_web::test]
async fn nobody_but_an_administrator_gets_in() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, _) = world.register("ani@example.com").await;
    for path in PATHS {
        let no = world.get(path, &ani).await;
        assert_eq!((no.status.as_u16(), &no.body["code"]), (403, &json!("FORBIDDEN_ERROR")), "{path}");
        assert_eq!(world.call("GET", path, None, None).await.status, 401, "{path}");
    }
}

#[actix_web::test]
async fn an_administrator_sees_everybodys_history_and_each_line_whose_it_is_w65_w68() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, ani_id) = world.register("ani@example.com").await;
    let (_, budi_id) = world.register("budi@example.com").await;
    world.top_up(&ani, 50_000).await;
    world.settle_reactions().await;
    world.clock.advance(Duration::from_mins(1));
    world.subscribe(&ani, BASIC).await;
    world.clock.advance(DAY);
    let budi = world.sign_in("budi@example.com").await.access;
    world.post("/billing/topup", &budi, json!({"amount": 20_000})).await;
    let (admin, _) = world.administrator("admin@example.com").await;

    let all = world.get("/admin/billing/transactions", &admin).await;
    assert_shape("GET /api/v1/admin/billing/transactions", "ok", &all.body);
    assert_eq!(column(&all, "transactions", "amount"), ["20000", "31000", "50000"], "newest first");
    let bought = &all.data()["transactions"][1];
    assert_part("GET /api/v1/admin/billing/transactions", "ok", "/data/transactions/0", bought);
    assert_eq!(bought["user"], json!({"id": ani_id, "name": "Ani Wijaya", "email": "ani@example.com"}));
    let refundable: Vec<_> = all.data()["transactions"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| &line["actions"]["canRefund"])
        .collect();
    assert_eq!(refundable, [&json!(false), &json!(false), &json!(true)], "what the refund desk takes");

    for (query, amounts) in [
        ("type=TOPUP".to_owned(), vec!["20000", "50000"]),
        ("type=SERVICE_PURCHASE".to_owned(), vec!["31000"]),
        ("status=PENDING".to_owned(), vec!["20000"]),
        (format!("userId={ani_id}"), vec!["31000", "50000"]),
        (format!("userId={budi_id}&type=SERVICE_PURCHASE"), vec![]),
        (format!("userId={NOBODY}"), vec![]),
        ("startDate=2027-01-16&endDate=2027-01-16".to_owned(), vec!["20000"]),
        ("endDate=2027-01-15".to_owned(), vec!["31000", "50000"]),
        ("page=2&limit=2".to_owned(), vec!["50000"]),
    ] {
        let list = world.get(&format!("/admin/billing/transactions?{query}"), &admin).await;
        assert_eq!(column(&list, "transactions", "amount"), amounts, "{query}");
    }
    let bad =
        world.get("/admin/billing/transactions?limit=101&userId=%27&type=GIFT&status=LOST&startDate=x", &admin).await;
    assert_eq!(faults(&bad), (400, vec!["limit", "userId", "type", "status", "startDate"]));

    let id = bought["id"].as_str().expect("an id");
    let one = world.get(&format!("/admin/billing/transactions/{id}"), &admin).await;
    assert_eq!(one.data(), bought);
    for (id, status) in [(NOBODY, 404), ("short", 400)] {
        assert_eq!(world.get(&format!("/admin/billing/transactions/{id}"), &admin).await.status, status);
    }
}

#[actix_web::test]
async fn each_kind_of_money_has_its_own_sum_w31() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, budi_id) = world.register("budi@example.com").await;
    let nothing = json!({"total": "0", "topUps": "0", "servicePurchases": "0", "refunds": "0", "adjustments": "0"});
    world.top_up(&ani, 50_000).await;
    world.top_up(&budi, 40_000).await;
    world.post("/billing/topup", &budi, json!({"amount": 20_000})).await;
    let kept = world.subscribe(&ani, BASIC).await;
    world.activate(&kept).await;
    let failing = world.subscribe(&budi, BASIC).await;
    let failed = SubscriptionCommand::FailProvisioning { detail: "no node".to_owned() };
    world.command(&failing, AnyCommand::Subscription(failed), "failed").await;
    world.settle_reactions().await;
    let off = UserCommand::Deactivate { reason: "test".to_owned() };
    world.command(&budi_id, AnyCommand::User(off), "off").await;
    let (admin, _) = world.administrator("admin@example.com").await;

    let statistics = world.get("/admin/billing/statistics", &admin).await;
    assert_keys(statistics.data(), &["period", "transactions", "revenue", "users"]);
    assert_eq!(
        statistics.data()["revenue"],
        json!({"total": "31000", "topUps": "90000", "servicePurchases": "62000", "refunds": "31000",
               "adjustments": "0"}),
        "what was paid in is not earned, and what was given back is not either"
    );
    assert_eq!(
        statistics.data()["transactions"],
        json!({"total": 6, "topUps": 3, "servicePurchases": 2, "pending": 1, "successful": 5, "failed": 0})
    );
    assert_eq!(statistics.data()["users"], json!({"total": 3, "active": 2}));
    assert_eq!(statistics.data()["period"], json!({"startDate": null, "endDate": null}));
    let tomorrow = world.get("/admin/billing/statistics?startDate=2027-01-16", &admin).await;
    assert_eq!(tomorrow.data()["revenue"], nothing, "texts also when there is nothing");
    assert_eq!(tomorrow.data()["period"], json!({"startDate": "2027-01-15T17:00:00.000Z", "endDate": null}));
    let bad = world.get("/admin/billing/statistics?startDate=2027-01-16&endDate=2027-01-15", &admin).await;
    assert_eq!(faults(&bad), (400, vec!["endDate"]));
}

#[actix_web::test]
async fn accounts_are_shown_with_their_books_w70_w71() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, ani_id) = world.register("ani@example.com").await;
    world.top_up(&ani, 100_000).await;
    world.settle_reactions().await;
    let id = world.subscribe(&ani, BASIC).await;
    world.activate(&id).await;
    for _ in 0..5 {
        world.clock.advance(Duration::from_secs(61));
        world.post("/billing/topup", &ani, json!({"amount": 10_000})).await;
    }
    world.clock.advance(Duration::from_secs(61));
    let (admin, _) = world.administrator("admin@example.com").await;

    let list = world.get("/admin/billing/users", &admin).await;
    assert_eq!(column(&list, "users", "email"), ["admin@example.com", "ani@example.com"]);
    assert_eq!(list.data()["pagination"], json!({"page": 1, "limit": 20, "total": 2, "totalPages": 1}));
    let row = &list.data()["users"][1];
    assert_keys(
        row,
        &["id", "name", "email", "role", "isActive", "createdAt", "balance", "statistics", "recentTransactions"],
    );
    assert_eq!((&row["balance"]["current"], &row["balance"]["currency"]), (&json!("69000"), &json!("IDR")));
    assert_eq!(row["statistics"], json!({"totalTransactions": 7, "totalSubscriptions": 1}));
    let recent = row["recentTransactions"].as_array().expect("lines");
    assert_eq!(recent.len(), 5, "bounded");
    assert_keys(&recent[0], &["id", "type", "amount", "status", "createdAt"]);
    let dates: Vec<_> = recent.iter().map(|line| line["createdAt"].as_str().expect("a date")).collect();
    assert!(dates.is_sorted_by(|one, next| one > next), "newest first: {dates:?}");
    assert_eq!(list.data()["users"][0]["balance"]["current"], "0", "a text also when there is nothing");
    assert_eq!(list.data()["users"][0]["recentTransactions"], Value::Array(Vec::new()));
    let found = world.get("/admin/billing/users?search=ANI%40&limit=1", &admin).await;
    assert_eq!(column(&found, "users", "email"), ["ani@example.com"]);
    let bad = world.get(&format!("/admin/billing/users?search={}&limit=0", "x".repeat(101)), &admin).await;
    assert_eq!(faults(&bad), (400, vec!["limit", "search"]));

    let one = world.get(&format!("/admin/billing/users/{ani_id}"), &admin).await;
    assert_keys(one.data(), &["user", "balance", "pendingTopUps", "recentTransactions", "summary"]);
    assert_eq!(one.data()["user"]["email"], "ani@example.com");
    assert_eq!(
        (&one.data()["pendingTopUps"]["count"], &one.data()["pendingTopUps"]["totalAmount"]),
        (&json!(5), &json!(50_000))
    );
    assert_eq!(one.data()["recentTransactions"].as_array().map(Vec::len), Some(7));
    assert_eq!(
        one.data()["summary"],
        json!({"availableBalance": "69000", "pendingAmount": 50_000, "totalTransactions": 7})
    );
    let events = world.log_length().await;
    for id in [NOBODY, "A'B"] {
        let none = world.get(&format!("/admin/billing/users/{id}"), &admin).await;
        assert_eq!((none.status.as_u16(), &none.body["code"]), (404, &json!("USER_NOT_FOUND")));
    }
    assert_eq!(world.log_length().await, events);
}

#[actix_web::test]
async fn billing_tells_the_administrator_that_it_answers() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, id) = world.administrator("admin@example.com").await;
    let health = world.get("/admin/billing/health", &admin).await;
    assert_keys(&health.body, &["success", "message", "timestamp", "version", "adminUser"]);
    assert_eq!(health.body["adminUser"], json!({"id": id, "email": "admin@example.com", "role": "ADMINISTRATOR"}));
}
