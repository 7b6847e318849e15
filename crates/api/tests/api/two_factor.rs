//! Signing in with a second factor.

use std::time::Duration;

use minispod_auth::CodeSecret;
use minispod_testkit::require;
use serde_json::{Value, json};
use totp_rs::Secret;

use crate::world::{Answered, PASSWORD, open};

const ANI: &str = "ani@example.com";
const STEP: Duration = Duration::from_secs(30);

fn secret_of(answer: &Answered) -> CodeSecret {
    let text = answer.data()["secret"].as_str().expect("a secret");
    CodeSecret::of_bytes(Secret::try_from_base32(text).expect("base 32").as_bytes().to_vec())
}

/// Sets two-factor sign-in up; evaluates to the secret and the recovery codes.
macro_rules! switch_on {
    ($world:expr, $token:expr) => {{
        let set_up = $world.call("POST", "/auth/2fa/setup", Some($token), None).await;
        assert_eq!(set_up.status, 200, "{:#}", set_up.body);
        let secret = secret_of(&set_up);
        let code = secret.code_at(minispod_kernel::Clock::now($world.clock.as_ref())).expect("a code");
        let on = $world.post("/auth/2fa/confirm", $token, json!({ "otp": code })).await;
        assert_eq!(on.status, 200, "{:#}", on.body);
        let codes: Vec<String> = serde_json::from_value(on.data()["recoveryCodes"].clone()).expect("codes");
        (secret, codes)
    }};
}

fn login(factor: &Value) -> Value {
    let mut body = json!({"email": ANI, "password": PASSWORD});
    for (name, value) in factor.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

#[actix_web::test]
async fn nothing_is_asked_for_before_the_first_code_and_a_code_each_time_after_it() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register(ANI).await;
    let set_up = world.call("POST", "/auth/2fa/setup", Some(&token), None).await;
    let url = set_up.data()["otpauthUrl"].as_str().expect("a url");
    assert!(url.starts_with("otpauth://totp/Minispod") && url.contains("secret="), "{url}");
    assert_eq!(world.login(ANI, PASSWORD).await.status, 200, "not confirmed yet");
    let wrong = world.post("/auth/2fa/confirm", &token, json!({"otp": "000000"})).await;
    assert_eq!((wrong.status.as_u16(), wrong.body["code"].as_str()), (400, Some("INVALID_CODE")));

    let (secret, codes) = switch_on!(world, &token);
    assert_eq!(codes.len(), 10);
    assert_eq!(world.get("/auth/profile", &token).await.data()["twoFactorEnabled"], true);
    let asked = world.login_with(&login(&json!({}))).await;
    assert_eq!((asked.status.as_u16(), asked.body["code"].as_str()), (401, Some("TWO_FACTOR_REQUIRED")));
    let wrong = json!({"email": ANI, "password": "Wrong!123", "otp": "123456"});
    assert_eq!(world.login_with(&wrong).await.body["code"], "AUTH_ERROR", "the password comes first");

    world.clock.advance(STEP);
    let code = json!({"otp": secret.code_at(minispod_kernel::Clock::now(world.clock.as_ref())).expect("a code")});
    let signed_in = world.login_with(&login(&code)).await;
    assert_eq!(signed_in.status, 200, "{:#}", signed_in.body);
    let replayed = world.login_with(&login(&code)).await;
    assert_eq!((replayed.status.as_u16(), replayed.body["code"].as_str()), (401, Some("INVALID_CODE")));
    for path in ["/auth/2fa/setup", "/auth/2fa/confirm"] {
        let again = world.call("POST", path, Some(&token), Some(&code)).await;
        assert_eq!(again.status, 409, "{path}: {:#}", again.body);
    }
}

#[actix_web::test]
async fn the_code_that_switched_it_on_signs_nobody_in() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register(ANI).await;
    let (secret, _) = switch_on!(world, &token);
    let code = json!({"otp": secret.code_at(minispod_kernel::Clock::now(world.clock.as_ref())).expect("a code")});
    assert_eq!(world.login_with(&login(&code)).await.body["code"], "INVALID_CODE");
}

