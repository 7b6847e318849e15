//! API tokens: shown once, bound to their scopes, ended at once.

use std::time::Duration;

use minispod_domain::{AccessCommand, AnyCommand, UserCommand};
use minispod_events::Role;
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::world::{Answered, PASSWORD, open};

const ANI: &str = "ani@example.com";

fn wish(scopes: &[&str]) -> Value {
    json!({"name": "deploys", "scopes": scopes, "expiresInDays": 30})
}

fn token_of(answer: &Answered) -> (String, String) {
    assert_eq!(answer.status, 201, "{:#}", answer.body);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    (text(&answer.data()["token"]), text(&answer.data()["apiToken"]["id"]))
}

#[actix_web::test]
async fn a_token_is_shown_once_and_does_what_its_scopes_say() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (session, user_id) = world.register(ANI).await;
    let (reader, id) = token_of(&world.post("/auth/api-tokens", &session, wish(&["read"])).await);
    let (writer, _) = token_of(&world.post("/auth/api-tokens", &session, wish(&["write"])).await);
    assert!(reader.starts_with("msp_"));
    let list = world.get("/auth/api-tokens", &session).await;
    assert_eq!(list.data()["apiTokens"].as_array().map(Vec::len), Some(2), "{:#}", list.body);
    let listed = list.data()["apiTokens"].as_array().expect("a list").iter().find(|one| one["id"] == *id);
    let listed = listed.expect("is listed");
    assert_eq!((&listed["name"], &listed["scopes"]), (&json!("deploys"), &json!(["read"])));
    assert!(!list.body.to_string().contains("msp_") && listed["expiresAt"].is_string());

    assert_eq!(world.get("/auth/me", &reader).await.data()["user"]["id"], *user_id);
    assert_eq!(world.get("/billing/balance", &reader).await.status, 200);
    let top_up = json!({"amount": 50_000});
    let refused = world.post("/billing/topup", &reader, top_up.clone()).await;
    assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (403, Some("FORBIDDEN_ERROR")));
    assert_eq!(world.post("/billing/topup", &writer, top_up).await.status, 201);
    assert_eq!(world.get("/auth/me", &writer).await.status, 403);

    let text: String = sqlx::query_scalar("SELECT string_agg(payload::text || metadata::text, ' ') FROM log.events")
        .fetch_one(world.store.pool())
        .await
        .expect("reads");
    assert!(!text.contains("msp_") && !text.contains("deploys"), "neither token nor name in the log");
}

#[actix_web::test]
async fn what_decides_over_the_account_is_done_signed_in() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (session, _) = world.register(ANI).await;
    let all = token_of(&world.post("/auth/api-tokens", &session, wish(&["read", "write"])).await).0;
    let new = json!({"currentPassword": PASSWORD, "newPassword": "Rahasia!2", "confirmNewPassword": "Rahasia!2"});
    for (method, path, body) in [
        ("POST", "/auth/api-tokens", Some(wish(&["read"]))),
        ("GET", "/auth/api-tokens", None),
        ("DELETE", "/auth/api-tokens/c000000000000000000000000", None),
        ("GET", "/auth/sessions", None),
        ("DELETE", "/auth/sessions", None),
        ("DELETE", "/auth/sessions/c000000000000000000000000", None),
        ("POST", "/auth/logout", None),
        ("POST", "/auth/change-password", Some(new)),
        ("PUT", "/auth/profile", Some(json!({"email": "thief@example.com"}))),
        ("DELETE", "/auth/account", None),
        ("POST", "/auth/2fa/setup", None),
        ("POST", "/auth/2fa/confirm", Some(json!({"otp": "000000"}))),
        ("POST", "/auth/2fa/disable", Some(json!({"otp": "000000"}))),
        ("POST", "/auth/resend-verification", None),
    ] {
        let refused = world.call(method, path, Some(&all), body.as_ref()).await;
        assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (403, Some("FORBIDDEN_ERROR")), "{path}");
    }
    assert_eq!(world.login(ANI, PASSWORD).await.status, 200);
}

