//! Statements and reports out of the books.

use std::time::Duration;

use minispod_domain::{AnyCommand, PlanCommand, SubscriptionCommand};
use minispod_kernel::Rupiah;
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    market::{BASIC, NOBODY, PRO, column, faults},
    world::{Answered, open, request},
};

const DAY: Duration = Duration::from_hours(24);
const REPORTS: [&str; 4] =
    ["/admin/billing/revenue", "/admin/billing/mrr", "/admin/billing/churn", "/admin/billing/failed-payments"];

fn text(answer: &Answered) -> String {
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/csv")), "{:?}", answer.headers);
    String::from_utf8(answer.bytes.to_vec()).expect("UTF-8")
}

fn moneys<'a>(value: &'a Value, names: &[&str]) -> Vec<&'a str> {
    names.iter().map(|name| value[*name].as_str().unwrap_or_else(|| panic!("{name} of {value:#}"))).collect()
}

#[actix_web::test]
async fn a_statement_has_every_movement_with_the_balance_before_and_after() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, ani_id) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.top_up(&ani, 50_000).await;
    world.subscribe(&ani, BASIC).await;
    world.top_up(&budi, 70_000).await;
    let gift = json!({"amount": 1_000, "type": "CREDIT", "description": "=HYPERLINK(\"http://x\",\"you won\")"});
    let given = world.post(&format!("/admin/billing/users/{ani_id}/adjust-balance"), &admin, gift).await;
    assert_eq!(given.status, 200, "{:#}", given.body);

    let own = world.get("/billing/statement", &ani).await;
    assert_eq!(own.status, 200, "{:#}", own.body);
    assert_eq!(column(&own, "lines", "amount"), ["50000", "-31000", "1000"], "oldest first");
    assert_eq!(column(&own, "lines", "type"), ["TOPUP", "SUBSCRIPTION_CHARGE", "ADJUSTMENT"]);
    assert_eq!(column(&own, "lines", "balanceBefore"), ["0", "50000", "19000"]);
    assert_eq!(column(&own, "lines", "balanceAfter"), ["50000", "19000", "20000"]);
    assert_eq!(column(&own, "lines", "counterAccount"), ["gateway_clearing", "revenue", "adjustments"]);
    let sums = ["openingBalance", "paidIn", "paidOut", "closingBalance"];
    assert_eq!(moneys(own.data(), &sums), ["0", "51000", "31000", "20000"]);
    assert_eq!(world.get("/billing/balance", &ani).await.data()["balance"], "20000");
    let second = world.get("/billing/statement?limit=1&page=2", &ani).await;
    assert_eq!(column(&second, "lines", "amount"), ["-31000"]);
    assert_eq!(second.data()["pagination"], json!({"page": 2, "limit": 1, "total": 3, "totalPages": 3}));

    // 15 January 2027 in Jakarta.
    let later = world.get("/billing/statement?from=2027-01-16", &ani).await;
    assert_eq!(moneys(later.data(), &sums), ["20000", "0", "0", "20000"]);
    assert_eq!(column(&later, "lines", "amount"), Vec::<&str>::new());
    let day = world.get("/billing/statement?from=2027-01-15&to=2027-01-15", &ani).await;
    assert_eq!(day.data()["lines"], own.data()["lines"]);
    let bad = world.get("/billing/statement?from=x&to=2027-02-30&format=pdf&limit=0", &ani).await;
    assert_eq!(faults(&bad), (400, vec!["format", "limit", "from", "to"]));

    let seen = world.get(&format!("/admin/billing/users/{ani_id}/statement"), &admin).await;
    assert_eq!(seen.data(), own.data());
    assert_eq!(world.get(&format!("/admin/billing/users/{ani_id}/statement"), &budi).await.status, 403);
    assert_eq!(world.get(&format!("/admin/billing/users/{NOBODY}/statement"), &admin).await.status, 404);
}

