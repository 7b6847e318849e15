//! Tokens that are forged, altered, expired or for somebody else: each is refused at every door in the same few words.

use minispod_e2e::{Door, World, WorldOptions, world::JWT_SECRET};
use minispod_testkit::require;
use reqwest::Method;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256, Sha512};

use super::{everything_written, refusal_faults};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64_url(bytes: &[u8]) -> String {
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

fn from_base64_url(text: &str) -> Vec<u8> {
    let place = |letter: u8| ALPHABET.iter().position(|known| *known == letter).expect("the alphabet of tokens");
    let bits: Vec<bool> =
        text.bytes().flat_map(|letter| (0..6).rev().map(move |bit| place(letter) >> bit & 1 == 1)).collect();
    bits.chunks_exact(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
}

/// HMAC by its definition, so that a forger needs nothing of ours.
fn hmac<D: Digest>(block: usize, key: &[u8], message: &str) -> Vec<u8> {
    let padded = |pad: u8| (0..block).map(|place| key.get(place).copied().unwrap_or(0) ^ pad).collect::<Vec<u8>>();
    let inner = D::new().chain_update(padded(0x36)).chain_update(message).finalize();
    D::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

/// A token with this header and these claims, signed with HMAC by `key`.
fn signed(algorithm: &str, claims: &Value, key: &str) -> String {
    let head = unsigned(algorithm, claims);
    let signature = match algorithm {
        "HS512" => hmac::<Sha512>(128, key.as_bytes(), &head),
        _ => hmac::<Sha256>(64, key.as_bytes(), &head),
    };
    format!("{head}.{}", base64_url(&signature))
}

fn unsigned(algorithm: &str, claims: &Value) -> String {
    let header = json!({"alg": algorithm, "typ": "JWT"});
    format!("{}.{}", base64_url(header.to_string().as_bytes()), base64_url(claims.to_string().as_bytes()))
}

/// What a real token says.
fn claims_of(token: &str) -> Value {
    let middle = token.split('.').nth(1).expect("a token has three parts");
    serde_json::from_slice(&from_base64_url(middle)).expect("claims are JSON")
}

fn with(claims: &Value, changes: &Value) -> Value {
    let mut members: Map<String, Value> = claims.as_object().cloned().unwrap_or_default();
    for (name, value) in changes.as_object().into_iter().flatten() {
        if value.is_null() {
            members.remove(name)
        } else {
            members.insert(name.clone(), value.clone())
        };
    }
    members.into()
}

/// Every token that must not be believed. `real` is a token of somebody who exists, `refresh` their other one.
fn bad_tokens(real: &str, refresh: &str, other_user: &str) -> Vec<(&'static str, String)> {
    let claims = &claims_of(real);
    let changed = |changes: Value| signed("HS256", &with(claims, &changes), JWT_SECRET);
    let begun = claims["iat"].as_i64().expect("a token says when it was made");
    let parts: Vec<&str> = real.split('.').collect();
    let promoted = with(claims, &json!({"role": "ADMINISTRATOR"}));
    let somebody = with(claims, &json!({"userId": other_user}));
    vec![
        ("signed with another key", signed("HS256", claims, "another-secret-of-at-least-32-characters!")),
        ("signed with no key", signed("HS256", claims, "")),
        ("not signed", format!("{}.", unsigned("none", claims))),
        ("not signed, in capitals", format!("{}.", unsigned("NONE", claims))),
        ("not signed, with a real signature", format!("{}.{}", unsigned("none", claims), parts[2])),
        ("signed as HS512 with our key", signed("HS512", claims, JWT_SECRET)),
        ("said to be RS256", signed("RS256", claims, JWT_SECRET)),
        ("expired long ago", changed(json!({"iat": 999_996_400, "exp": 1_000_000_000}))),
        ("expired when it began", changed(json!({ "exp": begun }))),
        ("without an end", changed(json!({"exp": null}))),
        ("with an end that is a text", changed(json!({"exp": "4102444800"}))),
        ("of another issuer", changed(json!({"iss": "somebody-else"}))),
        ("of no issuer", changed(json!({"iss": null}))),
        ("for another audience", changed(json!({"aud": "somebody-else"}))),
        ("for no audience", changed(json!({"aud": null}))),
        ("of nobody we know", changed(json!({"userId": "c000000000000000000000000"}))),
        ("of nobody at all", changed(json!({"userId": null}))),
        ("promoted under its old signature", format!("{}.{}", unsigned("HS256", &promoted), parts[2])),
        ("somebody else's under its old signature", format!("{}.{}", unsigned("HS256", &somebody), parts[2])),
        ("cut off", format!("{}.{}", parts[0], parts[1])),
        ("cut short", real[..real.len() - 2].to_owned()),
        ("with a part too many", format!("{real}.{}", parts[2])),
        ("the refresh token", refresh.to_owned()),
        ("nonsense", "nonsense".to_owned()),
        ("endless", "x".repeat(6_000)),
    ]
}

/// What is wrong with the answer to a token at one door.
async fn faults(door: &Door, method: &Method, path: &str, body: Option<Value>, secrets: &[String]) -> Vec<String> {
    let body = body.map(|body| body.to_string().into_bytes());
    let answer = door.try_send(method.clone(), path, body, &[]).await.expect("the api answers");
    let mut faults = refusal_faults(&answer, 401, "AUTH_ERROR");
    let message = answer.body["message"].as_str().unwrap_or_default();
    if !["Invalid token", "Token has expired", "User not found", "Access token is required"].contains(&message) {
        faults.push(format!("says {message:?}"));
    }
    if !answer.body["errors"].is_null() {
        faults.push(format!("names fields: {}", answer.body["errors"]));
    }
    if answer.headers.get("www-authenticate").is_none_or(|value| value != "Bearer") {
        faults.push("does not say how to sign in".to_owned());
    }
    let text = String::from_utf8_lossy(&answer.bytes).into_owned();
    faults.extend(secrets.iter().filter(|secret| text.contains(*secret)).map(|secret| format!("shows {secret}")));
    faults.into_iter().map(|fault| format!("{method} {path}: {fault}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_but_our_own_living_one_is_believed_at_any_door() {
    if !require("pg") || !require("nats") {
        return;
    }
    let world = World::start(WorldOptions::default()).await;
    let (_, user) = world.door().register("Ani Token").await;
    let (_, other) = world.door().register("Budi Token").await;
    let login = json!({"email": "ani.token@example.com", "password": "Rahasia-123!"});
    let tokens = world.door().post("/auth/login", login).await.data()["tokens"].clone();
    let word = |value: &Value| value.as_str().expect("a text").to_owned();
    let (real, refresh) = (word(&tokens["accessToken"]), word(&tokens["refreshToken"]));
    let (user_id, other_id) = (word(&user["id"]), word(&other["id"]));
    let claims = claims_of(&real);
    assert_eq!(claims["userId"], json!(user_id), "the forger knows whom to name");
    // A forger with our key would be believed: what is refused below is refused for the one thing that is wrong with it.
    let forged = world.door().with_token(&signed("HS256", &claims, JWT_SECRET));
    assert_eq!(forged.get("/auth/me").await.data()["user"]["id"], json!(user_id));
    let doors = [
        (Method::GET, "/auth/me", None),
        (Method::GET, "/billing/balance", None),
        (Method::GET, "/billing/invoices", None),
        (Method::GET, "/subscriptions", None),
        (Method::POST, "/billing/topup", Some(json!({"amount": 50_000}))),
        (Method::POST, "/subscriptions", Some(json!({"serviceId": world.plan("n8n").await.0}))),
    ];
    let secrets = [user_id, other_id.clone(), word(&user["email"]), word(&claims["sid"]), JWT_SECRET.to_owned()];
    let before = everything_written(&world).await;
    let mut wrong = Vec::new();
    for (name, token) in bad_tokens(&real, &refresh, &other_id) {
        for (method, path, body) in &doors {
            let door = world.door().with_token(&token);
            let found = faults(&door, method, path, body.clone(), &secrets).await;
            wrong.extend(found.into_iter().map(|fault| format!("a token {name}: {fault}")));
        }
    }
    for (method, path, body) in &doors {
        wrong.extend(faults(&world.door(), method, path, body.clone(), &secrets).await);
    }
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(everything_written(&world).await, before, "a refused token wrote something");
}

#[test]
fn the_forgers_hmac_and_base64_are_right() {
    // RFC 4231, test case 2.
    let digest = hmac::<Sha256>(64, b"Jefe", "what do ya want for nothing?");
    assert_eq!(hex::encode(digest), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    for bytes in [&b""[..], b"f", b"fo", b"foo", &[0xff, 0xfe, 0, 1, 2]] {
        assert_eq!(from_base64_url(&base64_url(bytes)), bytes);
    }
}
