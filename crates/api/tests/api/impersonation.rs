//! An administrator sees what a customer sees: for reading, for a short while, and on record.

use std::time::Duration;

use minispod_testkit::require;
use serde_json::{Value, json};

use crate::world::{PASSWORD, Tokens, open, request};

const REASON: &str = "ticket 7: cannot see the invoice";

fn token_of(data: &Value) -> String {
    data["accessToken"].as_str().expect("a token").to_owned()
}

#[actix_web::test]
async fn an_administrator_reads_as_the_customer_and_changes_nothing() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    let (customer, id) = world.register("ani@example.com").await;
    world.top_up(&customer, 50_000).await;
    let begun = world.post(&format!("/admin/users/{id}/impersonate"), &admin, json!({ "reason": REASON })).await;
    assert_eq!(begun.status, 201, "{:#}", begun.body);
    assert_eq!((&begun.data()["readOnly"], &begun.data()["expiresIn"]), (&json!(true), &json!("15m")));
    assert_eq!(begun.data()["user"]["id"], json!(id));
    assert!(begun.data().get("refreshToken").is_none());
    let token = token_of(begun.data());
    assert_eq!(world.get("/auth/me", &token).await.data()["user"]["id"], json!(id), "what the customer sees");
    assert_eq!(world.get("/billing/balance", &token).await.data()["balance"], "50000");
    for (method, path) in [
        ("POST", "/billing/topup"),
        ("POST", "/subscriptions"),
        ("PUT", "/auth/profile"),
        ("POST", "/auth/change-password"),
        ("POST", "/auth/logout"),
        ("DELETE", "/auth/account"),
        ("DELETE", "/auth/sessions"),
        ("POST", "/auth/2fa/setup"),
    ] {
        let refused = world.call(method, path, Some(&token), Some(&json!({}))).await;
        assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (403, Some("FORBIDDEN_ERROR")), "{path}");
    }
    for path in ["/auth/sessions", "/auth/api-tokens", "/admin/users", "/services/admin"] {
        assert_eq!(world.get(path, &token).await.status, 403, "{path} is not for looking over a shoulder");
    }
    let again = world.post(&format!("/admin/users/{id}/impersonate"), &token, json!({ "reason": REASON })).await;
    assert_eq!(again.status, 403);

    let events = world.events("user", &id).await;
    let (name, actor, payload) = events.last().expect("an event");
    assert_eq!((name.as_str(), actor), ("UserImpersonated", &json!({"kind": "administrator", "id": admin_id})));
    assert_eq!((&payload["administrator_id"], &payload["reason"]["person"]), (&json!(admin_id), &json!(id)));
    assert!(!payload.to_string().contains("ticket"), "the reason is sealed: {payload}");
    let row = world.get(&format!("/admin/users/{id}"), &admin).await;
    assert_eq!(row.data()["updatedAt"], row.data()["createdAt"], "being looked at changes nobody");
    world.clock.advance(Duration::from_mins(15));
    let late = world.get("/auth/me", &token).await;
    assert_eq!((late.status.as_u16(), late.body["message"].as_str()), (401, Some("Token has expired")));
}

#[actix_web::test]
async fn it_ends_with_the_administrators_session_role_and_account() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (chief, _) = world.administrator("chief@example.com").await;
    let (_, admin_id) = world.administrator("admin@example.com").await;
    let (_, id) = world.register("ani@example.com").await;
    let begin = |tokens: Tokens| {
        let path = format!("/admin/users/{id}/impersonate");
        let world = &world;
        async move {
            let begun = world.post(&path, &tokens.access, json!({ "reason": REASON })).await;
            assert_eq!(begun.status, 201, "{:#}", begun.body);
            let token = token_of(begun.data());
            assert_eq!(world.get("/auth/me", &token).await.status, 200);
            token
        }
    };
    let session = world.sign_in("admin@example.com").await;
    let (first, other) = (begin(session.clone()).await, begin(world.sign_in("admin@example.com").await).await);
    assert_eq!(world.post("/auth/logout", &session.access, json!({})).await.status, 200);
    world.until_refused(&first).await;
    assert_eq!(world.get("/auth/me", &other).await.status, 200, "another session's is not touched");
    let demoted =
        world.call("PUT", &format!("/admin/users/{admin_id}"), Some(&chief), Some(&json!({"role": "USER"}))).await;
    assert_eq!(demoted.status, 200, "{:#}", demoted.body);
    world.until_refused(&other).await;
    let promoted = json!({"role": "ADMINISTRATOR"});
    world.call("PUT", &format!("/admin/users/{admin_id}"), Some(&chief), Some(&promoted)).await;
    world.read.catch_up().await;
    let fresh = world.sign_in("admin@example.com").await;
    minispod_testkit::wait_until(Duration::from_secs(2), || async {
        world.get("/admin/users/stats", &fresh.access).await.status == 200
    })
    .await;
    let third = begin(fresh).await;
    let off = world.call("PATCH", &format!("/admin/users/{admin_id}/toggle-status"), Some(&chief), None).await;
    assert_eq!(off.status, 200, "{:#}", off.body);
    world.until_refused(&third).await;
}

#[actix_web::test]
async fn nobody_impersonates_an_administrator_or_without_a_reason_or_without_the_role() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    let (_, chief_id) = world.administrator("chief@example.com").await;
    let (customer, id) = world.register("ani@example.com").await;
    let path = |id: &str| format!("/admin/users/{id}/impersonate");
    for target in [&admin_id, &chief_id] {
        let refused = world.post(&path(target), &admin, json!({ "reason": REASON })).await;
        assert_eq!((refused.status.as_u16(), refused.body["code"].as_str()), (403, Some("FORBIDDEN_ERROR")));
    }
    for bad in [
        json!({}),
        json!({"reason": "short"}),
        json!({"reason": "x".repeat(501)}),
        json!({"reason": "a line\nand more"}),
        json!({"reason": 5}),
    ] {
        let refused = world.post(&path(&id), &admin, bad.clone()).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec!["reason"]), "{bad}");
    }
    assert_eq!(world.post(&path(&id), &customer, json!({ "reason": REASON })).await.status, 403);
    assert_eq!(world.call("POST", &path(&id), None, Some(&json!({ "reason": REASON }))).await.status, 401);
    assert_eq!(world.post(&path("c0123456789abcdefghijklmn"), &admin, json!({ "reason": REASON })).await.status, 404);
    let keyed = request("POST", &path(&id), Some(&admin), Some(&json!({ "reason": REASON })));
    assert_eq!(
        world.send(keyed.insert_header(("idempotency-key", "k"))).await.status,
        400,
        "a secret keeps no receipt"
    );
    assert_eq!(world.count("UserImpersonated").await, 0);

    let headed = request("POST", &path(&id), Some(&admin), None).insert_header(("x-reason", REASON));
    let begun = world.send(headed).await;
    assert_eq!(begun.status, 201, "the header says why as well: {:#}", begun.body);
    let token = token_of(begun.data());
    let promoted = json!({"role": "ADMINISTRATOR"});
    world.call("PUT", &format!("/admin/users/{id}"), Some(&admin), Some(&promoted)).await;
    world.until_refused(&token).await;
    let login = json!({"email": "ani@example.com", "password": PASSWORD});
    assert_eq!(world.login_with(&login).await.status, 200, "she herself is not touched");
}
