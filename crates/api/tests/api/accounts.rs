//! Registration, sign-in and who counts as signed in.

use std::time::Duration;

use minispod_api::routes::auth::register::REPEAT_WITHIN;
use minispod_auth::AccessTokens;
use minispod_domain::{AnyCommand, UserCommand};
use minispod_testkit::require;
use serde_json::json;

use crate::{
    shapes::assert_shape,
    world::{PASSWORD, TOKEN_SECRET, open, request},
};

#[actix_web::test]
async fn a_person_registers_once_and_signs_in_with_any_case_of_the_address() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let new = json!({"name": "Ani", "email": "Ani@Example.com", "password": PASSWORD, "confirmPassword": PASSWORD});
    let registered = world.call("POST", "/auth/register", None, Some(&new)).await;
    assert_eq!(registered.status, 201);
    assert_shape("POST /api/v1/auth/register", "ok", &registered.body);
    assert_eq!(registered.body["statusCode"], 201);
    assert_eq!(registered.header("etag"), Some("\"1\""));
    assert_eq!(registered.header("preference-applied"), Some("wait"));

    let again = json!({"name": "Other", "email": "ani@example.COM", "password": PASSWORD, "confirmPassword": PASSWORD});
    let refused = world.call("POST", "/auth/register", None, Some(&again)).await;
    assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (409, Some("CONFLICT_ERROR")));
    assert_shape("POST /api/v1/auth/register", "refused", &refused.body);

    let login = json!({"email": "ANI@example.com", "password": PASSWORD});
    let login = world.call("POST", "/auth/login", None, Some(&login)).await;
    assert_eq!(login.status, 200);
    assert_shape("POST /api/v1/auth/login", "ok", &login.body);
    assert_eq!(login.data()["tokens"]["expiresIn"], "24h");
    let token = login.data()["tokens"]["accessToken"].as_str().expect("a token");
    let me = world.get("/auth/me", token).await;
    assert_shape("GET /api/v1/auth/me", "ok", &me.body);
    assert_eq!(me.data()["user"]["email"], "Ani@Example.com");
    let balance = world.get("/billing/balance", token).await;
    assert_shape("GET /api/v1/billing/balance", "ok", &balance.body);
    assert_eq!(balance.data()["balance"], "0");
}

#[actix_web::test]
async fn a_registration_whose_answer_was_lost_is_repeated_and_no_other_is() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let body = |name: &str, password: &str| json!({"name": name, "email": "ani@example.com", "password": password, "confirmPassword": password});
    let register = async |name, password| world.call("POST", "/auth/register", None, Some(&body(name, password))).await;
    // The disk is full for sessions only: the account is made, and its answer is a failure.
    let admin = world.database.pool().await;
    for statement in [
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql
         AS $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$",
        "CREATE TRIGGER no_sessions BEFORE INSERT ON log.events FOR EACH ROW
         WHEN (NEW.aggregate_type = 'session') EXECUTE FUNCTION full_disk()",
    ] {
        sqlx::query(statement).execute(&admin).await.expect("sessions are refused");
    }
    assert_eq!(register("Ani", PASSWORD).await.status, 503);
    assert_eq!((world.count("UserRegistered").await, world.count("SessionOpened").await), (1, 0));
    sqlx::query("DROP TRIGGER no_sessions ON log.events").execute(&admin).await.expect("sessions are taken again");

    let mut refusals = Vec::new();
    for (name, password) in [("Ani", "Another!1"), ("Eve", PASSWORD)] {
        let refused = register(name, password).await;
        assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (409, Some("CONFLICT_ERROR")));
        refusals.push(refused.body["message"].clone());
    }
    world.clock.advance(REPEAT_WITHIN.saturating_sub(Duration::from_millis(1)));
    let repeated = register("Ani", PASSWORD).await;
    assert_eq!(repeated.status, 201, "{:#}", repeated.body);
    assert_shape("POST /api/v1/auth/register", "ok", &repeated.body);
    assert_eq!((repeated.header("etag"), &repeated.data()["user"]["name"]), (Some("\"1\""), &json!("Ani")));
    let token = repeated.data()["tokens"]["accessToken"].as_str().expect("a token");
    let me = world.get("/auth/me", token).await;
    assert_eq!((me.status.as_u16(), &me.data()["user"]["id"]), (200, &repeated.data()["user"]["id"]));
    assert_eq!(world.get("/billing/balance", token).await.data()["balance"], "0", "the wallet is there once");
    let counts = (world.count("UserRegistered").await, world.count("WalletOpened").await);
    assert_eq!((counts, world.count("SessionOpened").await), ((1, 1), 1));

    world.clock.advance(Duration::from_millis(1));
    let late = register("Ani", PASSWORD).await;
    assert_eq!((late.status.as_u16(), world.count("SessionOpened").await), (409, 1));
    refusals.push(late.body["message"].clone());
    refusals.dedup();
    assert_eq!(refusals.len(), 1, "all are told the same: {refusals:?}");
}

