//! Profiles, passwords, closed accounts, and how often a password may be guessed.

use minispod_api::Allowance;
use minispod_domain::{AnyCommand, UserCommand};
use minispod_events::Role;
use minispod_testkit::require;
use serde_json::{Value, json};
use sqlx::{Connection, Executor};

use crate::{
    shapes::assert_shape,
    world::{PASSWORD, open, request},
};

const ANI: &str = "ani@example.com";

#[actix_web::test]
async fn a_profile_is_read_and_changed_and_an_empty_wish_changes_nothing() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register(ANI).await;
    world.publish("cplanfree0000000000000000", "free", 0, -1).await;
    world.post("/subscriptions", &token, json!({"serviceId": "cplanfree0000000000000000"})).await;
    world.settle_reactions().await;
    let profile = world.get("/auth/profile", &token).await;
    assert_shape("GET /api/v1/auth/profile", "ok", &profile.body);
    assert_eq!(profile.data()["_count"]["subscriptions"], 1);

    for nothing in [Some(json!({})), None, Some(json!({"name": "Ani Wijaya", "email": ANI}))] {
        let same = world.call("PUT", "/auth/profile", Some(&token), nothing.as_ref()).await;
        assert_eq!((same.status.as_u16(), &same.data()["updatedAt"]), (200, &profile.data()["updatedAt"]));
    }
    assert_eq!(world.count("UserProfileChanged").await, 0);

    world.stick(true);
    let changed = world.call("PUT", "/auth/profile", Some(&token), Some(&json!({"name": " Ani W. "}))).await;
    assert_eq!((changed.status.as_u16(), &changed.data()["name"]), (200, &json!("Ani W.")), "{:#}", changed.body);
    assert_eq!(changed.data()["email"], ANI);
    assert!(changed.data()["updatedAt"].is_string() && changed.data().get("_count").is_none());
    world.stick(false);
    world.read.catch_up().await;
    minispod_testkit::wait_until(std::time::Duration::from_secs(1), || async {
        world.get("/auth/profile", &token).await.data()["name"] == "Ani W."
    })
    .await;
}

#[actix_web::test]
async fn another_address_takes_its_claim_and_one_in_use_is_refused() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register(ANI).await;
    world.register("budi@example.com").await;
    let change = |email: &str| json!({ "email": email, "currentPassword": PASSWORD });
    let taken = world.call("PUT", "/auth/profile", Some(&token), Some(&change("BUDI@example.com"))).await;
    assert_eq!((taken.status.as_u16(), taken.body["code"].as_str()), (409, Some("CONFLICT_ERROR")));
    let moved = world.call("PUT", "/auth/profile", Some(&token), Some(&change("ani2@example.com"))).await;
    assert_eq!((moved.status.as_u16(), &moved.data()["email"]), (200, &json!("ani2@example.com")));
    assert_eq!(world.login(ANI, PASSWORD).await.status, 401, "the old address is nobody's");
    assert_eq!(world.login("ani2@example.com", PASSWORD).await.status, 200);
    world.register(ANI).await;
    for (bad, field) in [
        (json!({"name": "A"}), "name"),
        (json!({"email": "x"}), "email"),
        (json!({"role": "A"}), "role"),
        (json!({"email": "ani3@example.com", "currentPassword": ""}), "currentPassword"),
    ] {
        let refused = world.call("PUT", "/auth/profile", Some(&token), Some(&bad)).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec![field]), "{bad}");
    }
}

#[actix_web::test]
async fn w44_the_address_changes_only_for_who_knows_the_password() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register(ANI).await;
    let change = async |body| world.call("PUT", "/auth/profile", Some(&token), Some(&body)).await;
    let without = change(json!({"email": "thief@example.com"})).await;
    assert_eq!((without.status.as_u16(), without.fields()), (400, vec!["currentPassword"]));
    let guessed = change(json!({"email": "thief@example.com", "currentPassword": "Guessed-123!"})).await;
    assert_eq!((guessed.status.as_u16(), guessed.body["code"].as_str()), (400, Some("INVALID_PASSWORD")));
    assert_eq!(world.get("/auth/profile", &token).await.data()["email"], ANI);
    // The address it has already, and the name, need no proof.
    assert_eq!(change(json!({"email": ANI, "name": "Ani W."})).await.status, 200);
}

#[actix_web::test]
async fn w36_a_new_password_ends_every_other_session() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register(ANI).await;
    let other = world.sign_in(ANI).await;
    let new = "Rahasia!2";
    let wish = |current: &str| json!({"currentPassword": current, "newPassword": new, "confirmNewPassword": new});
    let wrong = world.post("/auth/change-password", &token, wish("Wrong!123")).await;
    assert_eq!((wrong.status.as_u16(), wrong.body["code"].as_str()), (400, Some("INVALID_PASSWORD")));
    assert_eq!(world.get("/auth/me", &other.access).await.status, 200);

    let keyed = request("POST", "/auth/change-password", Some(&token), Some(&wish(PASSWORD)));
    let keyed = world.send(keyed.insert_header(("idempotency-key", "k"))).await;
    assert_eq!((keyed.status.as_u16(), keyed.fields()), (400, vec!["Idempotency-Key"]), "no receipt of passwords");

    let changed = world.post("/auth/change-password", &token, wish(PASSWORD)).await;
    assert_eq!((changed.status.as_u16(), &changed.body["data"]), (200, &Value::Null), "{:#}", changed.body);
    world.until_refused(&other.access).await;
    assert_eq!(world.refresh(&other.refresh).await.status, 401);
    assert_eq!(world.get("/auth/me", &token).await.status, 200, "who changed it stays");
    assert_eq!(world.login(ANI, PASSWORD).await.status, 401);
    assert_eq!(world.login(ANI, new).await.status, 200);
}

