//! A customer's money as he reads it: lists with their filters, the dashboard.

use std::time::Duration;

use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    market::{BASIC, assert_keys, column, faults},
    shapes::assert_shape,
    world::open,
};

const DAY: Duration = Duration::from_hours(24);
/// The day on which the tests' clock begins.
const FIRST: &str = "2027-01-15";
const SECOND: &str = "2027-01-16";

fn id_of(answer: &crate::world::Answered) -> String {
    answer.data()["transactionId"].as_str().expect("an id").to_owned()
}

#[actix_web::test]
async fn top_ups_are_listed_by_their_status_and_only_ones_own() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, ani_id) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    world.top_up(&ani, 50_000).await;
    world.settle_reactions().await;
    world.clock.advance(Duration::from_mins(1));
    let pending = id_of(&world.post("/billing/topup", &ani, json!({"amount": 20_000})).await);
    world.post("/billing/topup", &budi, json!({"amount": 70_000})).await;
    world.read.catch_up().await;

    let all = world.get("/billing/topup", &ani).await;
    assert_eq!(column(&all, "transactions", "amount"), ["20000", "50000"], "newest first");
    assert_eq!(all.data()["pagination"], json!({"page": 1, "limit": 20, "total": 2, "totalPages": 1}));
    let row = &all.data()["transactions"][0];
    assert_keys(
        row,
        &[
            "id",
            "userId",
            "amount",
            "currency",
            "status",
            "orderId",
            "snapToken",
            "paymentType",
            "transactionId",
            "paidAt",
            "expiredAt",
            "midtransData",
            "createdAt",
            "updatedAt",
            "invoice",
        ],
    );
    assert_eq!((&row["id"], &row["userId"], &row["invoice"]), (&json!(pending), &json!(ani_id), &Value::Null));
    let paid = world.get("/billing/topup?status=PAID", &ani).await;
    assert_eq!(column(&paid, "transactions", "amount"), ["50000"]);
    assert_eq!(paid.data()["transactions"][0]["invoice"]["status"], "PAID");
    assert_eq!(column(&world.get("/billing/topup?status=EXPIRED", &ani).await, "transactions", "id"), [""; 0]);
    let second = world.get("/billing/topup?page=2&limit=1", &ani).await;
    assert_eq!(column(&second, "transactions", "amount"), ["50000"]);
    let bad = world.get("/billing/topup?status=SUCCESS&limit=0", &ani).await;
    assert_eq!(faults(&bad), (400, vec!["limit", "status"]));
    assert_eq!(world.call("GET", "/billing/topup", None, None).await.status, 401);
}

#[actix_web::test]
async fn history_and_invoices_are_narrowed_by_kind_standing_and_days_w68() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, _) = world.register("ani@example.com").await;
    world.top_up(&ani, 50_000).await;
    world.settle_reactions().await;
    world.clock.advance(DAY);
    let ani = world.sign_in("ani@example.com").await.access;
    world.subscribe(&ani, BASIC).await;
    world.post("/billing/topup", &ani, json!({"amount": 20_000})).await;
    world.read.catch_up().await;

    for (query, history, invoices) in [
        (String::new(), 3, Some(2)),
        ("type=TOPUP".to_owned(), 2, Some(1)),
        ("type=TOPUP&status=PENDING".to_owned(), 1, None),
        ("status=PAID".to_owned(), 0, Some(2)),
        (format!("startDate={FIRST}&endDate={FIRST}"), 1, Some(1)),
        (format!("startDate={SECOND}"), 2, Some(1)),
        (format!("endDate={FIRST}"), 1, Some(1)),
        (format!("startDate={FIRST}&endDate={SECOND}&type=TOPUP"), 2, Some(1)),
        ("startDate=2027-01-17&endDate=2027-01-18".to_owned(), 0, Some(0)),
    ] {
        if query != "status=PAID" {
            let lines = world.get(&format!("/billing/transactions?{query}"), &ani).await;
            assert_eq!(lines.data()["pagination"]["total"], history, "history {query}: {:#}", lines.body);
            assert_eq!(lines.data()["transactions"].as_array().map(Vec::len), Some(history), "history {query}");
        }
        if let Some(expected) = invoices {
            let papers = world.get(&format!("/billing/invoices?{query}"), &ani).await;
            assert_eq!(papers.data()["pagination"]["total"], expected, "invoices {query}: {:#}", papers.body);
        }
    }
    let bought = world.get("/billing/transactions?type=SERVICE_PURCHASE", &ani).await;
    assert_shape("GET /api/v1/billing/transactions", "ok", &bought.body);
    assert_eq!(column(&bought, "transactions", "amount"), ["31000"]);

    let bad = "type=GIFT&status=LOST&startDate=yesterday&endDate=2027-02-31";
    for path in ["/billing/transactions", "/billing/invoices"] {
        let (status, mut fields) = {
            let answer = world.get(&format!("{path}?{bad}"), &ani).await;
            (answer.status.as_u16(), answer.fields().into_iter().map(str::to_owned).collect::<Vec<_>>())
        };
        fields.sort_unstable();
        assert_eq!((status, fields), (400, ["endDate", "startDate", "status", "type"].map(str::to_owned).to_vec()));
        let backwards = world.get(&format!("{path}?startDate={SECOND}&endDate={FIRST}"), &ani).await;
        assert_eq!(faults(&backwards), (400, vec!["endDate"]), "{path}");
    }
}