#[actix_web::test]
async fn an_account_that_has_a_history_is_not_registered_again() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (_, user_id) = world.register("ani@example.com").await;
    let again =
        json!({"name": "Ani Wijaya", "email": "ani@example.com", "password": PASSWORD, "confirmPassword": PASSWORD});
    assert_eq!(world.call("POST", "/auth/register", None, Some(&again)).await.status, 201);
    let command = AnyCommand::User(UserCommand::Deactivate { reason: "test".to_owned() });
    world.command(&user_id, command, "deactivate").await;
    assert_eq!(world.call("POST", "/auth/register", None, Some(&again)).await.status, 409);
}

#[actix_web::test]
async fn an_unknown_address_and_a_wrong_password_are_told_the_same() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.register("ani@example.com").await;
    let wrong = json!({"email": "ani@example.com", "password": "Wrong!123"});
    let unknown = json!({"email": "nobody@example.com", "password": PASSWORD});
    let wrong = world.call("POST", "/auth/login", None, Some(&wrong)).await;
    let unknown = world.call("POST", "/auth/login", None, Some(&unknown)).await;
    for refused in [&wrong, &unknown] {
        assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (401, Some("AUTH_ERROR")));
        assert_shape("POST /api/v1/auth/login", "refused", &refused.body);
    }
    assert_eq!(wrong.body["message"], unknown.body["message"]);
}

#[actix_web::test]
async fn login_names_its_bad_fields_for_the_clients_form() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let answer = world.call("POST", "/auth/login", None, Some(&json!({"email": "ani", "password": ""}))).await;
    assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (400, Some("VALIDATION_ERROR")));
    assert_eq!(answer.fields(), ["email", "password"]);
}

#[actix_web::test]
async fn tokens_of_nobody_of_others_and_of_yesterday_are_refused() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register("ani@example.com").await;
    let mut altered = token.clone();
    altered.replace_range(token.len() - 4.., "AAAA");
    // {"alg":"none"} before the very claims that are good in her own token.
    let (_, rest) = token.split_once('.').expect("three parts");
    let claims = rest.split('.').next().expect("claims");
    let unsigned = format!("eyJhbGciOiJub25lIn0.{claims}.");
    for bad in ["", "nonsense", &altered, &unsigned, &format!("eyJhbGciOiJub25lIn0.{rest}")] {
        let refused = world.get("/auth/me", bad).await;
        assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (401, Some("AUTH_ERROR")), "{bad:?}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    }
    world.clock.advance(std::time::Duration::from_hours(24));
    let expired = world.get("/auth/me", &token).await;
    assert_eq!((expired.status.as_u16(), expired.body["message"].as_str()), (401, Some("Token has expired")));
}

