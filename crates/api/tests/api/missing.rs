//! What is not built yet says so, to those who may ask for it.

use minispod_api::routes::missing::MISSING;
use minispod_testkit::require;
use serde_json::json;

use crate::world::open;

const ANY: &str = "c000000000000000000000000";

/// The path with something in the place of every parameter.
fn filled(path: &str) -> String {
    let parts: Vec<_> = path.split('/').map(|part| if part.starts_with('{') { ANY } else { part }).collect();
    parts.join("/")
}

#[actix_web::test]
async fn what_is_missing_says_so_and_only_to_those_who_may_ask() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (customer, _) = world.register("ani@example.com").await;
    let document = world.call("GET", "/openapi.json", None, None).await;
    for one in MISSING {
        let (path, name) = (filled(one.path), format!("{} {}", one.method, one.path));
        assert_eq!(world.call(one.method, &path, None, None).await.status, 401, "{name}");
        let asked = world.call(one.method, &path, Some(&customer), None).await;
        assert_eq!(asked.status, if one.action.is_some() { 403 } else { 501 }, "{name}");
        let answer = world.call(one.method, &path, Some(&admin), Some(&json!({"confirm": true}))).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (501, &json!("NOT_IMPLEMENTED")), "{name}");
        assert_eq!(answer.body["message"], one.sentence(), "{name}");
        assert_eq!(answer.body["statusCode"], 501, "{name}");
        let described = &document.body["paths"][format!("/api/v1{}", one.path)][one.method.to_ascii_lowercase()];
        assert!(described["responses"]["501"].is_object() && described["responses"]["200"].is_null(), "{name}");
    }
}