#[actix_web::test]
async fn the_overview_is_the_wallet_what_is_pending_and_the_last_lines_w69() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    world.top_up(&ani, 50_000).await;
    world.settle_reactions().await;
    world.subscribe(&ani, BASIC).await;
    world.clock.advance(Duration::from_mins(1));
    for amount in [20_000, 30_000] {
        world.post("/billing/topup", &ani, json!({ "amount": amount })).await;
    }
    world.read.catch_up().await;
    let events = world.log_length().await;
    let overview = world.get("/billing/dashboard/overview", &ani).await;
    assert_keys(overview.data(), &["balance", "pendingTopUps", "recentTransactions", "summary"]);
    assert_keys(&overview.data()["balance"], &["current", "currency", "lastUpdated"]);
    assert_eq!(
        (&overview.data()["balance"]["current"], &overview.data()["balance"]["currency"]),
        (&json!("19000"), &json!("IDR"))
    );
    let pending = &overview.data()["pendingTopUps"];
    assert_eq!((&pending["count"], &pending["totalAmount"]), (&json!(2), &json!(50_000)));
    assert_eq!(pending["transactions"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        overview.data()["summary"],
        json!({"availableBalance": "19000", "pendingAmount": 50_000, "totalTransactions": 4})
    );
    let recent = overview.data()["recentTransactions"].as_array().expect("lines");
    assert_eq!(recent.len(), 4);
    let history = world.get("/billing/transactions", &ani).await;
    assert_eq!(&overview.data()["recentTransactions"], &history.data()["transactions"], "the same lines, newest first");

    let nothing = world.get("/billing/dashboard/overview", &budi).await;
    assert_eq!(nothing.data()["summary"], json!({"availableBalance": "0", "pendingAmount": 0, "totalTransactions": 0}));
    assert_eq!(world.log_length().await, events, "looking writes nothing");
}

#[actix_web::test]
async fn analytics_count_the_whole_stretch_and_know_money_from_attempts_w71() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    world.top_up(&budi, 90_000).await;
    world.top_up(&ani, 50_000).await;
    world.top_up(&ani, 25_001).await;
    world.post("/billing/topup", &ani, json!({"amount": 20_000})).await;
    world.subscribe(&ani, BASIC).await;
    world.settle_reactions().await;
    let analytics = world.get("/billing/dashboard/analytics", &ani).await;
    assert_keys(analytics.data(), &["period", "analytics", "transactionBreakdown"]);
    assert_eq!(analytics.data()["period"], json!({"startDate": null, "endDate": null}));
    assert_eq!(
        analytics.data()["analytics"],
        json!({"totalTopUps": 75_001, "totalSpending": 31_000, "transactionCount": 4, "averageTopUp": 37_501,
               "averageSpending": 31_000})
    );
    assert_eq!(
        analytics.data()["transactionBreakdown"],
        json!({"topUps": 3, "servicePurchases": 1, "pending": 1, "failed": 0})
    );

    let later = world.get(&format!("/billing/dashboard/analytics?startDate={SECOND}&endDate={SECOND}"), &ani).await;
    assert_eq!(later.data()["analytics"]["transactionCount"], 0);
    assert_eq!(later.data()["analytics"]["averageTopUp"], 0, "nothing divided by nothing");
    assert_eq!(
        later.data()["period"],
        json!({"startDate": "2027-01-15T17:00:00.000Z", "endDate": "2027-01-16T16:59:59.999Z"})
    );
    let backwards = world.get(&format!("/billing/dashboard/analytics?startDate={SECOND}&endDate={FIRST}"), &ani).await;
    assert_eq!(faults(&backwards), (400, vec!["endDate"]));
    assert_eq!(faults(&world.get("/billing/dashboard/analytics?startDate=x", &ani).await), (400, vec!["startDate"]));
}

#[actix_web::test]
async fn billing_tells_that_it_answers_without_a_token_and_without_an_envelope() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let health = world.call("GET", "/billing/health", None, None).await;
    assert_eq!((health.status.as_u16(), &health.body["success"]), (200, &json!(true)));
    assert_keys(&health.body, &["success", "message", "timestamp", "version"]);
}
