//! What every request meets: envelopes, limits, preflights, headers, probes, failures.

use std::{collections::BTreeSet, path::Path, time::Duration};

use actix_web::test::TestRequest;
use minispod_testkit::require;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{ground, open, request};

const ORIGIN: &str = "http://localhost:3100";

fn is_refusal(body: &Value, status: u16) -> bool {
    body["success"] == false
        && body["statusCode"] == status
        && body["message"].is_string()
        && !body["code"].is_null()
        && body["details"].is_null()
        && body["timestamp"].is_string()
}

#[actix_web::test]
async fn every_refusal_has_the_envelope_and_its_real_status() {
    if !require("pg") {
        return;
    }
    let world = open(|config| config.body_limit = 2_000).await;
    let (token, _) = world.register("ani@example.com").await;
    let raw = |path: &str, body: &str| request("POST", path, Some(&token), None).set_payload(body.to_owned());
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    let table = [
        (request("GET", "/nowhere", None, None), 404, "ENDPOINT_NOT_FOUND"),
        (TestRequest::get().uri("/"), 404, "ENDPOINT_NOT_FOUND"),
        (request("PATCH", "/billing/topup", Some(&token), None), 405, "METHOD_NOT_ALLOWED"),
        (request("DELETE", "/auth/me", None, None), 405, "METHOD_NOT_ALLOWED"),
        (raw("/billing/topup", "{\"amount\": 50000"), 400, "INVALID_JSON"),
        (raw("/billing/topup", "{\"secret\": hunter2}"), 400, "INVALID_JSON"),
        (raw("/billing/topup", &deep), 400, "INVALID_JSON"),
        (raw("/billing/topup", &format!("{{\"a\":\"{}\"}}", "x".repeat(2_000))), 413, "PAYLOAD_TOO_LARGE"),
        (raw("/billing/topup", "[]"), 400, "VALIDATION_ERROR"),
        (raw("/billing/topup", ""), 400, "VALIDATION_ERROR"),
        (raw("/auth/login", "5"), 400, "VALIDATION_ERROR"),
        (request("POST", "/subscriptions", None, Some(&json!({}))), 401, "AUTH_ERROR"),
        (
            raw("/billing/topup", "amount=50000").insert_header(("content-type", "text/plain")),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (raw("/billing/topup", "{}").insert_header(("content-encoding", "gzip")), 415, "UNSUPPORTED_MEDIA_TYPE"),
    ];
    for (number, (request, status, code)) in table.into_iter().enumerate() {
        let answer = world.send(request.insert_header(("origin", ORIGIN))).await;
        assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (status, Some(code)), "row {number}");
        assert!(is_refusal(&answer.body, status), "row {number}: {:#}", answer.body);
        assert!(!answer.body.to_string().contains("hunter2"), "row {number} echoes");
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN), "row {number}");
        assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "row {number}");
    }
    assert_eq!(world.count("TopUpRequested").await, 0, "nothing was written");
}

#[actix_web::test]
async fn who_asks_for_problem_details_gets_them_and_everybody_else_the_envelope() {
    if !require("pg") {
        return;
    }
    let world = open(|_| ()).await;
    let refused = |accept: &'static str| {
        request("POST", "/auth/login", None, Some(&json!({"email": "ani"}))).insert_header(("accept", accept))
    };
    for accept in ["application/problem+json", "text/html, Application/Problem+JSON;q=0.5"] {
        let answer = world.send(refused(accept)).await;
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{accept}");
        let body = &answer.body;
        assert_eq!((&body["status"], &body["code"]), (&json!(400), &json!("VALIDATION_ERROR")), "{body:#}");
        let pointers: BTreeSet<_> =
            body["errors"].as_array().into_iter().flatten().filter_map(|fault| fault["pointer"].as_str()).collect();
        assert_eq!(pointers, BTreeSet::from(["#/email", "#/password"]));
        assert_eq!(body["requestId"].as_str(), answer.header("x-request-id"));
        assert!(body.get("success").is_none(), "one form, not two: {body:#}");
    }
    for accept in ["*/*", "application/json", "application/problem+json;q=0"] {
        assert!(is_refusal(&world.send(refused(accept)).await.body, 400), "{accept}");
    }
}

