//! ID tokens against a key server of one's own: which are taken, and what becomes of keys that change or cannot be had.

use std::{sync::Arc, time::Duration};

use minispod_auth::{GoogleError, GoogleKeys, GoogleSignIn};
use minispod_kernel::{Clock, ManualClock, Timestamp};
use minispod_testkit::google::{CLIENT_ID, FakeGoogle, KeyAnswer, claims, published, sign};
use serde_json::{Value, json};

struct World {
    google: FakeGoogle,
    clock: Arc<ManualClock>,
    sign_in: GoogleSignIn,
}

impl World {
    async fn open() -> Self {
        let google = FakeGoogle::start().await;
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_800_000_000_000)));
        let keys = GoogleKeys::new(google.keys_url.clone(), clock.clone()).expect("a client");
        let sign_in = GoogleSignIn::new(CLIENT_ID, keys, clock.clone()).expect("a client id");
        Self { google, clock, sign_in }
    }

    fn now(&self) -> i64 {
        self.clock.now().unix_millis() / 1000
    }

    fn claims(&self) -> Value {
        claims("1157", "ani@example.com", self.now())
    }

    async fn verify(&self, claims: &Value) -> Result<String, GoogleError> {
        self.sign_in.verify(&sign(claims, "one", "one")).await.map(|person| person.email)
    }
}

#[tokio::test]
async fn a_genuine_token_tells_who_somebody_is_and_keys_are_fetched_once() {
    let world = World::open().await;
    for issuer in ["accounts.google.com", "https://accounts.google.com"] {
        let mut claims = world.claims();
        claims["iss"] = issuer.into();
        let person = world.sign_in.verify(&sign(&claims, "one", "one")).await.expect("genuine");
        assert_eq!((person.subject.as_str(), person.email.as_str()), ("1157", "ani@example.com"));
        assert_eq!(person.name.as_deref(), Some("Ani Wijaya"));
    }
    assert_eq!(world.google.asked(), 1);
}

#[tokio::test]
async fn w34_tokens_of_others_for_others_and_of_another_time_are_refused() {
    let world = World::open().await;
    let now = world.now();
    for (field, value) in [
        ("iss", json!("https://accounts.example.com")),
        ("aud", json!("another.apps.example")),
        ("aud", json!([CLIENT_ID, "another.apps.example"])),
        ("aud", json!("")),
        ("aud", Value::Null),
        ("exp", json!(now)),
        ("exp", Value::Null),
        ("iat", json!(now + 61)),
        ("sub", json!("")),
        ("sub", Value::Null),
    ] {
        let mut claims = world.claims();
        if value.is_null() {
            claims.as_object_mut().expect("an object").remove(field);
        } else {
            claims[field] = value.clone();
        }
        let refused = world.verify(&claims).await;
        assert!(matches!(refused, Err(GoogleError::Invalid(_))), "{field} {value}: {refused:?}");
    }
    for unverified in [json!(false), json!("false"), json!(1), Value::Null] {
        let mut claims = world.claims();
        claims["email_verified"] = unverified;
        assert!(matches!(world.verify(&claims).await, Err(GoogleError::Unverified)));
    }
    let forged = sign(&world.claims(), "two", "one");
    let unknown = sign(&world.claims(), "two", "two");
    // Signed with the public modulus as if it were a shared secret.
    let header = "eyJhbGciOiJIUzI1NiIsImtpZCI6Im9uZSJ9";
    let none = "eyJhbGciOiJub25lIiwia2lkIjoib25lIn0.eyJzdWIiOiIxIn0.";
    let long = "x".repeat(9_000);
    for bad in [forged.as_str(), &unknown, &format!("{header}.e30.AAAA"), none, "a.b.c", "", &long] {
        assert!(matches!(world.sign_in.verify(bad).await, Err(GoogleError::Invalid(_))), "{bad}");
    }
    assert_eq!(world.google.asked(), 1, "a name nobody knows makes us fetch again only after a pause");
}

#[tokio::test]
async fn keys_are_renewed_when_their_time_is_over_and_when_a_new_one_is_named() {
    let world = World::open().await;
    world.verify(&world.claims()).await.expect("genuine");
    world.google.answer(KeyAnswer::Keys { names: vec!["one", "two"], max_age: 60 });
    world.clock.advance(Duration::from_secs(11));
    let new = sign(&world.claims(), "two", "two");
    world.sign_in.verify(&new).await.expect("the new key was fetched");
    assert_eq!(world.google.asked(), 2);
    world.google.answer(KeyAnswer::Keys { names: vec!["two"], max_age: 60 });
    world.verify(&world.claims()).await.expect("still within its minute");
    world.clock.advance(Duration::from_secs(61));
    assert!(matches!(world.verify(&world.claims()).await, Err(GoogleError::Invalid(_))), "withdrawn");
    assert_eq!(world.google.asked(), 3);
}

#[tokio::test]
async fn without_keys_nothing_is_said_of_a_token_and_nobody_is_asked_in_a_storm() {
    let world = World::open().await;
    let key = published("one");
    for bad in [
        KeyAnswer::Status(500),
        KeyAnswer::Status(302),
        KeyAnswer::Body("nonsense".to_owned()),
        KeyAnswer::Body(json!({"keys": [key], "padding": "x".repeat(70_000)}).to_string()),
    ] {
        world.google.answer(bad.clone());
        let before = world.google.asked();
        for _ in 0..5 {
            let refused = world.verify(&world.claims()).await;
            assert!(matches!(refused, Err(GoogleError::Keys(_))), "{bad:?}: {refused:?}");
        }
        assert_eq!(world.google.asked(), before + 1, "{bad:?}");
        world.clock.advance(Duration::from_secs(11));
    }
    world.google.answer(KeyAnswer::Keys { names: vec!["one"], max_age: 3_600 });
    world.verify(&world.claims()).await.expect("back again");
}

#[tokio::test]
async fn known_keys_serve_on_for_an_hour_when_no_newer_ones_can_be_had() {
    let world = World::open().await;
    world.google.answer(KeyAnswer::Keys { names: vec!["one"], max_age: 60 });
    world.verify(&world.claims()).await.expect("genuine");
    world.google.answer(KeyAnswer::Status(503));
    world.clock.advance(Duration::from_mins(30));
    for _ in 0..2 {
        world.verify(&world.claims()).await.expect("the former keys serve on");
    }
    world.clock.advance(Duration::from_mins(32));
    assert!(matches!(world.verify(&world.claims()).await, Err(GoogleError::Keys(_))));
}

#[tokio::test]
async fn a_key_server_that_says_nothing_is_not_waited_for_for_ever() {
    let world = World::open().await;
    world.google.answer(KeyAnswer::Silence);
    let started = tokio::time::Instant::now();
    assert!(matches!(world.verify(&world.claims()).await, Err(GoogleError::Keys(_))));
    assert!(started.elapsed() < Duration::from_secs(8));
}

#[test]
fn w34_without_a_client_id_there_is_no_google_sign_in() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(0)));
    for nothing in ["", "  "] {
        let keys = GoogleKeys::new("http://127.0.0.1:1".to_owned(), clock.clone()).expect("a client");
        assert!(GoogleSignIn::new(nothing, keys, clock.clone()).is_err());
    }
}
