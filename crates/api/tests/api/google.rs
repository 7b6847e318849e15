//! Signing in with Google, against a Google of the test's own.

use minispod_kernel::Clock;
use minispod_testkit::{
    google::{FakeGoogle, KeyAnswer, claims, sign},
    require,
};
use serde_json::{Value, json};

use crate::world::{PASSWORD, Tokens, open, open_with_google};

const ANI: &str = "ani@example.com";

fn shown(claims: &Value) -> Value {
    json!({ "idToken": sign(claims, "one", "one") })
}

#[actix_web::test]
async fn whom_google_vouches_for_is_registered_once_and_signed_in_after() {
    if !require("pg") {
        return;
    }
    let google = FakeGoogle::start().await;
    let world = open_with_google(&google).await;
    let now = world.clock.now().unix_millis() / 1000;
    let body = shown(&claims("1157", ANI, now));
    let new = world.call("POST", "/auth/google", None, Some(&body)).await;
    assert_eq!((new.status.as_u16(), &new.data()["isNewUser"]), (200, &json!(true)), "{:#}", new.body);
    assert_eq!((&new.data()["user"]["name"], &new.data()["user"]["email"]), (&json!("Ani Wijaya"), &json!(ANI)));
    let token = Tokens::of(&new).access;
    let profile = world.get("/auth/profile", &token).await;
    assert_eq!((profile.status.as_u16(), &profile.data()["emailVerified"]), (200, &json!(true)));
    assert_eq!(world.get("/billing/balance", &token).await.data()["balance"], "0", "the wallet is there");

    // Google knows people by their subject: the address may change there.
    let known = world.call("POST", "/auth/google", None, Some(&shown(&claims("1157", "new@example.com", now)))).await;
    assert_eq!((known.status.as_u16(), &known.data()["isNewUser"]), (200, &json!(false)), "{:#}", known.body);
    for field in ["id", "email", "name", "role", "isActive", "createdAt", "updatedAt"] {
        assert_eq!(known.data()["user"][field].is_null(), new.data()["user"][field].is_null(), "{field}");
    }
    assert_eq!(known.data()["user"]["id"], new.data()["user"]["id"]);
    assert_eq!((world.count("UserRegistered").await, google.asked()), (1, 1));
    assert_eq!(world.login(ANI, PASSWORD).await.status, 401, "there is no password");
    world.settle_reactions().await;
    assert_eq!((world.mails("welcome").await, world.mails("verify_email").await), (1, 0));

    let closed = world.call("DELETE", "/auth/account", Some(&token), None).await;
    assert_eq!(closed.status, 200);
    let refused = world.call("POST", "/auth/google", None, Some(&body)).await;
    assert_eq!((refused.status.as_u16(), refused.body["message"].as_str()), (401, Some("Account is deactivated")));
}

#[actix_web::test]
async fn googles_word_does_not_stand_in_for_the_second_factor() {
    if !require("pg") {
        return;
    }
    let google = FakeGoogle::start().await;
    let world = open_with_google(&google).await;
    let now = world.clock.now().unix_millis() / 1000;
    let mut body = shown(&claims("1157", ANI, now));
    let token = Tokens::of(&world.call("POST", "/auth/google", None, Some(&body)).await).access;
    let set_up = world.call("POST", "/auth/2fa/setup", Some(&token), None).await;
    let secret = set_up.data()["secret"].as_str().and_then(|text| totp_rs::Secret::try_from_base32(text).ok());
    let secret = minispod_auth::CodeSecret::of_bytes(secret.expect("base 32").as_bytes().to_vec());
    let code = secret.code_at(world.clock.now()).expect("a code");
    let on = world.post("/auth/2fa/confirm", &token, json!({ "otp": code })).await;
    assert_eq!(on.status, 200, "{:#}", on.body);
    let asked = world.call("POST", "/auth/google", None, Some(&body)).await;
    assert_eq!((asked.status.as_u16(), asked.body["code"].as_str()), (401, Some("TWO_FACTOR_REQUIRED")));
    body["recoveryCode"] = on.data()["recoveryCodes"][0].clone();
    assert_eq!(world.call("POST", "/auth/google", None, Some(&body)).await.status, 200);
}

#[actix_web::test]
async fn w34_an_account_with_a_password_is_not_taken_over() {
    if !require("pg") {
        return;
    }
    let google = FakeGoogle::start().await;
    let world = open_with_google(&google).await;
    world.register(ANI).await;
    let now = world.clock.now().unix_millis() / 1000;
    let refused = world.call("POST", "/auth/google", None, Some(&shown(&claims("1157", "Ani@Example.com", now)))).await;
    assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (409, Some("CONFLICT_ERROR")));
    assert!(refused.body["message"].as_str().is_some_and(|text| text.contains("password")), "{:#}", refused.body);
    assert_eq!(world.count("UserGoogleLinked").await, 0);
}

#[actix_web::test]
async fn what_google_does_not_vouch_for_is_refused_and_a_silent_google_is_503() {
    if !require("pg") {
        return;
    }
    let google = FakeGoogle::start().await;
    let world = open_with_google(&google).await;
    let now = world.clock.now().unix_millis() / 1000;
    let mut unverified = claims("1157", ANI, now);
    unverified["email_verified"] = json!(false);
    let mut elsewhere = claims("1157", ANI, now);
    elsewhere["aud"] = json!("another.apps.example");
    let forged = json!({ "idToken": sign(&claims("1157", ANI, now), "two", "one") });
    for body in [shown(&unverified), shown(&elsewhere), forged, json!({"idToken": "nonsense"})] {
        let refused = world.call("POST", "/auth/google", None, Some(&body)).await;
        assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (401, Some("AUTH_ERROR")), "{body}");
    }
    for (body, field) in [
        (json!({}), "idToken"),
        (json!({"idToken": "x".repeat(9_000)}), "idToken"),
        (json!({"idToken": "x", "name": "A"}), "name"),
        (json!({"idToken": "x", "email": "ani"}), "email"),
        (json!({"idToken": "x", "picture": "no address"}), "picture"),
    ] {
        let refused = world.call("POST", "/auth/google", None, Some(&body)).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec![field]), "{body}");
    }
    assert_eq!(world.count("UserRegistered").await, 0);

    google.answer(KeyAnswer::Status(500));
    world.clock.advance(std::time::Duration::from_hours(3));
    let now = world.clock.now().unix_millis() / 1000;
    let later = world.call("POST", "/auth/google", None, Some(&shown(&claims("1157", ANI, now)))).await;
    assert_eq!((later.status.as_u16(), later.header("retry-after")), (503, Some("2")), "{:#}", later.body);
}

#[actix_web::test]
async fn where_google_is_not_set_up_the_answer_says_so() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let refused = world.call("POST", "/auth/google", None, Some(&json!({"idToken": "x.y.z"}))).await;
    assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (404, Some("GOOGLE_SIGN_IN_DISABLED")));
}
