//! Why administrators do what they do: kept with every event of theirs, sealed.

use minispod_kernel::{Actor, Recorded};
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    catalogue::form,
    world::{PASSWORD, open, request},
};

#[actix_web::test]
async fn every_write_of_an_administrator_keeps_why_and_who() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    let (_, id) = world.register("ani@example.com").await;
    let said = |aggregate: &'static str, id: String| {
        let (store, admin_id) = (world.store.clone(), admin_id.clone());
        async move {
            let history: Vec<Recorded> = store.log().history(aggregate, &id).await.expect("a history");
            let last = history.last().expect("an event").clone();
            assert_eq!(last.metadata.actor, Actor::Administrator { id: admin_id.clone() });
            let written = serde_json::to_string(&last.metadata).expect("text");
            assert!(!written.contains("ticket"), "sealed: {written}");
            store.vault().open_reason(&last.metadata).await.expect("opens")
        }
    };
    let send = |method: &str, path: &str, body: Option<Value>, header: Option<&str>| {
        let request = request(method, path, Some(&admin), body.as_ref());
        world.send(match header {
            Some(header) => request.insert_header(("x-reason", header)),
            None => request,
        })
    };
    let account = format!("/admin/users/{id}");
    let password = json!({"newPassword": PASSWORD, "reason": "ticket 3"});
    for (method, path, body, header, kept) in [
        ("PUT", account.clone(), Some(json!({"name": "Ani A", "reason": "ticket 1"})), None, Some("ticket 1")),
        ("PUT", account.clone(), Some(json!({"name": "Ani B"})), Some("ticket 2 Ä"), Some("ticket 2 Ä")),
        ("PUT", account.clone(), Some(json!({"name": "Ani C", "reason": "no"})), Some("ticket 9"), Some("ticket 9")),
        ("PATCH", format!("{account}/password"), Some(password), None, Some("ticket 3")),
        ("PATCH", format!("{account}/toggle-status"), None, Some("ticket 4"), Some("ticket 4")),
        ("PATCH", format!("{account}/toggle-status"), None, None, None),
        ("DELETE", account.clone(), Some(json!({"reason": "ticket 5"})), None, Some("ticket 5")),
    ] {
        let done = send(method, &path, body, header).await;
        assert_eq!(done.status, 200, "{method} {path}: {:#}", done.body);
        assert_eq!(said("user", id.clone()).await.as_deref(), kept, "{method} {path}");
    }
    let mut plan = form("gitea", "basic");
    plan["reason"] = "ticket 6".into();
    let made = send("POST", "/services", Some(plan), None).await;
    let plan = made.data()["id"].as_str().expect("an id").to_owned();
    assert_eq!(said("plan", plan.clone()).await.as_deref(), Some("ticket 6"));
    send("PATCH", &format!("/services/{plan}/toggle-status"), Some(json!({"reason": "ticket 7"})), None).await;
    assert_eq!(said("plan", plan.clone()).await.as_deref(), Some("ticket 7"));
    send("PUT", &format!("/services/{plan}"), Some(json!({"displayName": "Gitea Two"})), Some("ticket 8")).await;
    assert_eq!(said("plan", plan).await.as_deref(), Some("ticket 8"));
}

#[actix_web::test]
async fn reasons_are_bounded_kept_of_administrators_only_and_gone_with_the_person() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    let (customer, id) = world.register("ani@example.com").await;
    let long = "x".repeat(501);
    for bad in [long.as_str(), "a\tb"] {
        let toggled = request("PATCH", &format!("/admin/users/{id}/toggle-status"), Some(&admin), None);
        let refused = world.send(toggled.insert_header(("x-reason", bad))).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec!["X-Reason"]));
    }
    let renamed = request("PUT", "/auth/profile", Some(&customer), Some(&json!({"name": "Ani Dua"})));
    assert_eq!(world.send(renamed.insert_header(("x-reason", "mine"))).await.status, 200);
    let store = &world.store;
    let last = |id: String| async move {
        store.log().history("user", &id).await.expect("a history").last().expect("an event").metadata.clone()
    };
    assert_eq!(last(id.clone()).await.reason, None, "a customer owes nobody a reason");
    let renamed = request("PUT", &format!("/admin/users/{id}"), Some(&admin), Some(&json!({"name": "Ani Tiga"})));
    assert_eq!(world.send(renamed.insert_header(("x-reason", "ticket 1"))).await.status, 200);
    let metadata = last(id).await;
    assert_eq!(metadata.reason.as_ref().map(|sealed| sealed.person.as_str()), Some(admin_id.as_str()));
    assert!(world.store.vault().forget_person(&admin_id).await.expect("forgets"));
    assert_eq!(world.store.vault().open_reason(&metadata).await.expect("answers"), None);
}
