//! Mailed links, from the request through the mailer and the mailbox back to the api.

use std::time::Duration;

use minispod_e2e::{World, WorldOptions};
use minispod_testkit::{eventually, require};
use serde_json::{Value, json};

const MAIL_LIMIT: Duration = Duration::from_secs(30);
const EMAIL: &str = "links.ani@example.com";
const OLD: &str = "Rahasia-123!";
const NEW: &str = "Rahasia-456!";

/// The token of the newest link to `path` that was mailed to `email`.
async fn mailed(sink: &str, email: &str, path: &str) -> Option<String> {
    let read = async |url: String| -> Option<Value> { reqwest::get(url).await.ok()?.json().await.ok() };
    let list = read(format!("{sink}/api/v1/messages?limit=200")).await?;
    for message in list["messages"].as_array()? {
        if !message["To"].to_string().contains(email) {
            continue;
        }
        let full = read(format!("{sink}/api/v1/message/{}", message["ID"].as_str()?)).await?;
        let text = full["Text"].as_str()?;
        if let Some((_, after)) = text.split_once(&format!("http://localhost:3100{path}?token=")) {
            return after.split_whitespace().next().map(str::to_owned);
        }
    }
    None
}

/// Waits for that link.
pub async fn mailed_link(sink: &str, email: &str, path: &str) -> String {
    eventually(MAIL_LIMIT, || async { mailed(sink, email, path).await.is_some() }).await;
    mailed(sink, email, path).await.unwrap_or_else(|| panic!("no mail with a link to {path} came"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailed_link_verifies_the_address_and_another_sets_a_new_password() {
    if !require("pg") || !require("nats") {
        return;
    }
    let world = World::start(WorldOptions::default()).await;
    let door = world.door();
    let new = json!({"name": "Ani", "email": EMAIL, "password": OLD, "confirmPassword": OLD});
    let registered = door.post("/auth/register", new).await;
    let session = door.with_token(registered.data()["tokens"]["accessToken"].as_str().expect("a token"));

    let link = mailed_link(&world.mail.api_url, EMAIL, "/auth/verify-email").await;
    door.post("/auth/verify-email", json!({ "token": link })).await.data();
    assert_eq!(session.get("/auth/profile").await.data()["emailVerified"], true);

    door.post("/auth/forgot-password", json!({ "email": EMAIL })).await.data();
    let link = mailed_link(&world.mail.api_url, EMAIL, "/auth/reset-password").await;
    let wish = json!({"token": link, "newPassword": NEW, "confirmNewPassword": NEW});
    door.post("/auth/reset-password", wish.clone()).await.data();
    assert_eq!(door.post("/auth/reset-password", wish).await.status, 400, "a link works once");
    assert_eq!(door.post("/auth/login", json!({"email": EMAIL, "password": OLD})).await.status, 401);
    door.post("/auth/login", json!({"email": EMAIL, "password": NEW})).await.data();
    let out = eventually(Duration::from_secs(2), || async { session.get("/auth/me").await.status == 401 }).await;
    assert!(out, "the session from before goes on");
}
