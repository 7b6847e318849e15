//! Bodies, fields, parameters and headers that do not fit, at every door that reads them.

use minispod_e2e::{World, WorldOptions};
use minispod_testkit::require;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Case, everything_written};

/// Twenty-five characters that could be an id, of nothing.
const NOBODY: &str = "c000000000000000000000000";
/// The largest form, and the largest notification, in bytes.
const FORM_LIMIT: usize = 16 * 1024;
const NOTIFICATION_LIMIT: usize = 64 * 1024;
/// The deepest nesting that is read.
const DEEPEST: usize = 32;

fn nested(depth: usize) -> Vec<u8> {
    format!("{{\"a\":{}1{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1)).into_bytes()
}

/// What breaks every door that reads a form.
fn broken_forms(method: &Method, path: &str) -> Vec<Case> {
    let case = |name: &str, body: Vec<u8>| Case::new(format!("{name} at {method} {path}"), method.clone(), path, body);
    let invalid = |name: &str, body: Vec<u8>| case(name, body).answered(400, "INVALID_JSON");
    let filled = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length)).into_bytes();
    vec![
        invalid("half of a body", b"{\"email\": ".to_vec()),
        invalid("no JSON at all", b"hello".to_vec()),
        invalid("two bodies", b"{}{}".to_vec()),
        invalid("bytes that are no text", vec![b'{', b'"', 0xff, 0xfe, b'"', b':', b'1', b'}']),
        invalid("an over-deep body", nested(DEEPEST + 1)),
        invalid("a bottomless body", vec![b'['; FORM_LIMIT]),
        case("an array", b"[1,2]".to_vec()).naming(&["body"]),
        case("a text", b"\"hello\"".to_vec()).naming(&["body"]),
        case("nothing but null", b"null".to_vec()).naming(&["body"]),
        case("an over-long body", filled(FORM_LIMIT)).answered(413, "PAYLOAD_TOO_LARGE"),
        case("a far too long body", filled(2 * 1024 * 1024)).answered(413, "PAYLOAD_TOO_LARGE"),
        case("another type", b"a=1".to_vec())
            .with("content-type", "application/x-www-form-urlencoded")
            .answered(415, "UNSUPPORTED_MEDIA_TYPE"),
        case("a packed body", b"{}".to_vec()).with("content-encoding", "gzip").answered(415, "UNSUPPORTED_MEDIA_TYPE"),
    ]
}

fn sign_in_cases() -> Vec<Case> {
    let good = json!({"name": "Ani", "email": "ani.unknown@example.com", "password": "Rahasia-123!", "confirmPassword": "Rahasia-123!"});
    let register = |name: &str, changes: Value, fields: &[&str]| {
        let mut body = good.clone();
        for (field, value) in changes.as_object().into_iter().flatten() {
            body[field] = value.clone();
        }
        Case::post(name, "/auth/register", &body, fields)
    };
    let all = ["name", "email", "password", "confirmPassword"];
    vec![
        Case::post("nothing to sign in with", "/auth/login", &json!({}), &["email", "password"]),
        Case::post("wrong types", "/auth/login", &json!({"email": {"a": 1}, "password": [1]}), &["email", "password"]),
        Case::post(
            "an over-long password and an unknown field",
            "/auth/login",
            &json!({"email": "ani@example.com", "password": "x".repeat(129), "remember": true}),
            &["password", "remember"],
        ),
        Case::post(
            "a wrong password",
            "/auth/login",
            &json!({"email": "ani.bad.input@example.com", "password": "x"}),
            &[],
        )
        .answered(401, "AUTH_ERROR"),
        Case::post("nobody's address", "/auth/login", &json!({"email": "nobody@example.com", "password": "x"}), &[])
            .answered(401, "AUTH_ERROR"),
        Case::post("an empty registration", "/auth/register", &json!({}), &all),
        register(
            "every field",
            json!({"name": "x", "email": "nobody", "password": "short", "confirmPassword": "o"}),
            &all,
        ),
        register("every type", json!({"name": 1, "email": [], "password": {}, "confirmPassword": true}), &all),
        register(
            "every length",
            json!({"name": "x".repeat(51), "email": format!("{}@example.com", "x".repeat(300)),
                   "password": format!("Aa1!{}", "x".repeat(200)), "confirmPassword": format!("Aa1!{}", "x".repeat(200))}),
            &["name", "email", "password"],
        ),
        register("a name with control characters", json!({"name": "Ani\u{0}\u{7}Budi"}), &["name"]),
        register("a role of one's own choice", json!({"role": "ADMINISTRATOR"}), &["role"]),
        register("unknown fields", json!({"isActive": true, "id": "x"}), &["id", "isActive"]),
        register("somebody's address", json!({"email": "ANI.bad.input@example.com"}), &[])
            .answered(409, "CONFLICT_ERROR"),
        register("a key where none is taken", json!({}), &["Idempotency-Key"]).with("Idempotency-Key", "k"),
    ]
}