#[actix_web::test]
async fn a_sign_in_that_a_new_password_overtakes_lets_nobody_in() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register(ANI).await;
    // The password is another one in the moment the session opens.
    let mut admin = sqlx::PgConnection::connect(&world.database.url).await.expect("connects");
    admin
        .execute(
            "CREATE FUNCTION log.overtake() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
               DELETE FROM vault.secrets WHERE name = 'password'; RETURN NEW; END $$; \
             CREATE TRIGGER overtake AFTER INSERT ON log.events FOR EACH ROW \
               WHEN (NEW.event_type = 'SessionOpened') EXECUTE FUNCTION log.overtake()",
        )
        .await
        .expect("a trigger");
    let overtaken = world.login(ANI, PASSWORD).await;
    assert_eq!((overtaken.status.as_u16(), overtaken.body["code"].as_str()), (401, Some("AUTH_ERROR")));
    world.read.catch_up().await;
    let sessions = world.get("/auth/sessions", &token).await;
    assert_eq!(sessions.data()["sessions"].as_array().map(Vec::len), Some(1), "{:#}", sessions.body);
}

#[actix_web::test]
async fn a_closed_account_is_out_everywhere() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register(ANI).await;
    let other = world.sign_in(ANI).await;
    let closed = world.call("DELETE", "/auth/account", Some(&token), None).await;
    assert_eq!((closed.status.as_u16(), &closed.body["data"]), (200, &Value::Null), "{:#}", closed.body);
    assert_eq!(world.get("/auth/me", &token).await.status, 401, "at once");
    world.until_refused(&other.access).await;
    assert_eq!(world.refresh(&other.refresh).await.status, 401);
    assert_eq!(world.login(ANI, PASSWORD).await.status, 401);
}

#[actix_web::test]
async fn w44_an_administrator_does_not_close_the_own_account() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, user_id) = world.register(ANI).await;
    let command = UserCommand::ChangeRole { role: Role::Administrator, reason: "test".to_owned() };
    world.command(&user_id, AnyCommand::User(command), "promote").await;
    let refused = world.call("DELETE", "/auth/account", Some(&token), None).await;
    assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (409, Some("CONFLICT_ERROR")));
    assert_eq!(world.get("/auth/me", &token).await.status, 200);
}

#[actix_web::test]
async fn a_customer_of_the_former_backend_signs_in_and_gets_a_new_hash() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (_, user_id) = world.register(ANI).await;
    let owner = format!("user/{user_id}");
    // What the former backend kept of "Rahasia!1".
    let old = include_str!("../fixtures/bcrypt.txt").trim();
    for kind in ["$2a$", "$2b$"] {
        let kept = format!("{kind}{}", &old[4..]);
        world.store.vault().replace(&owner, "password", kept.as_bytes()).await.expect("written");
        assert_eq!(world.login(ANI, "Rahasia!2").await.status, 401);
        let found = world.store.vault().find(&owner, "password").await.expect("reads").expect("a hash");
        assert_eq!(found, kept.as_bytes(), "a wrong password changes nothing");
        assert_eq!(world.login(ANI, PASSWORD).await.status, 200);
        let found = world.store.vault().find(&owner, "password").await.expect("reads").expect("a hash");
        assert!(found.starts_with(b"$argon2id$"));
        assert_eq!(world.login(ANI, PASSWORD).await.status, 200);
    }
}

#[actix_web::test]
async fn w37_a_password_is_guessed_a_few_times_only() {
    if !require("pg") {
        return;
    }
    let world = open(|config| config.sign_in_allowance = Allowance::per_minute(3)).await;
    world.register(ANI).await;
    world.register("budi@example.com").await;
    for _ in 0..5 {
        assert_eq!(world.login(ANI, PASSWORD).await.status, 200, "what fits is not counted");
    }
    for email in [ANI, "nobody@example.com"] {
        for _ in 0..3 {
            assert_eq!(world.login(email, "Wrong!123").await.status, 401);
        }
        let stopped = world.login(&email.to_uppercase(), "Wrong!123").await;
        assert_eq!((stopped.status.as_u16(), stopped.body["code"].as_str()), (429, Some("RATE_LIMIT_EXCEEDED")));
        let wait: u64 = stopped.header("retry-after").and_then(|text| text.parse().ok()).expect("a wait");
        assert!((1..=60).contains(&wait), "{wait}");
    }
    assert_eq!(world.login(ANI, PASSWORD).await.status, 429, "also with the right one");
    assert_eq!(world.login("budi@example.com", PASSWORD).await.status, 200);
    world.clock.advance(std::time::Duration::from_mins(1));
    assert_eq!(world.login(ANI, PASSWORD).await.status, 200);
}
