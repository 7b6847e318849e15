//! Sessions: refreshed once per token, ended by sign-out and from elsewhere, seen and ended in a list.

use minispod_domain::{AnyCommand, SessionCommand};
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    shapes::assert_shape,
    world::{Tokens, open, request},
};

const ANI: &str = "ani@example.com";

fn ids(list: &Value) -> Vec<&str> {
    list["sessions"].as_array().expect("a list").iter().filter_map(|session| session["id"].as_str()).collect()
}

#[actix_web::test]
async fn a_refresh_token_works_once_and_its_second_use_ends_the_whole_session() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.register(ANI).await;
    let first = world.sign_in(ANI).await;
    let elsewhere = world.sign_in(ANI).await;
    let refreshed = world.refresh(&first.refresh).await;
    assert_eq!(refreshed.status, 200, "{:#}", refreshed.body);
    assert_shape("POST /api/v1/auth/refresh", "ok", &refreshed.body);
    let second = Tokens::of(&refreshed);
    assert_ne!(first.refresh, second.refresh);
    let third = Tokens::of(&world.refresh(&second.refresh).await);
    for token in [&first.access, &second.access, &third.access] {
        assert_eq!(world.get("/auth/me", token).await.status, 200, "one session, each token in its time");
    }

    let stolen = world.refresh(&first.refresh).await;
    assert_eq!((stolen.status.as_u16(), stolen.body["code"].as_str()), (401, Some("AUTH_ERROR")));
    assert_eq!(world.refresh(&third.refresh).await.status, 401, "the honest one has to sign in again");
    for token in [&first.access, &second.access, &third.access] {
        world.until_refused(token).await;
    }
    assert_eq!(world.count("SessionReuseDetected").await, 1);
    assert_eq!(world.get("/auth/me", &elsewhere.access).await.status, 200, "another session is not touched");
}

#[actix_web::test]
async fn forged_expired_and_malformed_refresh_tokens_are_refused_alike_and_end_nothing() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.register(ANI).await;
    let tokens = world.sign_in(ANI).await;
    let mut forged = tokens.refresh.clone();
    forged.replace_range(forged.len() - 4.., "AAAA");
    let of_another_generation = tokens.refresh.replacen(".1.", ".2.", 1);
    for bad in ["nonsense", "", &forged, &of_another_generation, &tokens.access[..150]] {
        let refused = world.refresh(bad).await;
        assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (401, Some("AUTH_ERROR")), "{bad}");
    }
    for bad in [json!({}), json!({"refreshToken": 5}), json!({"refreshToken": "x".repeat(201)})] {
        let refused = world.call("POST", "/auth/refresh", None, Some(&bad)).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec!["refreshToken"]), "{bad}");
    }
    assert_eq!(world.get("/auth/me", &tokens.access).await.status, 200);
    world.clock.advance(std::time::Duration::from_hours(7 * 24));
    assert_eq!(world.refresh(&tokens.refresh).await.status, 401, "a week later it is over");
    assert_eq!(world.count("SessionReuseDetected").await, 0);
}

#[actix_web::test]
async fn a_deactivated_account_refreshes_nothing() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (_, user_id) = world.register(ANI).await;
    let tokens = world.sign_in(ANI).await;
    let command = minispod_domain::UserCommand::Deactivate { reason: "test".to_owned() };
    world.command(&user_id, AnyCommand::User(command), "deactivate").await;
    world.until_refused(&tokens.access).await;
    let refused = world.refresh(&tokens.refresh).await;
    assert_eq!((refused.status.as_u16(), refused.body["message"].as_str()), (401, Some("Account is deactivated")));
}

#[actix_web::test]
async fn w36_signing_out_ends_the_session_and_no_other() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.register(ANI).await;
    let (here, there) = (world.sign_in(ANI).await, world.sign_in(ANI).await);
    assert_eq!(world.get("/auth/me", &here.access).await.status, 200);
    let out = world.call("POST", "/auth/logout", Some(&here.access), None).await;
    assert_eq!(out.status, 200, "{:#}", out.body);
    assert_shape("POST /api/v1/auth/logout", "ok", &out.body);
    assert_eq!(out.body["data"], Value::Null);
    let refused = world.get("/auth/me", &here.access).await;
    assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (401, Some("AUTH_ERROR")), "at once");
    assert_eq!(world.refresh(&here.refresh).await.status, 401);
    assert_eq!(world.call("POST", "/auth/logout", Some(&here.access), None).await.status, 401);
    assert_eq!(world.get("/auth/me", &there.access).await.status, 200);
}

