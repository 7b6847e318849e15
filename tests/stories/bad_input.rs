//! Bad input: right status, the envelope, every field named, nothing written, no internal text.

use std::fmt::Write as _;

use minispod_e2e::{Door, World, WorldOptions};
use minispod_testkit::require;
use reqwest::Method;
use serde_json::{Value, json};

/// One request and what must come back.
struct Case {
    name: &'static str,
    method: Method,
    path: &'static str,
    body: Vec<u8>,
    status: u16,
    /// Fields that must be named in `errors[].field`.
    fields: &'static [&'static str],
}

fn case(
    name: &'static str,
    method: Method,
    path: &'static str,
    body: &Value,
    status: u16,
    fields: &'static [&'static str],
) -> Case {
    Case { name, method, path, body: body.to_string().into_bytes(), status, fields }
}

fn raw(name: &'static str, path: &'static str, body: Vec<u8>, status: u16) -> Case {
    Case { name, method: Method::POST, path, body, status, fields: &[] }
}

fn public_cases() -> Vec<Case> {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    vec![
        raw("malformed JSON", "/auth/login", b"{\"email\": ".to_vec(), 400),
        raw("not JSON at all", "/auth/login", b"hello".to_vec(), 400),
        raw("an over-deep body", "/auth/login", deep.into_bytes(), 400),
        raw("an over-long body", "/auth/login", vec![b' '; 2 * 1024 * 1024], 413),
        case("an array where an object belongs", Method::POST, "/auth/login", &json!([1, 2]), 400, &[]),
        case("missing fields", Method::POST, "/auth/login", &json!({}), 400, &["email", "password"]),
        case(
            "wrong types",
            Method::POST,
            "/auth/login",
            &json!({"email": {"a": 1}, "password": [1]}),
            400,
            &["email", "password"],
        ),
        case(
            "every failing field of a registration",
            Method::POST,
            "/auth/register",
            &json!({"name": "x", "email": "nobody", "password": "short", "confirmPassword": "other"}),
            400,
            &["name", "email", "password", "confirmPassword"],
        ),
        case(
            "an unknown field where none may be",
            Method::POST,
            "/auth/register",
            &json!({"name": "Ani", "email": "ani.unknown@example.com", "password": "Rahasia-123!", "confirmPassword": "Rahasia-123!", "role": "ADMINISTRATOR"}),
            400,
            &["role"],
        ),
        case("an unknown route", Method::GET, "/no/such/thing", &json!({}), 404, &[]),
        case("a route of customers without a token", Method::GET, "/billing/balance", &json!({}), 401, &[]),
    ]
}

fn customer_cases() -> Vec<Case> {
    vec![
        case("an amount as text", Method::POST, "/billing/topup", &json!({"amount": "100000"}), 400, &["amount"]),
        case(
            "an amount with a fraction",
            Method::POST,
            "/billing/topup",
            &json!({"amount": 100_000.5}),
            400,
            &["amount"],
        ),
        case("an amount below the least", Method::POST, "/billing/topup", &json!({"amount": 9_999}), 400, &["amount"]),
        case(
            "an amount above the most",
            Method::POST,
            "/billing/topup",
            &json!({"amount": 10_000_001}),
            400,
            &["amount"],
        ),
        case("an amount no integer holds", Method::POST, "/billing/topup", &json!({"amount": 1e300}), 400, &["amount"]),
        case(
            "another currency",
            Method::POST,
            "/billing/topup",
            &json!({"amount": 50_000, "currency": "USD"}),
            400,
            &["currency"],
        ),
        case("a subscription to nothing", Method::POST, "/subscriptions", &json!({}), 400, &["serviceId"]),
        case(
            "a plan that does not exist",
            Method::POST,
            "/subscriptions",
            &json!({"serviceId": "c000000000000000000000000"}),
            404,
            &[],
        ),
        case(
            "a subdomain that is none",
            Method::POST,
            "/subscriptions",
            &json!({"serviceId": "c000000000000000000000000", "subdomain": "../x"}),
            400,
            &["subdomain"],
        ),
        case("a page below one", Method::GET, "/billing/transactions?page=0", &json!({}), 400, &[]),
        case("a page size above the most", Method::GET, "/billing/transactions?limit=1000", &json!({}), 400, &[]),
        case("a filter that is none", Method::GET, "/billing/invoices?status=NOPE", &json!({}), 400, &[]),
        case("somebody's invoice", Method::GET, "/billing/invoices/c000000000000000000000000", &json!({}), 404, &[]),
        case("an id that is none", Method::GET, "/subscriptions/'; DROP TABLE log.events; --", &json!({}), 404, &[]),
    ]
}

