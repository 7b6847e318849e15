//! What browsers need of every answer: preflights, refusals they may read, bodies where they send them.

use minispod_api::Allowance;
use minispod_testkit::require;
use serde_json::json;

use crate::world::{open, request};

const ORIGIN: &str = "http://localhost:3100";

#[actix_web::test]
async fn a_preflight_allows_every_header_that_is_read_and_is_never_counted() {
    if !require("pg") {
        return;
    }
    let world = open(|config| config.address_allowance = Allowance::per_minute(1)).await;
    let peer = "203.0.113.5:1234".parse().expect("an address");
    for asked in [
        "authorization, content-type",
        "if-match, if-none-match",
        "idempotency-key, prefer, x-reason",
        "accept, x-request-id, traceparent",
    ] {
        let preflight = request("OPTIONS", "/billing/topup", None, None)
            .peer_addr(peer)
            .insert_header(("origin", ORIGIN))
            .insert_header(("access-control-request-method", "POST"))
            .insert_header(("access-control-request-headers", asked));
        let answer = world.send(preflight).await;
        assert!(answer.status.is_success(), "{asked}: {}", answer.status);
        let allowed = answer.header("access-control-allow-headers").unwrap_or_default().to_ascii_lowercase();
        assert!(asked.split(", ").all(|name| allowed.contains(name)), "{asked} in {allowed}");
    }
    let strange = request("OPTIONS", "/billing/topup", None, None)
        .insert_header(("origin", ORIGIN))
        .insert_header(("access-control-request-method", "POST"))
        .insert_header(("access-control-request-headers", "x-anything"));
    assert!(!world.send(strange).await.status.is_success(), "nothing reads that header");
}

#[actix_web::test]
async fn refusals_of_every_status_can_be_read_by_the_page_that_asked() {
    if !require("pg") {
        return;
    }
    let world = open(|config| config.write_allowance = Allowance::per_minute(4)).await;
    let (token, _) = world.register("ani@example.com").await;
    let token = Some(token.as_str());
    let table = [
        (request("POST", "/billing/topup", token, Some(&json!({}))), 400),
        (request("GET", "/billing/balance", None, None), 401),
        (request("POST", "/admin/users", token, Some(&json!({}))), 403),
        (request("GET", "/billing/invoices/c0123456789abcdefghijklmn", token, None), 404),
        (request("PUT", "/billing/balance", token, None), 405),
        (request("POST", "/billing/topup", token, None).set_payload("x".repeat(17 * 1024)), 413),
        (
            request("POST", "/billing/topup", token, None).set_payload("a=b").insert_header(("content-type", "text/x")),
            415,
        ),
        (request("POST", "/billing/topup", token, Some(&json!({}))), 429),
    ];
    let judge = |answer: &crate::world::Answered, status: u16| {
        assert_eq!(answer.status.as_u16(), status, "{:#}", answer.body);
        assert!(answer.body["message"].as_str().is_some_and(|text| !text.is_empty()), "{status}: {:#}", answer.body);
        for (name, value) in [
            ("access-control-allow-origin", ORIGIN),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{status}");
        }
        assert!(answer.header("content-security-policy").is_some() && answer.header("etag").is_none(), "{status}");
    };
    for (request, status) in table {
        judge(&world.send(request.insert_header(("origin", ORIGIN))).await, status);
    }
    world.store.pool().close().await;
    judge(&world.send(request("GET", "/services", None, None).insert_header(("origin", ORIGIN))).await, 503);
}

#[actix_web::test]
async fn a_body_of_a_delete_is_read_and_an_empty_json_body_is_an_empty_object() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (_, id) = world.register("ani@example.com").await;
    let path = format!("/admin/users/{id}");
    let bad = world.call("DELETE", &path, Some(&admin), Some(&json!({"reason": 5}))).await;
    assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["reason"]), "it was read");
    let toggled = world.call("PATCH", &format!("{path}/toggle-status"), Some(&admin), None).await;
    assert_eq!(toggled.status, 200, "{:#}", toggled.body);
    let gone = world.call("DELETE", &path, Some(&admin), None).await;
    assert_eq!(gone.status, 200, "{:#}", gone.body);
    for path in ["/auth/me", "/billing/balance", "/subscriptions", "/services/grouped"] {
        assert_eq!(world.get(path, &admin).await.status, 200, "{path}: a JSON header without a body");
    }
}

#[actix_web::test]
async fn a_compressed_answer_has_the_tag_of_the_plain_one() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    for index in 0..9 {
        world.publish(&format!("cplan{index}000000000000000000"), &format!("v{index}"), 1_000, -1).await;
    }
    let ask = |encoding: &'static str| {
        world.send(request("GET", "/services/grouped", None, None).insert_header(("accept-encoding", encoding)))
    };
    let plain = ask("identity").await;
    let tag = plain.header("etag").expect("a tag").to_owned();
    for encoding in ["gzip", "br"] {
        let packed = ask(encoding).await;
        assert_eq!((packed.header("content-encoding"), packed.header("etag")), (Some(encoding), Some(tag.as_str())));
        let known = request("GET", "/services/grouped", None, None)
            .insert_header(("accept-encoding", encoding))
            .insert_header(("if-none-match", tag.as_str()));
        let known = world.send(known).await;
        assert_eq!((known.status.as_u16(), known.bytes.len(), known.header("content-encoding")), (304, 0, None));
    }
}