#[actix_web::test]
async fn a_session_that_another_process_ended_is_refused_within_a_second() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.register(ANI).await;
    let tokens = world.sign_in(ANI).await;
    let list = world.get("/auth/sessions", &tokens.access).await;
    let current = list.data()["sessions"].as_array().expect("a list").iter().find(|one| one["current"] == true);
    let id = current.and_then(|one| one["id"].as_str()).expect("this session").to_owned();
    let command = AnyCommand::Session(SessionCommand::Revoke { reason: "elsewhere".to_owned() });
    world.command(&id, command, "revoke").await;
    world.until_refused(&tokens.access).await;
}

#[actix_web::test]
async fn a_session_that_no_read_model_has_seen_works_and_ends_all_the_same() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.register(ANI).await;
    world.stick(true);
    let tokens = world.sign_in(ANI).await;
    assert_eq!(world.get("/auth/me", &tokens.access).await.status, 200);
    assert_eq!(world.call("POST", "/auth/logout", Some(&tokens.access), None).await.status, 200);
    assert_eq!(world.get("/auth/me", &tokens.access).await.status, 401);
}

#[actix_web::test]
async fn somebody_sees_and_ends_the_own_sessions_only() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, _) = world.register(ANI).await;
    let (budi, _) = world.register("budi@example.com").await;
    let body = json!({"email": ANI, "password": crate::world::PASSWORD});
    let phone = request("POST", "/auth/login", None, Some(&body)).insert_header(("user-agent", "Phone\t/1.0"));
    let phone = Tokens::of(&world.send(phone).await);
    world.read.catch_up().await;

    let list = world.get("/auth/sessions", &ani).await;
    let sessions = list.data()["sessions"].as_array().expect("a list");
    assert_eq!(sessions.len(), 2, "{:#}", list.body);
    let shown: Vec<_> =
        sessions.iter().map(|session| (session["current"].clone(), session["device"].clone())).collect();
    assert!(shown.contains(&(json!(true), Value::Null)) && shown.contains(&(json!(false), json!("Phone/1.0"))));
    let other = sessions.iter().find(|session| session["current"] == false).expect("the phone's");
    let other = other["id"].as_str().expect("an id");

    for (token, id) in [(&budi, other), (&ani, "c000000000000000000000000"), (&ani, "No;Such--Thing")] {
        let refused = world.call("DELETE", &format!("/auth/sessions/{id}"), Some(token), None).await;
        assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (404, Some("NOT_FOUND_ERROR")), "{id}");
    }
    assert_eq!(world.get("/auth/me", &phone.access).await.status, 200);
    for _ in 0..2 {
        let ended = world.call("DELETE", &format!("/auth/sessions/{other}"), Some(&ani), None).await;
        assert_eq!(ended.status, 200, "twice is fine: {:#}", ended.body);
    }
    world.until_refused(&phone.access).await;
    assert_eq!(ids(world.get("/auth/sessions", &ani).await.data()).len(), 1);
}

#[actix_web::test]
async fn all_other_sessions_end_at_once() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, _) = world.register(ANI).await;
    let (budi, _) = world.register("budi@example.com").await;
    let others = [world.sign_in(ANI).await, world.sign_in(ANI).await, world.sign_in(ANI).await];
    let ended = world.call("DELETE", "/auth/sessions", Some(&ani), None).await;
    assert_eq!((ended.status.as_u16(), &ended.data()["revoked"]), (200, &json!(3)), "{:#}", ended.body);
    for other in &others {
        world.until_refused(&other.access).await;
        assert_eq!(world.refresh(&other.refresh).await.status, 401);
    }
    assert_eq!(world.get("/auth/me", &ani).await.status, 200);
    assert_eq!(world.get("/auth/me", &budi).await.status, 200);
    assert_eq!(ids(world.get("/auth/sessions", &ani).await.data()).len(), 1);
}