fn topup_cases() -> Vec<Case> {
    let amount =
        |name: &str, amount: Value| Case::post(name, "/billing/topup", &json!({ "amount": amount }), &["amount"]);
    let keyed = |name: &str, header: &'static str, value: String| {
        Case::post(name, "/billing/topup", &json!({"amount": 50_000}), &[header]).with(header, value)
    };
    vec![
        amount("an amount as text", json!("100000")),
        amount("an amount with a fraction", json!(100_000.5)),
        amount("an amount below the least", json!(9_999)),
        amount("an amount above the most", json!(10_000_001)),
        amount("an amount below nothing", json!(-50_000)),
        amount("an amount no integer holds", json!(1e300)),
        amount("no amount", Value::Null),
        amount("a list of amounts", json!([50_000])),
        Case::post(
            "another currency and somebody's wallet",
            "/billing/topup",
            &json!({"amount": 50_000, "currency": "USD", "userId": NOBODY}),
            &["currency", "userId"],
        ),
        keyed("an over-long key", "Idempotency-Key", "k".repeat(256)),
        keyed("a key with a space", "Idempotency-Key", "a b".to_owned()),
        keyed("a version that is none", "If-Match", "\"seven\"".to_owned()),
    ]
}

fn subscription_cases(plan: &str) -> Vec<Case> {
    let wish = |name: &str, changes: Value, fields: &[&str]| {
        let mut body = json!({"serviceId": plan});
        for (field, value) in changes.as_object().into_iter().flatten() {
            body[field] = value.clone();
        }
        Case::post(name, "/subscriptions", &body, fields)
    };
    let many: Value = (0..200).map(|n| (format!("N8N_{n}"), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    vec![
        Case::post("a subscription to nothing", "/subscriptions", &json!({}), &["serviceId"]),
        wish("a number for a plan", json!({"serviceId": 5}), &["serviceId"]),
        wish("an over-long plan", json!({"serviceId": "c".repeat(65)}), &["serviceId"]),
        wish("a plan that does not exist", json!({"serviceId": NOBODY}), &[]).answered(404, "NOT_FOUND_ERROR"),
        wish("a subdomain that is none", json!({"subdomain": "../x"}), &["subdomain"]),
        wish("an over-long subdomain", json!({"subdomain": "x".repeat(41)}), &["subdomain"]),
        wish("another cycle", json!({"billingCycle": "weekly"}), &["billingCycle"]),
        wish("settings that are a list", json!({"customConfig": ["PATH"]}), &["customConfig"]),
        wish("too many settings", json!({"customConfig": many}), &["customConfig"]),
        wish("a deep setting", json!({"customConfig": {"N8N_HOST": {"a": 1}}}), &["customConfig.N8N_HOST"]),
        wish(
            "a setting that is not offered",
            json!({"customConfig": {"LD_PRELOAD": "x"}}),
            &["customConfig.LD_PRELOAD"],
        ),
        wish("an over-long setting", json!({"customConfig": {"A": "x".repeat(4_097)}}), &["customConfig.A"]),
        wish(
            "everything at once",
            json!({"subdomain": 5, "billingCycle": [], "autoRenew": "perhaps", "price": 1, "userId": NOBODY}),
            &["billingCycle", "subdomain", "autoRenew", "price", "userId"],
        ),
        Case::new("an over-long id", Method::GET, &format!("/subscriptions/{}", "c".repeat(500)), Vec::new())
            .answered(404, "NOT_FOUND_ERROR"),
        Case::new(
            "an id that is a statement",
            Method::GET,
            "/subscriptions/'%3B%20DROP%20TABLE%20log.events%3B%20--",
            Vec::new(),
        )
        .answered(404, "NOT_FOUND_ERROR"),
    ]
}

fn parameter_cases() -> Vec<Case> {
    let endless = format!("/services/grouped?search={}", "x".repeat(101));
    vec![
        Case::get("a page below one", "/billing/transactions?page=0", &["page"]),
        Case::get("a page size above the most", "/billing/transactions?limit=1000", &["limit"]),
        Case::get("a parameter twice", "/billing/transactions?page=1&page=2", &["query"]),
        Case::get(
            "every parameter",
            "/billing/invoices?page=x&limit=-1&type=X&status=NOPE&startDate=yesterday&endDate=2026-13-01",
            &["page", "limit", "type", "status", "startDate", "endDate"],
        ),
        Case::get("a statement for a status", "/billing/invoices?status='%20OR%201=1--", &["status"]),
        Case::get("an over-long search", &endless, &["search"]),
        Case::get("a search with a zero", "/services/grouped?search=a%00b", &["search"]),
        Case::get("a short id", "/billing/invoices/abc", &["id"]),
        Case::get("an over-long id", &format!("/billing/topup/{}", "c".repeat(31)), &["id"]),
        Case::get("an id that is a statement", "/billing/transactions/'%20OR%20'1'='1", &["id"]),
        Case::get("a path upwards", "/billing/invoices/..%2f..%2fetc%2fpasswd/pdf", &["id"]),
        Case::get("an unknown route", "/no/such/thing", &[]).answered(404, "ENDPOINT_NOT_FOUND"),
        Case::new("another method", Method::PATCH, "/billing/balance", b"{}".to_vec())
            .answered(405, "METHOD_NOT_ALLOWED"),
    ]
}

fn notification_cases() -> Vec<Case> {
    const DOOR: &str = "/billing/webhooks/midtrans";
    let required = ["order_id", "status_code", "gross_amount", "transaction_status", "signature_key"];
    let raw = |name: &str, body: Vec<u8>| Case::new(name, Method::POST, DOOR, body);
    vec![
        raw("half of a notification", b"{\"order_id\":".to_vec()).naming(&["body"]),
        raw("a notification that is a list", b"[]".to_vec()).naming(&["body"]),
        raw("an over-deep notification", nested(100_000 / 4)).naming(&["body"]),
        raw("an over-long notification", vec![b' '; NOTIFICATION_LIMIT + 1]).answered(413, "PAYLOAD_TOO_LARGE"),
        raw("an empty notification", b"{}".to_vec()).naming(&required),
        Case::post(
            "a notification of wrong types",
            DOOR,
            &json!({"order_id": 1, "status_code": 200, "gross_amount": 1.0, "transaction_status": [], "signature_key": {}}),
            &required,
        ),
        Case::post(
            "a notification with an over-long order",
            DOOR,
            &json!({"order_id": "x".repeat(256), "status_code": "200", "gross_amount": "1.00",
                    "transaction_status": "settlement", "signature_key": "0".repeat(128)}),
            &["order_id"],
        ),
        Case::post(
            "a notification that nobody signed",
            DOOR,
            &json!({"order_id": "TU-x.1", "status_code": "200", "gross_amount": "1.00",
                    "transaction_status": "settlement", "signature_key": "0".repeat(128)}),
            &[],
        )
        .answered(401, "AUTH_ERROR"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_by_name_and_nothing_is_written() {
    if !require("pg") || !require("nats") {
        return;
    }
    let world = World::start(WorldOptions::default()).await;
    let (customer, _) = world.door().register("Ani Bad Input").await;
    let topup = world.fund(&customer, 500_000).await;
    let (plan, price) = world.plan("n8n").await;
    // What a broken request must not renew, end or pay is there to be renewed, ended and paid.
    let subscription = format!("/subscriptions/{}", world.subscribe(&customer, &plan).await);
    let pay = format!("/billing/transactions/{}/pay", topup["transactionId"].as_str().expect("a top-up has an id"));
    let before = everything_written(&world).await;
    let mut cases = [sign_in_cases(), topup_cases(), parameter_cases(), notification_cases()]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
    cases.extend(subscription_cases(&world.plan("ghost").await.0));
    for path in ["/auth/login", "/auth/register", "/billing/topup", "/subscriptions"] {
        cases.extend(broken_forms(&Method::POST, path));
    }
    cases.extend(broken_forms(&Method::PUT, &format!("{subscription}/renew")));
    cases.extend(broken_forms(&Method::DELETE, &subscription));
    // Paying reads no field of its body, only whether it is one.
    cases.extend(broken_forms(&Method::POST, &pay).into_iter().filter(|case| case.fields.is_empty()));
    cases.push(
        Case::new(
            "a reason that is too long",
            Method::DELETE,
            &subscription,
            json!({"reason": "x".repeat(501)}).to_string(),
        )
        .naming(&["reason"]),
    );
    cases.push(
        Case::new(
            "an end that is neither now nor later",
            Method::DELETE,
            &subscription,
            json!({"immediate": "later", "reason": 5}).to_string(),
        )
        .naming(&["reason", "immediate"]),
    );
    cases.push(
        Case::new(
            "a renewal of wrong types",
            Method::PUT,
            &format!("{subscription}/renew"),
            r#"{"billingCycle":1,"autoRenew":[]}"#,
        )
        .naming(&["billingCycle", "autoRenew"]),
    );
    let mut wrong = Vec::new();
    for case in &cases {
        wrong.extend(case.check(&customer).await);
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert_eq!(everything_written(&world).await, before, "refused requests wrote something");
    assert_eq!(customer.get(&subscription).await.data()["status"], "ACTIVE");
    assert_eq!(customer.balance().await, 500_000 - price);
}
