//! Mailed links: a new password for who lost the old one, a verified address.

use minispod_domain::{AnyCommand, UserCommand, ports::LinkKind};
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::world::{PASSWORD, open};

const ANI: &str = "ani@example.com";
const NEW: &str = "Rahasia!2";

fn wish(token: &str) -> Value {
    json!({"token": token, "newPassword": NEW, "confirmNewPassword": NEW})
}

#[actix_web::test]
async fn a_forgotten_password_is_asked_for_without_telling_who_has_an_account() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.register(ANI).await;
    let mut answers = Vec::new();
    for email in [ANI, "nobody@example.com"] {
        let started = std::time::Instant::now();
        let answer = world.call("POST", "/auth/forgot-password", None, Some(&json!({ "email": email }))).await;
        assert!(started.elapsed() >= std::time::Duration::from_millis(300), "both take as long");
        assert_eq!(answer.status, 200, "{:#}", answer.body);
        answers.push((answer.body["message"].clone(), answer.body["data"].clone()));
    }
    assert_eq!(answers[0], answers[1]);
    world.settle_reactions().await;
    assert_eq!((world.count("UserPasswordResetRequested").await, world.mails("reset_password").await), (1, 1));
    for _ in 0..5 {
        let body = json!({"email": ANI.to_uppercase()});
        assert_eq!(world.call("POST", "/auth/forgot-password", None, Some(&body)).await.status, 200);
    }
    assert_eq!(world.count("UserPasswordResetRequested").await, 3, "nobody's mailbox is flooded");
    let bad = world.call("POST", "/auth/forgot-password", None, Some(&json!({"email": "ani"}))).await;
    assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["email"]));
}

#[actix_web::test]
async fn a_mailed_link_sets_a_new_password_once_and_ends_every_session() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, user_id) = world.register(ANI).await;
    let other = world.sign_in(ANI).await;
    world.call("POST", "/auth/forgot-password", None, Some(&json!({ "email": ANI }))).await;
    let former = world.mailed_link(LinkKind::ResetPassword, &user_id).await;
    let link = world.mailed_link(LinkKind::ResetPassword, &user_id).await;
    let mut forged = link.clone();
    forged.replace_range(forged.len() - 4.., "AAAA");
    for bad in [former.as_str(), &forged, "nonsense", ""] {
        let refused = world.call("POST", "/auth/reset-password", None, Some(&wish(bad))).await;
        assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (400, Some("INVALID_TOKEN")), "{bad}");
    }
    let weak = json!({"token": link, "newPassword": "weak", "confirmNewPassword": "other"});
    let weak = world.call("POST", "/auth/reset-password", None, Some(&weak)).await;
    assert_eq!(weak.status, 400);
    assert!(weak.fields().contains(&"newPassword") && weak.fields().contains(&"confirmNewPassword"));

    let reset = world.call("POST", "/auth/reset-password", None, Some(&wish(&link))).await;
    assert_eq!(reset.status, 200, "{:#}", reset.body);
    for token in [&token, &other.access] {
        world.until_refused(token).await;
    }
    assert_eq!(world.refresh(&other.refresh).await.status, 401);
    assert_eq!(world.login(ANI, PASSWORD).await.status, 401);
    assert_eq!(world.login(ANI, NEW).await.status, 200);
    let again = world.call("POST", "/auth/reset-password", None, Some(&wish(&link))).await;
    assert_eq!((again.status.as_u16(), again.body["code"].as_str()), (400, Some("INVALID_TOKEN")), "used");
    assert_eq!(world.count("UserEmailVerified").await, 1, "who got the mail reads the address's mails");
}

