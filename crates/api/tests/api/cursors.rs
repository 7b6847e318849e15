//! Lists walked from place to place instead of by page number.

use std::time::Duration;

use minispod_testkit::require;
use serde_json::{Value, json};

use crate::world::open;

fn ids(answer: &Value, list: &str) -> Vec<String> {
    let rows = answer[list].as_array().expect("a list");
    rows.iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
}

#[actix_web::test]
async fn a_walk_sees_each_row_once_whatever_is_written_meanwhile() {
    if !require("pg") {
        return;
    }
    let world = open(|config| config.payment_allowance = minispod_api::Allowance::unlimited()).await;
    let (token, _) = world.register("ani@example.com").await;
    let order = || async {
        let order = world.post("/billing/topup", &token, json!({"amount": 50_000})).await;
        assert_eq!(order.status, 201, "{:#}", order.body);
    };
    for step in 0..7 {
        // Several rows of one instant: the id decides among them.
        if step % 3 == 0 {
            world.clock.advance(Duration::from_millis(1));
        }
        order().await;
    }
    let numbered = world.get("/billing/transactions?limit=100", &token).await;
    let all = ids(numbered.data(), "transactions");
    assert_eq!(all.len(), 7);
    assert!(numbered.data()["pagination"].get("nextCursor").is_none(), "the contract's fields and no other");
    let (mut seen, mut cursor, mut walks) = (Vec::new(), String::new(), 0);
    loop {
        let path = format!("/billing/transactions?limit=3&cursor={cursor}");
        let page = world.get(&path, &token).await;
        assert_eq!(page.status, 200, "{:#}", page.body);
        seen.extend(ids(page.data(), "transactions"));
        walks += 1;
        world.clock.advance(Duration::from_secs(1));
        order().await;
        match page.data()["pagination"]["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!((walks, seen), (3, all));
    let last = world.get(&format!("/billing/transactions?limit=3&cursor={cursor}"), &token).await;
    let pages = &last.data()["pagination"];
    assert_eq!((&pages["nextCursor"], &pages["limit"], &pages["total"]), (&Value::Null, &json!(3), &json!(10)));
}

#[actix_web::test]
async fn every_list_of_the_newest_can_be_walked_and_a_bad_cursor_is_400() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.clock.advance(Duration::from_secs(1));
    let (token, _) = world.register("ani@example.com").await;
    for (index, plan) in ["cplanfree0000000000000000", "cplanpaid0000000000000000"].into_iter().enumerate() {
        world.publish(plan, &format!("v{index}"), 0, -1).await;
    }
    world.top_up(&token, 50_000).await;
    world.settle_reactions().await;
    world.post("/subscriptions", &token, json!({"serviceId": "cplanfree0000000000000000"})).await;
    for (path, list, token) in [
        ("/billing/transactions", "transactions", &token),
        ("/billing/invoices", "invoices", &token),
        ("/subscriptions", "subscriptions", &token),
        ("/admin/users", "users", &admin),
    ] {
        let numbered = world.get(path, token).await;
        let (mut walked, mut next) = (Vec::new(), Some(String::new()));
        while let Some(cursor) = next {
            let page = world.get(&format!("{path}?limit=1&cursor={cursor}"), token).await;
            assert_eq!(page.status, 200, "{path}: {:#}", page.body);
            walked.extend(ids(page.data(), list));
            next = page.data()["pagination"]["nextCursor"].as_str().map(str::to_owned);
        }
        assert_eq!(walked, ids(numbered.data(), list), "{path}");
        assert!(!walked.is_empty(), "{path}");
        for bad in ["cursor=x", "cursor=AAAAAAAAAAAAAAAAAAAAAAAA", "cursor=%00", "cursor=&page=2"] {
            let refused = world.get(&format!("{path}?{bad}"), token).await;
            assert_eq!((refused.status.as_u16(), refused.fields().len()), (400, 1), "{path}?{bad}");
        }
    }
    let users = world.get("/admin/users?limit=1&cursor=", &admin).await;
    let first = &users.data()["pagination"];
    assert_eq!(first["hasNext"], true);
    let next = first["nextCursor"].as_str().expect("a cursor");
    let rest = world.get(&format!("/admin/users?cursor={next}"), &admin).await;
    assert_eq!(rest.data()["pagination"]["hasNext"], false, "the last row was shown");
    let sorted = world.get("/subscriptions?cursor=&sortBy=status", &token).await;
    assert_eq!((sorted.status.as_u16(), sorted.fields()), (400, vec!["cursor"]));
}

#[actix_web::test]
async fn a_cursor_of_somebody_else_shows_only_ones_own() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    for _ in 0..2 {
        world.post("/billing/topup", &ani, json!({"amount": 50_000})).await;
        world.post("/billing/topup", &budi, json!({"amount": 60_000})).await;
    }
    let page = world.get("/billing/transactions?limit=1&cursor=", &ani).await;
    let cursor = page.data()["pagination"]["nextCursor"].as_str().expect("there is one more");
    let theirs = world.get(&format!("/billing/transactions?cursor={cursor}"), &budi).await;
    let amounts: Vec<_> = theirs.data()["transactions"].as_array().expect("lines").iter().collect();
    assert!(amounts.iter().all(|line| line["amount"] == "60000"), "{amounts:?}");
}