#[actix_web::test]
async fn a_token_ends_when_it_is_revoked_expired_or_its_owner_is_out() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (session, user_id) = world.register(ANI).await;
    let (budi, _) = world.register("budi@example.com").await;
    let (token, id) = token_of(&world.post("/auth/api-tokens", &session, wish(&["read"])).await);
    let (elsewhere, elsewhere_id) = token_of(&world.post("/auth/api-tokens", &session, wish(&["read"])).await);
    assert_eq!(world.get("/auth/me", &token).await.status, 200);
    for (who, path) in [(&budi, id.as_str()), (&session, "c000000000000000000000000"), (&session, "No;Such")] {
        let refused = world.call("DELETE", &format!("/auth/api-tokens/{path}"), Some(who), None).await;
        assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (404, Some("NOT_FOUND_ERROR")), "{path}");
    }
    let revoked = world.call("DELETE", &format!("/auth/api-tokens/{id}"), Some(&session), None).await;
    assert_eq!(revoked.status, 200, "{:#}", revoked.body);
    assert_eq!(world.get("/auth/me", &token).await.status, 401, "at once");

    assert_eq!(world.get("/auth/me", &elsewhere).await.status, 200);
    let command = UserCommand::Access(AccessCommand::RevokeApiToken { token_id: elsewhere_id });
    world.command(&user_id, AnyCommand::User(command), "revoke").await;
    world.until_refused(&elsewhere).await;

    let (short, _) = token_of(
        &world
            .post("/auth/api-tokens", &session, json!({"name": "a day", "scopes": ["read"], "expiresInDays": 1}))
            .await,
    );
    let (long, _) = token_of(&world.post("/auth/api-tokens", &session, wish(&["read"])).await);
    assert_eq!(world.get("/auth/me", &short).await.status, 200);
    world.clock.advance(Duration::from_hours(24));
    assert_eq!(world.get("/auth/me", &short).await.status, 401, "to the second");
    assert_eq!(world.get("/auth/me", &long).await.status, 200);
    let command = UserCommand::Deactivate { reason: "test".to_owned() };
    world.command(&user_id, AnyCommand::User(command), "deactivate").await;
    world.until_refused(&long).await;
}

#[actix_web::test]
async fn forged_and_malformed_tokens_are_refused() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (session, _) = world.register(ANI).await;
    let (token, id) = token_of(&world.post("/auth/api-tokens", &session, wish(&["read"])).await);
    let mut forged = token.clone();
    forged.replace_range(forged.len() - 4.., "AAAA");
    let stranger = token.replace(&id, "c000000000000000000000000");
    for bad in ["msp_", "msp_x", &forged, &stranger] {
        let refused = world.get("/auth/me", bad).await;
        assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (401, Some("AUTH_ERROR")), "{bad}");
    }
    for (field, bad) in [("name", json!("")), ("scopes", json!(["root"])), ("expiresInDays", json!(0))] {
        let mut body = wish(&["read"]);
        body[field] = bad;
        let refused = world.post("/auth/api-tokens", &session, body).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec![field]));
    }
}

#[actix_web::test]
async fn the_scope_admin_is_an_administrators_and_there_are_only_so_many_tokens() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (session, user_id) = world.register(ANI).await;
    let admin = wish(&["read", "admin"]);
    let refused = world.post("/auth/api-tokens", &session, admin.clone()).await;
    assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (403, Some("FORBIDDEN_ERROR")));
    let command = UserCommand::ChangeRole { role: Role::Administrator, reason: "test".to_owned() };
    world.command(&user_id, AnyCommand::User(command), "promote").await;
    token_of(&world.post("/auth/api-tokens", &session, admin.clone()).await);
    for _ in 1..20 {
        token_of(&world.post("/auth/api-tokens", &session, wish(&["read"])).await);
    }
    let full = world.post("/auth/api-tokens", &session, admin).await;
    assert_eq!((full.status.as_u16(), full.body["code"].as_str()), (409, Some("CONFLICT_ERROR")));
}
