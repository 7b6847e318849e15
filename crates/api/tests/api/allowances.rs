//! Limits by address, account and class, and the headers that tell where one stands.

use std::time::Duration;

use minispod_api::Allowance;
use minispod_testkit::require;
use serde_json::json;

use crate::world::{open, request};

/// `("reads", 3)` of `"reads";r=3;t=20`, or of a policy's `q`.
fn parts(header: Option<&str>, parameter: &str) -> Vec<(String, u64)> {
    let items = header.unwrap_or_default().split(", ").filter(|item| !item.is_empty());
    let read = |item: &str| {
        let mut fields = item.split(';');
        let name = fields.next()?.trim_matches('"').to_owned();
        let number = fields.find_map(|field| field.strip_prefix(parameter)?.strip_prefix('='))?;
        Some((name, number.parse().ok()?))
    };
    items.map(|item| read(item).unwrap_or_else(|| panic!("{item} has no {parameter}"))).collect()
}

fn named(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
}

#[actix_web::test]
async fn every_answer_tells_the_limits_it_was_counted_under() {
    if !require("pg") {
        return;
    }
    let world = open(|config| {
        config.address_allowance = Allowance::per_minute(100);
        config.sign_in_request_allowance = Allowance::per_minute(50);
        config.read_allowance = Allowance::per_minute(20);
        config.write_allowance = Allowance::per_minute(10);
    })
    .await;
    let (token, _) = world.register("ani@example.com").await;
    let peer = "203.0.113.5:1234".parse().expect("an address");
    let send = |method, path, body| world.send(request(method, path, Some(&token), Some(&body)).peer_addr(peer));
    let read = send("GET", "/billing/balance", json!({})).await;
    assert_eq!(parts(read.header("ratelimit-policy"), "q"), named(&[("address", 100), ("reads", 20)]));
    assert_eq!(parts(read.header("ratelimit-policy"), "w"), named(&[("address", 60), ("reads", 60)]));
    assert_eq!(parts(read.header("ratelimit"), "r"), named(&[("address", 99), ("reads", 19)]));
    assert_eq!(parts(read.header("ratelimit"), "t"), named(&[("address", 1), ("reads", 3)]));
    let paid = send("POST", "/billing/topup", json!({"amount": 50_000})).await;
    assert_eq!(
        parts(paid.header("ratelimit"), "r"),
        named(&[("address", 98), ("writes", 9), ("payments", 4)]),
        "{:#}",
        paid.body
    );
    let login = send("POST", "/auth/login", json!({"email": "ani@example.com", "password": "Rahasia!1"})).await;
    assert_eq!(parts(login.header("ratelimit"), "r"), named(&[("address", 97), ("sign-in", 49)]));
    let refused = send("POST", "/billing/topup", json!({"amount": 1})).await;
    assert_eq!(refused.status, 400);
    assert_eq!(parts(refused.header("ratelimit"), "r"), named(&[("address", 96), ("writes", 8), ("payments", 4)]));
    let webhook = send("POST", "/billing/webhooks/midtrans", json!({})).await;
    assert_eq!((webhook.status.as_u16(), webhook.header("ratelimit")), (400, None), "not counted among requests");
    for probe in ["/health", "/health/ready"] {
        let probe = world.send(actix_web::test::TestRequest::get().uri(probe).peer_addr(peer)).await;
        assert_eq!(probe.header("ratelimit"), None);
    }
}

#[actix_web::test]
async fn reads_and_writes_of_one_account_are_counted_apart_from_any_address() {
    if !require("pg") {
        return;
    }
    let world = open(|config| {
        config.read_allowance = Allowance::per_minute(3);
        config.write_allowance = Allowance::per_minute(2);
    })
    .await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    let from = |host: u8, token: &str| {
        let peer = format!("203.0.113.{host}:1234").parse().expect("an address");
        world.send(request("GET", "/billing/balance", Some(token), None).peer_addr(peer))
    };
    for host in 1..=3 {
        assert_eq!(from(host, &ani).await.status, 200);
    }
    let limited = from(4, &ani).await;
    assert_eq!((limited.status.as_u16(), limited.body["code"].as_str()), (429, Some("RATE_LIMIT_EXCEEDED")));
    assert_eq!(limited.header("retry-after"), Some("20"));
    assert_eq!(parts(limited.header("ratelimit"), "r").last(), Some(&("reads".to_owned(), 0)));
    assert_eq!(from(4, &budi).await.status, 200, "another account");
    for status in [400, 400, 429] {
        assert_eq!(world.post("/billing/topup", &ani, json!({})).await.status, status, "writes are counted apart");
    }
    world.clock.advance(Duration::from_secs(20));
    assert_eq!(from(4, &ani).await.status, 200, "after the wait it was told");
}

#[actix_web::test]
async fn sign_ins_of_one_address_are_few_and_other_requests_are_not_touched() {
    if !require("pg") {
        return;
    }
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let world = open(|config| config.sign_in_request_allowance = Allowance::per_minute(2)).await;
    let peer = "203.0.113.5:1234".parse().expect("an address");
    let send = |method, path| world.send(request(method, path, None, Some(&json!({}))).peer_addr(peer));
    for (path, status) in [("/auth/login", 400), ("/auth/register", 400), ("/auth/refresh", 429), ("/auth/login", 429)]
    {
        assert_eq!(send("POST", path).await.status, status, "{path}");
    }
    assert_eq!(send("GET", "/services/grouped").await.status, 200);
    let text = recorder.handle().render();
    let counted = text.lines().find(|line| line.starts_with("minispod_http_limited_total"));
    assert_eq!(counted, Some("minispod_http_limited_total{limit=\"sign-in\"} 2"), "{text}");
    assert!(!text.contains("203.0.113.5"), "no label names who it was");
}

#[actix_web::test]
async fn the_sixth_payment_in_a_minute_waits_until_exactly_a_minute_after_the_first() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register("ani@example.com").await;
    let order = || world.post("/billing/topup", &token, json!({"amount": 50_000}));
    for left in (0..5).rev() {
        let answer = order().await;
        assert_eq!(
            (answer.status.as_u16(), parts(answer.header("ratelimit"), "r").pop()),
            (201, Some(("payments".into(), left)))
        );
        world.clock.advance(Duration::from_secs(1));
    }
    let sixth = order().await;
    assert_eq!((sixth.status.as_u16(), sixth.header("retry-after")), (429, Some("55")));
    assert_eq!(parts(sixth.header("ratelimit"), "t").pop(), Some(("payments".into(), 55)));
    assert_eq!(parts(sixth.header("ratelimit-policy"), "q").pop(), Some(("payments".into(), 5)));
    world.clock.advance(Duration::from_secs(54));
    assert_eq!(order().await.status, 429);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(order().await.status, 201);
}