#[actix_web::test]
async fn who_registered_a_moment_ago_elsewhere_signs_in_at_once() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stick(true);
    world.register("ani@example.com").await;
    assert_eq!(world.login("ani@example.com", PASSWORD).await.status, 503, "no read model moves");
    world.stick(false);
    assert_eq!(world.login("ani@example.com", PASSWORD).await.status, 200, "it is waited for");
}

#[actix_web::test]
async fn a_new_account_that_is_not_shown_yet_comes_back_and_a_strangers_token_does_not() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stick(true);
    let (token, _) = world.register("ani@example.com").await;
    let early = world.get("/auth/me", &token).await;
    assert_eq!((early.status.as_u16(), early.header("retry-after")), (503, Some("2")), "{:#}", early.body);
    world.stick(false);
    world.read.catch_up().await;
    assert_eq!(world.get("/auth/me", &token).await.status, 200, "its absence was not remembered");

    let tokens = AccessTokens::new(TOKEN_SECRET, std::time::Duration::from_hours(1), world.clock.clone());
    let stranger = tokens.expect("long enough").issue("cnobody00000000000000000", "USER", "cs").expect("signs");
    let refused = world.get("/auth/me", &stranger).await;
    assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (401, Some("AUTH_ERROR")));
}

#[actix_web::test]
async fn a_deactivated_account_is_out_within_a_second_token_or_not() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, user_id) = world.register("ani@example.com").await;
    assert_eq!(world.get("/auth/me", &token).await.status, 200);
    let command = AnyCommand::User(UserCommand::Deactivate { reason: "test".to_owned() });
    world.command(&user_id, command, "deactivate").await;
    let world = &world;
    minispod_testkit::wait_until(std::time::Duration::from_secs(1), || async {
        world.get("/auth/me", &token).await.status == 401
    })
    .await;
    let login = json!({"email": "ani@example.com", "password": PASSWORD});
    let refused = world.call("POST", "/auth/login", None, Some(&login)).await;
    assert_eq!((refused.status.as_u16(), refused.body["message"].as_str()), (401, Some("Account is deactivated")));
}

#[actix_web::test]
async fn routes_that_return_tokens_take_no_idempotency_key() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    for path in ["/auth/register", "/auth/login"] {
        let keyed = crate::world::request("POST", path, None, Some(&json!({}))).insert_header(("idempotency-key", "k"));
        let refused = world.send(keyed).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec!["Idempotency-Key"]), "{path}");
    }
}

#[actix_web::test]
async fn secrets_never_reach_the_log_of_events() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register("ani@example.com").await;
    let plan = "cplanfree0000000000000000";
    world.publish(plan, "free", 0, -1).await;
    let settings = json!({"serviceId": plan, "customConfig": {"N8N_SMTP_PASS": "hunter-of-smtp"}});
    let wish = request("POST", "/subscriptions", Some(&token), Some(&settings));
    let bought = world.send(wish.insert_header(("Idempotency-Key", "ani@example.com"))).await;
    assert_eq!(bought.status, 200, "{:#}", bought.body);
    let id = bought.data()["id"].as_str().expect("an id");
    world.settle_reactions().await;
    let reason = json!({"reason": "my sister Siti Wijaya said so"});
    let ended = world.call("DELETE", &format!("/subscriptions/{id}"), Some(&token), Some(&reason)).await;
    assert_eq!(ended.status, 200, "{:#}", ended.body);
    for answer in [&bought.body, &ended.body, &world.get(&format!("/subscriptions/{id}"), &token).await.body] {
        assert!(!answer.to_string().contains("hunter-of-smtp"), "{answer:#}");
    }
    let text: String = sqlx::query_scalar("SELECT string_agg(payload::text || metadata::text, ' ') FROM log.events")
        .fetch_one(world.store.pool())
        .await
        .expect("reads");
    for secret in [PASSWORD, "ani@example.com", "Ani Wijaya", "argon2", token.as_str(), "hunter-of-smtp", "Siti"] {
        assert!(!text.contains(secret), "{secret}");
    }
}