#[actix_web::test]
async fn the_description_is_served_with_a_page_that_loads_nothing_from_elsewhere() {
    if !require("pg") {
        return;
    }
    let world = open(|_| ()).await;
    let document = world.send(request("GET", "/openapi.json", None, None)).await;
    assert_eq!((document.status.as_u16(), &document.body["openapi"]), (200, &json!("3.1.0")));
    assert!(document.body["paths"]["/api/v1/billing/topup"]["post"].is_object());
    let page = world.send(TestRequest::get().uri("/docs/")).await;
    let html = String::from_utf8_lossy(&page.bytes).into_owned();
    assert_eq!(page.status.as_u16(), 200, "{html}");
    assert!(page.header("content-security-policy").is_some_and(|rule| rule.contains("script-src 'self'")));
    let is_loaded = |part: &&str| Path::new(part).extension().is_some_and(|kind| kind == "js" || kind == "css");
    let loaded: Vec<_> = html.split(['"', '\'']).filter(is_loaded).collect();
    assert!(loaded.len() >= 3 && loaded.iter().all(|part| !part.contains("//")), "{loaded:?}");
    for part in loaded {
        let uri = format!("/docs/{}", part.trim_start_matches("./"));
        let file = world.send(TestRequest::get().uri(&uri)).await;
        assert_eq!(file.status.as_u16(), 200, "{uri}");
        if part.ends_with("initializer.js") {
            assert!(String::from_utf8_lossy(&file.bytes).contains("/api/v1/openapi.json"), "it shows ours");
        }
    }
    let elsewhere = world.send(TestRequest::get().uri("/docs")).await;
    assert_eq!(elsewhere.header("location"), Some("/docs/"));
}

#[actix_web::test]
async fn forms_are_short_and_a_flood_of_strange_fields_is_answered_shortly() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register("ani@example.com").await;
    let of_size = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    for (method, path) in [
        ("POST", "/auth/login"),
        ("POST", "/auth/register"),
        ("POST", "/billing/topup"),
        ("POST", "/billing/transactions/c0123456789abcdefghijklmn/pay"),
        ("POST", "/subscriptions"),
        ("DELETE", "/subscriptions/c0123456789abcdefghijklmn"),
        ("PUT", "/subscriptions/c0123456789abcdefghijklmn/renew"),
    ] {
        let sent = |bytes: usize| request(method, path, Some(&token), None).set_payload(of_size(bytes));
        assert_eq!(world.send(sent(16 * 1024 + 1)).await.status, 413, "{method} {path}");
        assert_ne!(world.send(sent(16 * 1024)).await.status, 413, "{method} {path}");
    }
    let flood: serde_json::Map<_, _> = (0..1_500).map(|n| (format!("k{n}"), json!(1))).collect();
    let answer = world.post("/billing/topup", &token, Value::Object(flood)).await;
    assert_eq!((answer.status.as_u16(), answer.fields().len()), (400, 50));
    assert!(answer.body["message"].as_str().is_some_and(|text| text.contains("more were found")));
}

#[actix_web::test]
async fn preflights_pass_without_a_token_and_strangers_get_no_header() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let preflight = |origin: &'static str, method: &'static str| {
        request("OPTIONS", "/billing/transactions", None, None)
            .insert_header(("origin", origin))
            .insert_header(("access-control-request-method", method))
            .insert_header(("access-control-request-headers", "authorization,content-type"))
    };
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let answer = world.send(preflight(ORIGIN, method)).await;
        assert!(answer.status.is_success(), "{method}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
        let allowed = answer.header("access-control-allow-headers").unwrap_or_default().to_ascii_lowercase();
        assert!(allowed.contains("authorization") && allowed.contains("content-type"), "{allowed}");
        assert!(answer.header("access-control-allow-methods").is_some_and(|methods| methods.contains(method)));
    }
    let stranger = world.send(preflight("http://evil.example", "GET")).await;
    assert_eq!(stranger.header("access-control-allow-origin"), None);
}

#[actix_web::test]
async fn answers_carry_security_headers_and_the_callers_request_id() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let answer = world.send(TestRequest::get().uri("/health").insert_header(("x-request-id", "trace-me.1"))).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-request-id")), (200, Some("trace-me.1")));
    for (name, value) in
        [("x-content-type-options", "nosniff"), ("x-frame-options", "DENY"), ("cache-control", "no-store")]
    {
        assert_eq!(answer.header(name), Some(value));
    }
    let forged = world.send(TestRequest::get().uri("/health").insert_header(("x-request-id", "a b<script>"))).await;
    assert_ne!(forged.header("x-request-id"), Some("a b<script>"));
}