#[actix_web::test]
async fn a_statement_is_a_file_that_no_spreadsheet_runs() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, ani_id) = world.register("ani@example.com").await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.top_up(&ani, 50_000).await;
    for (kind, description) in [("CREDIT", "=HYPERLINK(\"http://x\",\"you won\")"), ("DEBIT", "a fee, and more")] {
        let body = json!({"amount": 1_000, "type": kind, "description": description});
        world.post(&format!("/admin/billing/users/{ani_id}/adjust-balance"), &admin, body).await;
    }
    let file = text(&world.get("/billing/statement?format=csv", &ani).await);
    let lines: Vec<&str> = file.split("\r\n").collect();
    assert_eq!(lines.len(), 5, "a head, three lines, and nothing after the last: {file}");
    assert!(lines[0].starts_with("date,type,description,amount,balance_before,balance_after,"), "{file}");
    assert!(lines[1].contains(",TOPUP,Balance top-up,50000,0,50000,gateway_clearing,TU-"), "{file}");
    assert!(lines[2].contains(",\"'=HYPERLINK(\"\"http://x\"\",\"\"you won\"\")\",1000,50000,51000,"), "{file}");
    assert!(lines[3].contains(",\"a fee, and more\",-1000,51000,50000,"), "{file}");
    let asked = request("GET", "/billing/statement", Some(&ani), None).insert_header(("accept", "text/csv"));
    assert_eq!(text(&world.send(asked).await), file);
    let seen = world.get(&format!("/admin/billing/users/{ani_id}/statement?format=csv"), &admin).await;
    assert_eq!(text(&seen), file);
}

#[actix_web::test]
async fn revenue_is_what_was_booked_and_never_a_list_price_w31() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.top_up(&ani, 50_000).await;
    world.top_up(&budi, 40_000).await;
    let kept = world.subscribe(&ani, BASIC).await;
    world.activate(&kept).await;
    let failing = world.subscribe(&budi, BASIC).await;
    // 17:00 in UTC is the next day in Jakarta.
    world.clock.advance(Duration::from_hours(10));
    let failed = SubscriptionCommand::FailProvisioning { detail: "no node".to_owned() };
    world.command(&failing, AnyCommand::Subscription(failed), "failed").await;
    world.settle_reactions().await;
    let dearer = PlanCommand::ChangePrice { monthly_price: Rupiah::new(999_000) };
    world.command(BASIC, AnyCommand::Plan(dearer), "dearer").await;

    let days = world.get("/admin/billing/revenue?from=2027-01-15&to=2027-01-17", &admin).await;
    assert_eq!(days.status, 200, "{:#}", days.body);
    let sums = ["gross", "refunds", "net"];
    assert_eq!(moneys(&days.data()["totals"], &sums), ["62000", "31000", "31000"]);
    assert_eq!(column(&days, "rows", "period"), ["2027-01-15", "2027-01-16", "2027-01-17"]);
    assert_eq!(column(&days, "rows", "gross"), ["62000", "0", "0"]);
    assert_eq!(column(&days, "rows", "refunds"), ["0", "31000", "0"], "on the day it was given back");
    assert_eq!(column(&days, "byOffering", "offering"), ["n8n"]);
    let months = world.get("/admin/billing/revenue?by=month&from=2026-12-01&to=2027-01-31", &admin).await;
    assert_eq!(column(&months, "rows", "period"), ["2026-12", "2027-01"]);
    assert_eq!(column(&months, "rows", "net"), ["0", "31000"]);
    let statistics = world.get("/admin/billing/statistics", &admin).await;
    assert_eq!(statistics.data()["revenue"]["total"], days.data()["totals"]["net"], "both say the same");
    let file = text(&world.get("/admin/billing/revenue?by=month&format=csv", &admin).await);
    assert_eq!(
        file,
        "period,offering,gross,refunds,net,charges,refunded,promotional\r\n2027-01,n8n,62000,31000,31000,2,1,0\r\n"
    );
    let bad = world.get("/admin/billing/revenue?by=week&from=2020-01-01&to=2027-01-17", &admin).await;
    assert_eq!(faults(&bad), (400, vec!["by", "from"]));
}