async fn check(door: &Door, case: &Case) -> Result<(), String> {
    let path = case.path.replace(' ', "%20");
    let answer = door
        .try_send(case.method.clone(), &path, Some(case.body.clone()), &[])
        .await
        .map_err(|error| format!("{}: no answer: {error}", case.name))?;
    let mut wrong = String::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            let _ = write!(wrong, "{}: {what}; ", case.name);
        }
    };
    expect(answer.status == case.status, format!("status {} instead of {}", answer.status, case.status));
    expect(answer.body["success"] == json!(false), format!("no refusal envelope: {}", answer.body));
    expect(answer.body["message"].is_string() && !answer.body["code"].is_null(), "message or code is missing".into());
    expect(answer.body["statusCode"] == json!(answer.status), "statusCode differs from the status".into());
    for field in case.fields {
        let named = answer.body["errors"].as_array().into_iter().flatten().any(|error| error["field"] == *field);
        expect(named, format!("{field} is not named in {}", answer.body["errors"]));
    }
    let text = String::from_utf8_lossy(&answer.bytes).to_lowercase();
    for leak in ["sqlx", "panicked", "src/", "postgres", "nats", "serde", "line 1 column", "select "] {
        expect(!text.contains(leak), format!("the answer shows {leak:?}"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_by_name_and_nothing_is_written() {
    if !require("pg") || !require("nats") {
        return;
    }
    let world = World::start(WorldOptions::default()).await;
    let (customer, _) = world.door().register("Ani Bad Input").await;
    let (other, _) = world.door().register("Budi Bad Input").await;
    let topup = other.post("/billing/topup", json!({"amount": 50_000})).await;
    let topup_id = topup.data()["transactionId"].as_str().expect("a top-up has an id").to_owned();
    let sql = world.sql().await;
    let events = async || -> i64 {
        let (count,): (i64,) =
            sqlx::query_as("SELECT count(*) FROM log.events WHERE aggregate_type NOT IN ('mail', 'topup', 'session')")
                .fetch_one(&sql)
                .await
                .expect("the log can be counted");
        count
    };
    let before = events().await;
    let mut wrong = Vec::new();
    for case in public_cases() {
        wrong.extend(check(&world.door(), &case).await.err());
    }
    for case in customer_cases() {
        wrong.extend(check(&customer, &case).await.err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let foreign = customer.get(&format!("/billing/topup/{topup_id}")).await;
    assert_eq!(foreign.status, 404, "somebody else's top-up looks as if it did not exist");
    let token_cases = [
        ("a forged token", forged_token()),
        ("an expired token", expired_token()),
        ("no token at all", "nonsense".to_owned()),
    ];
    for (name, token) in token_cases {
        let answer = world.door().with_token(&token).get("/auth/me").await;
        assert_eq!(answer.status, 401, "{name}");
        assert_eq!(answer.body["code"], "AUTH_ERROR", "{name}");
    }
    assert_eq!(events().await, before, "refused requests wrote events");
}

/// An unsigned token that claims to be somebody (`alg: none`).
fn forged_token() -> String {
    encode_token(&json!({"alg": "none", "typ": "JWT"}), 4_102_444_800)
}

/// A token whose time is over; its signature is wrong as well.
fn expired_token() -> String {
    encode_token(&json!({"alg": "HS256", "typ": "JWT"}), 1_000_000_000)
}

fn encode_token(header: &Value, expires: i64) -> String {
    let claims = json!({"userId": "c000000000000000000000000", "role": "ADMINISTRATOR", "sid": "x",
                        "iat": 1, "exp": expires, "iss": "paas-backend", "aud": "paas-frontend"});
    let part = |value: &Value| base64_url(value.to_string().as_bytes());
    format!("{}.{}.{}", part(header), part(&claims), base64_url(b"not a signature"))
}

fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let number =
            chunk.iter().fold(0_u32, |number, byte| (number << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            out.push(char::from(ALPHABET[(number >> (18 - 6 * index)) as usize & 63]));
        }
    }
    out
}