#[actix_web::test]
async fn large_answers_are_compressed_for_those_who_ask() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    for index in 0..9 {
        world.publish(&format!("cplan{index}000000000000000000"), &format!("v{index}"), 1_000, -1).await;
    }
    for encoding in ["gzip", "br"] {
        let asked = request("GET", "/services/grouped", None, None).insert_header(("accept-encoding", encoding));
        assert_eq!(world.send(asked).await.header("content-encoding"), Some(encoding));
    }
}

#[actix_web::test]
async fn one_address_may_not_call_without_end() {
    if !require("pg") {
        return;
    }
    let world = open(|config| {
        config.address_allowance = minispod_api::Allowance::per_minute(3);
        config.trusted_proxies = vec!["10.0.0.0/24".parse().expect("a network")];
    })
    .await;
    let from = |client: &'static str| {
        request("GET", "/services/grouped", None, None)
            .peer_addr("10.0.0.1:1234".parse().expect("an address"))
            // What the caller claims, what the first proxy saw, and what the second adds on a line of its own.
            .append_header(("x-forwarded-for", format!("192.0.2.{}, {client}", client.len())))
            .append_header(("x-forwarded-for", "10.0.0.2"))
            .insert_header(("origin", ORIGIN))
    };
    for _ in 0..3 {
        assert_eq!(world.send(from("198.51.100.7")).await.status, 200);
    }
    let limited = world.send(from("198.51.100.7")).await;
    assert!(is_refusal(&limited.body, 429), "{:#}", limited.body);
    assert_eq!(limited.body["code"], "RATE_LIMIT_EXCEEDED");
    assert_eq!(limited.header("access-control-allow-origin"), Some(ORIGIN));
    assert!(limited.header("retry-after").is_some());
    assert_eq!(world.send(from("198.51.100.8")).await.status, 200);
    for host in ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:3"] {
        assert_eq!(world.send(from(host)).await.status, 200);
    }
    assert_eq!(world.send(from("2001:db8::4")).await.status, 429, "one IPv6 customer has one allowance");
    assert_eq!(world.send(from("2001:db8:0:1::1")).await.status, 200);
}

#[actix_web::test]
async fn payment_notifications_have_an_allowance_of_their_own() {
    if !require("pg") {
        return;
    }
    let world = open(|config| {
        config.address_allowance = minispod_api::Allowance::per_minute(1);
        config.notification_allowance = minispod_api::Allowance::per_minute(4);
    })
    .await;
    let peer = "203.0.113.5:1234".parse().expect("an address");
    let send = |method, path| world.send(request(method, path, None, Some(&json!({}))).peer_addr(peer));
    for _ in 0..4 {
        assert_eq!(send("POST", "/billing/webhooks/midtrans").await.status, 400, "judged, not counted as a request");
    }
    assert_eq!(send("POST", "/billing/webhooks/midtrans").await.status, 429);
    assert_eq!(send("GET", "/services/grouped").await.status, 200, "nor do they use up the requests");
    assert_eq!(send("GET", "/services/grouped").await.status, 429);
}

#[actix_web::test]
async fn without_a_database_everything_is_503_with_a_wait() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register("ani@example.com").await;
    world.store.pool().close().await;
    let login = json!({"email": "ani@example.com", "password": "Rahasia!1"});
    for request in [
        request("GET", "/services/grouped", None, None),
        request("GET", "/billing/balance", Some(&token), None),
        request("POST", "/auth/login", None, Some(&login)),
    ] {
        let answer = world.send(request).await;
        assert!(is_refusal(&answer.body, 503), "{:#}", answer.body);
        assert_eq!(answer.header("retry-after"), Some("2"));
        assert_eq!(answer.body["code"], "SERVICE_UNAVAILABLE");
    }
    assert_eq!(world.send(TestRequest::get().uri("/health")).await.status, 200, "the process itself lives");
    let ready = world.send(TestRequest::get().uri("/health/ready")).await;
    assert_eq!((ready.status.as_u16(), &ready.data()["checks"]["postgres"]["ok"]), (503, &json!(false)));
}