#[actix_web::test]
async fn the_same_code_at_the_same_time_lets_one_in() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register(ANI).await;
    let (secret, _) = switch_on!(world, &token);
    world.clock.advance(STEP);
    let code = json!({"otp": secret.code_at(minispod_kernel::Clock::now(world.clock.as_ref())).expect("a code")});
    let body = login(&code);
    let tries = futures::future::join_all((0..4).map(|_| world.login_with(&body))).await;
    assert_eq!(tries.iter().filter(|answer| answer.status == 200).count(), 1);
}

#[actix_web::test]
async fn a_recovery_code_stands_in_once() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register(ANI).await;
    let (_, codes) = switch_on!(world, &token);
    let typed = json!({"recoveryCode": codes[4].to_lowercase().replace('-', "")});
    assert_eq!(world.login_with(&login(&typed)).await.status, 200);
    assert_eq!(world.login_with(&login(&json!({"recoveryCode": codes[4]}))).await.body["code"], "INVALID_CODE");
    assert_eq!(world.login_with(&login(&json!({"recoveryCode": codes[5]}))).await.status, 200);
    let text: String = sqlx::query_scalar("SELECT string_agg(payload::text || metadata::text, ' ') FROM log.events")
        .fetch_one(world.store.pool())
        .await
        .expect("reads");
    assert!(codes.iter().all(|code| !text.contains(code.as_str())), "no code in the log");
}

#[actix_web::test]
async fn codes_are_guessed_a_few_times_only() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register(ANI).await;
    let (secret, _) = switch_on!(world, &token);
    world.clock.advance(STEP);
    for _ in 0..5 {
        assert_eq!(world.login_with(&login(&json!({"otp": "000000"}))).await.status, 401);
    }
    let code = json!({"otp": secret.code_at(minispod_kernel::Clock::now(world.clock.as_ref())).expect("a code")});
    let stopped = world.login_with(&login(&code)).await;
    assert_eq!((stopped.status.as_u16(), stopped.body["code"].as_str()), (429, Some("RATE_LIMIT_EXCEEDED")));
    assert!(stopped.header("retry-after").is_some());
    world.clock.advance(Duration::from_mins(15));
    let code = json!({"otp": secret.code_at(minispod_kernel::Clock::now(world.clock.as_ref())).expect("a code")});
    assert_eq!(world.login_with(&login(&code)).await.status, 200);
}

#[actix_web::test]
async fn it_is_switched_off_with_a_code_only() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register(ANI).await;
    let early = world.post("/auth/2fa/disable", &token, json!({"otp": "000000"})).await;
    assert_eq!(early.status, 409);
    let (_, codes) = switch_on!(world, &token);
    let none = world.post("/auth/2fa/disable", &token, json!({})).await;
    assert_eq!((none.status.as_u16(), none.fields()), (400, vec!["otp"]));
    let wrong = world.post("/auth/2fa/disable", &token, json!({"otp": "000000"})).await;
    assert_eq!((wrong.status.as_u16(), wrong.body["code"].as_str()), (400, Some("INVALID_CODE")));
    assert_eq!(world.login(ANI, PASSWORD).await.status, 401);
    let off = world.post("/auth/2fa/disable", &token, json!({"recoveryCode": codes[0]})).await;
    assert_eq!(off.status, 200, "{:#}", off.body);
    assert_eq!(world.login(ANI, PASSWORD).await.status, 200);
    assert_eq!(world.get("/auth/profile", &token).await.data()["twoFactorEnabled"], false);
    let (_, new) = switch_on!(world, &token);
    assert_eq!(world.login_with(&login(&json!({"recoveryCode": codes[1]}))).await.body["code"], "INVALID_CODE");
    assert_eq!(world.login_with(&login(&json!({"recoveryCode": new[0]}))).await.status, 200);
}