#[actix_web::test]
async fn a_link_to_a_new_password_is_over_after_an_hour_and_when_nobody_asked() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (_, user_id) = world.register(ANI).await;
    let unasked = world.mailed_link(LinkKind::ResetPassword, &user_id).await;
    let refused = world.call("POST", "/auth/reset-password", None, Some(&wish(&unasked))).await;
    assert_eq!(refused.body["code"], "INVALID_TOKEN", "the log knows of no request");
    world.call("POST", "/auth/forgot-password", None, Some(&json!({ "email": ANI }))).await;
    let link = world.mailed_link(LinkKind::ResetPassword, &user_id).await;
    world.clock.advance(std::time::Duration::from_hours(1));
    let late = world.call("POST", "/auth/reset-password", None, Some(&wish(&link))).await;
    assert_eq!((late.status.as_u16(), late.body["code"].as_str()), (400, Some("INVALID_TOKEN")));
    assert_eq!(world.login(ANI, PASSWORD).await.status, 200, "the old one still works");

    let command = UserCommand::Deactivate { reason: "test".to_owned() };
    world.command(&user_id, AnyCommand::User(command), "deactivate").await;
    let asked = world.call("POST", "/auth/forgot-password", None, Some(&json!({ "email": ANI }))).await;
    assert_eq!(asked.status, 200, "nobody is told that the account is closed");
    assert_eq!(world.count("UserPasswordResetRequested").await, 1);
}

#[actix_web::test]
async fn an_address_is_verified_by_the_mailed_link_and_another_one_anew() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, user_id) = world.register(ANI).await;
    world.settle_reactions().await;
    assert_eq!((world.mails("welcome").await, world.mails("verify_email").await), (1, 1));
    assert_eq!(world.get("/auth/profile", &token).await.data()["emailVerified"], false);
    let link = world.mailed_link(LinkKind::VerifyEmail, &user_id).await;
    let of_the_other_kind = world.call("POST", "/auth/reset-password", None, Some(&wish(&link))).await;
    assert_eq!(of_the_other_kind.body["code"], "INVALID_TOKEN");
    let verify = json!({ "token": link });
    let verified = world.call("POST", "/auth/verify-email", None, Some(&verify)).await;
    assert_eq!(verified.status, 200, "{:#}", verified.body);
    assert_eq!(world.get("/auth/profile", &token).await.data()["emailVerified"], true);
    let again = world.call("POST", "/auth/verify-email", None, Some(&verify)).await;
    assert_eq!((again.status.as_u16(), again.body["code"].as_str()), (400, Some("INVALID_TOKEN")));
    let resent = world.call("POST", "/auth/resend-verification", Some(&token), None).await;
    assert_eq!((resent.status.as_u16(), &resent.body["message"]), (200, &json!("Email is verified already")));

    let stale = world.mailed_link(LinkKind::VerifyEmail, &user_id).await;
    world.clock.advance(std::time::Duration::from_secs(1));
    let moved = json!({"email": "ani2@example.com", "currentPassword": PASSWORD});
    assert_eq!(world.call("PUT", "/auth/profile", Some(&token), Some(&moved)).await.status, 200);
    world.settle_reactions().await;
    assert_eq!(world.mails("verify_email").await, 2, "the new address is asked");
    assert_eq!(world.get("/auth/profile", &token).await.data()["emailVerified"], false);
    let stale = world.call("POST", "/auth/verify-email", None, Some(&json!({ "token": stale }))).await;
    assert_eq!(stale.body["code"], "INVALID_TOKEN", "a link to the former address proves nothing of the new one");
}

#[actix_web::test]
async fn another_verification_mail_is_sent_a_few_times_and_its_link_ends_after_a_day() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, user_id) = world.register(ANI).await;
    world.settle_reactions().await;
    for _ in 0..3 {
        world.clock.advance(std::time::Duration::from_secs(1));
        assert_eq!(world.call("POST", "/auth/resend-verification", Some(&token), None).await.status, 200);
    }
    let stopped = world.call("POST", "/auth/resend-verification", Some(&token), None).await;
    assert_eq!(stopped.status, 429);
    assert!(stopped.header("retry-after").is_some());
    world.settle_reactions().await;
    assert_eq!(world.mails("verify_email").await, 4);
    let link = world.mailed_link(LinkKind::VerifyEmail, &user_id).await;
    world.clock.advance(std::time::Duration::from_hours(24));
    let late = world.call("POST", "/auth/verify-email", None, Some(&json!({ "token": link }))).await;
    assert_eq!((late.status.as_u16(), late.body["code"].as_str()), (400, Some("INVALID_TOKEN")));
    let nobody = world.call("POST", "/auth/resend-verification", None, None).await;
    assert_eq!(nobody.status, 401);
}