#[actix_web::test]
async fn probes_and_status_name_their_parts() {
    if !require("pg") {
        return;
    }
    let world =
        open(|config| config.stand_ins = [("midtrans".to_owned(), "http://127.0.0.1:9".to_owned())].into()).await;
    let ready = world.send(TestRequest::get().uri("/health/ready")).await;
    assert_eq!(ready.status, 200, "{:#}", ready.body);
    for name in ["postgres", "projection users", "projection billing"] {
        assert_eq!(ready.data()["checks"][name]["ok"], true, "{name}");
    }
    let status = world.call("GET", "/status", None, None).await;
    assert_eq!(
        (&status.data()["cluster"], &status.data()["standIns"]),
        (&json!("simulated"), &json!({"midtrans": "http://127.0.0.1:9"}))
    );
    world.shutdown.cancel();
    assert_eq!(world.send(TestRequest::get().uri("/health/ready")).await.status, 503);
}

#[actix_web::test]
async fn an_api_whose_read_models_have_not_begun_is_not_ready() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let ready = async || world.send(TestRequest::get().uri("/health/ready")).await;
    assert_eq!(ready().await.status, 200);
    let forgotten = sqlx::query("DELETE FROM ops.checkpoints WHERE name = 'catalogue'").execute(world.store.pool());
    assert_eq!(forgotten.await.expect("forgets").rows_affected(), 1);
    let answer = ready().await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.data()["checks"]["projection catalogue"],
        json!({"ok": false, "detail": "has not begun"}),
        "a request would meet tables that are not there"
    );
}

#[actix_web::test]
async fn metrics_are_for_those_who_know_the_token() {
    if !require("pg") {
        return;
    }
    let world = open(|config| config.metrics_token = Some("scrape".to_owned())).await;
    let with =
        |token: &str| TestRequest::get().uri("/metrics").insert_header(("authorization", format!("Bearer {token}")));
    assert_eq!(world.send(TestRequest::get().uri("/metrics")).await.status, 401);
    assert_eq!(world.send(with("guess")).await.status, 401);
    assert_eq!(world.send(with("scrape")).await.status, 200);
}

#[actix_web::test]
async fn without_a_token_production_has_no_metrics() {
    if !require("pg") {
        return;
    }
    let scrape = || TestRequest::get().uri("/metrics");
    let production = open(|config| "production".clone_into(&mut config.environment)).await;
    let hidden = production.send(scrape()).await;
    assert!(is_refusal(&hidden.body, 404), "{:#}", hidden.body);
    assert_eq!(hidden.body["code"], "ENDPOINT_NOT_FOUND");
    assert_eq!(open(|_| {}).await.send(scrape()).await.status, 200, "on a developer's machine they are open");
}

#[actix_web::test]
async fn scrapes_ask_the_database_at_most_every_half_minute() {
    if !require("pg") {
        return;
    }
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let world = open(|_| {}).await;
    let (world, recorder) = (&world, &recorder);
    let scraped = || async move {
        assert_eq!(world.send(TestRequest::get().uri("/metrics")).await.status, 200);
        let text = recorder.handle().render();
        text.lines().find_map(|line| line.strip_prefix("active_users_total ").map(str::to_owned))
    };
    world.register("ani@example.com").await;
    assert_eq!(scraped().await.as_deref(), Some("1"));
    world.register("budi@example.com").await;
    assert_eq!(scraped().await.as_deref(), Some("1"), "not counted again so soon");
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(scraped().await.as_deref(), Some("2"));
}

#[actix_web::test]
async fn a_request_in_flight_ends_before_the_server_does() {
    if !require("pg") {
        return;
    }
    let (state, world) = ground(|config| config.workers = 1).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = actix_web::rt::spawn(minispod_api::serve(state, listener).expect("serves"));
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
                content-length: 2\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sends");
    let mut begun = [0; 12];
    stream.read_exact(&mut begun).await.expect("the handler waits for the body");
    assert_eq!(&begun, b"HTTP/1.1 100");
    world.shutdown.cancel();
    minispod_testkit::wait_until(Duration::from_secs(10), || async {
        tokio::net::TcpStream::connect(address).await.is_err()
    })
    .await;
    stream.write_all(b"{}").await.expect("sends");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("the answer comes");
    assert!(rest.contains("400 Bad Request") && rest.contains("VALIDATION_ERROR"), "{rest}");
    tokio::time::timeout(Duration::from_secs(10), server).await.expect("ends").expect("runs").expect("stops");
}
