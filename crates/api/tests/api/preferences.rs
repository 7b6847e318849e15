//! How long a write waits for the reads after it, as its sender prefers.

use std::time::Duration;

use minispod_testkit::require;
use serde_json::json;

use crate::world::{open, request};

#[actix_web::test]
async fn a_wait_that_was_kept_is_said_to_be_applied() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register("ani@example.com").await;
    let order = |prefer: &'static str| {
        let body = json!({"amount": 50_000});
        let request = request("POST", "/billing/topup", Some(&token), Some(&body));
        world.send(if prefer.is_empty() { request } else { request.insert_header(("prefer", prefer)) })
    };
    for (prefer, applied) in [
        ("", Some("wait")),
        ("wait=3", Some("wait=3")),
        ("return=minimal; x, wait=600", Some("wait=10")),
        ("wait=soon", Some("wait")),
    ] {
        let answer = order(prefer).await;
        assert_eq!((answer.status.as_u16(), answer.header("preference-applied")), (201, applied), "{prefer:?}");
    }
    let read = world.get("/billing/transactions", &token).await;
    assert_eq!(read.data()["pagination"]["total"], 4, "and the next read shows them");
}

#[actix_web::test]
async fn who_does_not_want_to_wait_is_answered_at_once_and_the_write_counts() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register("ani@example.com").await;
    let body = json!({"amount": 50_000});
    let order = request("POST", "/billing/topup", Some(&token), Some(&body)).insert_header(("prefer", "respond-async"));
    let answer = world.send(order).await;
    assert_eq!((answer.status.as_u16(), answer.header("preference-applied")), (201, Some("respond-async")));
    let total = || async { world.get("/billing/transactions", &token).await.data()["pagination"]["total"].clone() };
    assert_eq!(total().await, 0, "nobody waited");
    world.read.catch_up().await;
    assert_eq!(total().await, 1);
}

#[actix_web::test]
async fn a_wait_that_was_not_kept_is_not_said_to_be_applied() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register("ani@example.com").await;
    world.stick(true);
    let body = json!({"amount": 50_000});
    let order = request("POST", "/billing/topup", Some(&token), Some(&body)).insert_header(("prefer", "wait=1"));
    let answer = tokio::time::timeout(Duration::from_secs(5), world.send(order)).await.expect("within its bound");
    assert_eq!((answer.status.as_u16(), answer.header("preference-applied")), (201, None));
}

#[actix_web::test]
async fn what_a_route_must_have_seen_it_waits_for_whatever_is_preferred() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.register("ani@example.com").await;
    let (here, elsewhere) = (world.sign_in("ani@example.com").await, world.login("ani@example.com", "Rahasia!1").await);
    let elsewhere = crate::world::Tokens::of(&elsewhere);
    // The read model of sessions has not seen the second sign-in unless the route waits for it.
    let end = request("DELETE", "/auth/sessions", Some(&here.access), None).insert_header(("prefer", "respond-async"));
    let ended = world.send(end).await;
    assert_eq!(ended.status, 200, "{:#}", ended.body);
    world.until_refused(&elsewhere.access).await;
    assert_eq!(world.get("/auth/me", &here.access).await.status, 200);
}
