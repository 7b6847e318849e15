//! Entity tags: reads that are known already, and writes meant for a version.

use minispod_testkit::require;
use serde_json::json;

use crate::{
    catalogue::form,
    world::{open, request},
};

const ORIGIN: &str = "http://localhost:3100";

#[actix_web::test]
async fn a_read_that_is_known_is_304_until_its_data_change_whatever_the_moment_is() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register("ani@example.com").await;
    let read = |known: Option<&str>| {
        let request = request("GET", "/billing/balance", Some(&token), None).insert_header(("origin", ORIGIN));
        world.send(match known {
            Some(known) => request.insert_header(("if-none-match", known)),
            None => request,
        })
    };
    let first = read(None).await;
    let tag = first.header("etag").expect("a tag").to_owned();
    assert!(first.status == 200 && tag.starts_with("W/\"b"), "{tag}");
    world.clock.advance(std::time::Duration::from_hours(1));
    for known in [tag.as_str(), &format!("\"other\", {tag}"), tag.trim_start_matches("W/"), "*"] {
        let again = read(Some(known)).await;
        assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0), "{known}");
        assert_eq!(again.header("etag"), Some(tag.as_str()));
        assert_eq!(again.header("content-type"), None);
        assert_eq!(again.header("access-control-allow-origin"), Some(ORIGIN));
        assert!(again.header("x-request-id").is_some());
        let exposed = again.header("access-control-expose-headers").unwrap_or_default().to_ascii_lowercase();
        assert!(exposed.contains("etag") && exposed.contains("ratelimit-policy"), "{exposed}");
    }
    assert_eq!(read(Some("W/\"bffff\"")).await.status, 200);
    world.top_up(&token, 50_000).await;
    let changed = read(Some(&tag)).await;
    assert_eq!((changed.status.as_u16(), &changed.data()["balance"]), (200, &json!("50000")));
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
}

#[actix_web::test]
async fn a_tag_hides_nothing_from_those_who_may_not_read() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (token, _) = world.register("ani@example.com").await;
    let (_, other) = world.register("budi@example.com").await;
    let any = |path: &str, token: Option<&str>| {
        world.send(request("GET", path, token, None).insert_header(("if-none-match", "*")))
    };
    assert_eq!(any("/billing/balance", None).await.status, 401);
    assert_eq!(any(&format!("/admin/users/{other}"), Some(&token)).await.status, 403);
    let refused = any("/subscriptions/c0123456789abcdefghijklmn", Some(&token)).await;
    assert_eq!((refused.status.as_u16(), refused.header("etag")), (404, None));
}

#[actix_web::test]
async fn the_tag_of_one_thing_carries_its_version_and_a_write_for_an_older_one_is_412() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (_, id) = world.register("ani@example.com").await;
    let path = format!("/admin/users/{id}");
    let tag = || async { world.get(&path, &admin).await.header("etag").expect("a tag").to_owned() };
    let rename = |name: &str, tag: &str| {
        let body = json!({ "name": name });
        world.send(request("PUT", &path, Some(&admin), Some(&body)).insert_header(("if-match", tag)))
    };
    let seen = tag().await;
    assert!(seen.starts_with("W/\"1-"), "{seen}");
    let done = rename("Ani Dua", &seen).await;
    assert_eq!((done.status.as_u16(), done.header("etag")), (200, Some("\"2\"")), "{:#}", done.body);
    let late = rename("Ani Tiga", &seen).await;
    assert_eq!((late.status.as_u16(), late.body["code"].as_str()), (412, Some("PRECONDITION_FAILED")));
    assert!(tag().await.starts_with("W/\"2-"));
    assert_eq!(rename("Ani Empat", done.header("etag").expect("a tag")).await.status, 200, "a write's tag does too");
    assert_eq!(rename("Ani Lima", "*").await.status, 200);
    assert_eq!(rename("Ani Enam", "W/\"b0123\"").await.status, 400, "the tag of a list names no version");
}

#[actix_web::test]
async fn a_version_that_the_read_model_does_not_show_yet_is_not_handed_out() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let made = world.post("/services", &admin, form("gitea", "basic")).await;
    let id = made.data()["id"].as_str().expect("an id").to_owned();
    let path = format!("/services/{id}");
    world.stick(true);
    let renamed = world.call("PUT", &path, Some(&admin), Some(&json!({"displayName": "Gitea Two"}))).await;
    assert_eq!((renamed.status.as_u16(), renamed.header("etag")), (200, Some("\"2\"")), "{:#}", renamed.body);
    let behind = world.get(&format!("/services/admin/{id}"), &admin).await;
    let tag = behind.header("etag").expect("a tag").to_owned();
    assert!(behind.data()["displayName"] == "Gitea - Basic" && tag.starts_with("W/\"1-"), "{tag}");
    let body = json!({"displayName": "Gitea Three"});
    let lost = world.send(request("PUT", &path, Some(&admin), Some(&body)).insert_header(("if-match", tag))).await;
    assert_eq!(lost.status, 412, "it would undo what its sender has not seen");
}

#[actix_web::test]
async fn documents_have_tags_too() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let first = world.send(request("GET", "/openapi.json", None, None)).await;
    let tag = first.header("etag").expect("a tag").to_owned();
    let again = world.send(request("GET", "/openapi.json", None, None).insert_header(("if-none-match", tag))).await;
    assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
}