#[actix_web::test]
async fn recurring_revenue_moves_and_every_month_adds_up() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    world.top_up(&ani, 1_000_000).await;
    world.top_up(&budi, 100_000).await;
    let bought = world.post("/subscriptions", &ani, json!({"serviceId": PRO, "billingCycle": "yearly"})).await;
    assert_eq!(bought.status, 200, "{:#}", bought.body);
    world.settle_reactions().await;
    world.activate(bought.data()["id"].as_str().expect("an id")).await;
    let leaving = world.subscribe(&budi, BASIC).await;
    world.activate(&leaving).await;
    world.clock.advance(DAY * 20);
    let left = world.sign_in("budi@example.com").await.access;
    assert_eq!(world.call("DELETE", &format!("/subscriptions/{leaving}"), Some(&left), None).await.status, 200);
    world.settle_reactions().await;
    let (admin, _) = world.administrator("admin@example.com").await;

    let mrr = world.get("/admin/billing/mrr?from=2026-12-01", &admin).await;
    assert_eq!(mrr.status, 200, "{:#}", mrr.body);
    assert_eq!(column(&mrr, "months", "month"), ["2026-12", "2027-01", "2027-02"]);
    assert_eq!(column(&mrr, "months", "new"), ["0", "86800", "0"], "a twelfth of 669 600, and 31 000");
    assert_eq!(column(&mrr, "months", "churned"), ["0", "0", "31000"]);
    assert_eq!(column(&mrr, "months", "closing"), ["0", "86800", "55800"]);
    assert_eq!(mrr.data()["current"]["mrr"], "55800");
    assert_eq!(mrr.data()["current"]["subscriptions"], 1);

    let churn = world.get("/admin/billing/churn?from=2027-01-01", &admin).await;
    let [first, last] = [&churn.data()["months"][0], &churn.data()["months"][1]];
    assert_eq!(
        (&first["activeAtStart"], &first["started"], &first["churnBasisPoints"]),
        (&json!(0), &json!(2), &json!(null))
    );
    assert_eq!((&last["activeAtStart"], &last["ended"], &last["activeAtEnd"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!((&last["churnBasisPoints"], &last["mrrChurnBasisPoints"]), (&json!(5_000), &json!(3_571)));
    let file = text(&world.get("/admin/billing/mrr?from=2027-02-01&format=csv", &admin).await);
    assert!(file.ends_with("2027-02,86800,0,0,0,0,31000,55800,1\r\n"), "{file}");
    let file = text(&world.get("/admin/billing/churn?from=2027-02-01&format=csv", &admin).await);
    assert!(file.ends_with("2027-02,2,0,0,1,1,5000,86800,31000,3571\r\n"), "{file}");
}

#[actix_web::test]
async fn payments_that_failed_are_listed_with_whom_and_how_old_until_they_are_paid() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, ani_id) = world.register("ani@example.com").await;
    world.top_up(&ani, 40_000).await;
    let id = world.subscribe(&ani, BASIC).await;
    world.activate(&id).await;
    let poor = world.call("PUT", &format!("/subscriptions/{id}/renew"), Some(&ani), None).await;
    assert_eq!(poor.status, 402, "{:#}", poor.body);
    world.settle_reactions().await;
    world.clock.advance(DAY * 3);
    let (admin, _) = world.administrator("admin@example.com").await;

    let list = world.get("/admin/billing/failed-payments", &admin).await;
    assert_eq!(list.status, 200, "{:#}", list.body);
    let failed = &list.data()["payments"][0];
    assert_eq!(
        (&failed["type"], &failed["amount"], &failed["period"]),
        (&json!("RENEWAL"), &json!("31000"), &json!(2))
    );
    assert_eq!((&failed["user"]["id"], &failed["user"]["email"]), (&json!(ani_id), &json!("ani@example.com")));
    assert_eq!((&failed["ageDays"], &failed["open"], &failed["attempts"]), (&json!(3), &json!(true), &json!(1)));
    let file = text(&world.get("/admin/billing/failed-payments?format=csv", &admin).await);
    assert!(
        file.contains(&format!(",3,RENEWAL,{ani_id},31000,wallet-insufficient-balance,1,yes,{id},2,\r\n")),
        "{file}"
    );
    assert!(!file.contains("ani@example.com"), "a file names nobody: {file}");

    let ani = world.sign_in("ani@example.com").await.access;
    world.top_up(&ani, 40_000).await;
    assert_eq!(world.call("PUT", &format!("/subscriptions/{id}/renew"), Some(&ani), None).await.status, 200);
    world.settle_reactions().await;
    let open = world.get("/admin/billing/failed-payments?open=true", &admin).await;
    assert_eq!(open.data()["payments"], json!([]), "it is paid");
    let all = world.get("/admin/billing/failed-payments?type=RENEWAL&open=false", &admin).await;
    assert_eq!(column(&all, "payments", "subscriptionId"), [id.as_str()]);
    let bad = world.get("/admin/billing/failed-payments?type=GIFT&open=maybe&from=x", &admin).await;
    assert_eq!(faults(&bad), (400, vec!["type", "open", "from"]));
}

#[actix_web::test]
async fn reports_are_for_administrators() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, _) = world.register("ani@example.com").await;
    let (admin, _) = world.administrator("admin@example.com").await;
    for path in REPORTS {
        assert_eq!(world.get(path, &ani).await.status, 403, "{path}");
        assert_eq!(world.call("GET", path, None, None).await.status, 401, "{path}");
        for format in ["json", "csv"] {
            let empty = world.get(&format!("{path}?format={format}"), &admin).await;
            assert_eq!(empty.status, 200, "nothing is no fault: {path} {:#}", empty.body);
        }
    }
}
