//! The catalogue as everybody reads it and administrators keep it.

use minispod_domain::{AnyCommand, PlanCommand};
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    shapes::assert_shape,
    world::{open, request},
};

const FREE: &str = "cplanfree0000000000000000";
const PAID: &str = "cplanpaid0000000000000000";

/// The client's whole form.
pub fn form(name: &str, variant: &str) -> Value {
    json!({
        "name": name, "variant": variant, "variantDisplayName": "Basic", "displayName": "Gitea - Basic",
        "description": "Git hosting for small teams", "version": "latest", "isActive": true,
        "cpuRequest": "0.25", "cpuLimit": "1", "memRequest": "512Mi", "memLimit": "1.5Gi", "monthlyPrice": 35_000,
        "dockerImage": "gitea/gitea:1.22", "containerPort": 3000, "category": "development", "tags": ["git"],
        "icon": "", "features": ["Unlimited repositories"], "sortOrder": 1, "isDefaultVariant": true,
        "availableQuota": 3, "volumeSize": "250Mi", "volumeMountPath": "/data", "volumeName": "",
        "storageClass": "fast", "accessMode": "ReadWriteOncePod", "environmentVars": {"USER_UID": 1000},
    })
}

/// The fields of `form` as a row shows them.
fn sent_back(row: &Value) -> Value {
    let fields = form("x", "y");
    let fields = fields.as_object().expect("an object").keys();
    let mut body: serde_json::Map<_, _> = fields.map(|name| (name.clone(), row[name].clone())).collect();
    // The client's form keeps the price as a number.
    let price = row["monthlyPrice"].as_str().and_then(|price| price.parse::<i64>().ok()).expect("a price");
    body["monthlyPrice"] = price.into();
    assert!(body.values().all(|value| !value.is_null()), "{body:?}");
    body.into()
}

fn id_of(answer: &crate::world::Answered) -> String {
    answer.data()["id"].as_str().expect("an id").to_owned()
}

#[actix_web::test]
async fn a_plan_is_created_listed_and_shown_with_all_its_fields_w67() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    let created = world.post("/services", &admin, form("gitea", "basic")).await;
    assert_eq!((created.status.as_u16(), &created.body["statusCode"]), (201, &json!(201)), "{:#}", created.body);
    assert_shape("POST /api/v1/services", "ok", &created.body);
    assert_eq!(created.header("etag"), Some("\"1\""));
    let id = id_of(&created);
    let list = world.get("/services/admin", &admin).await;
    assert_shape("GET /api/v1/services/admin", "ok", &list.body);
    let row = &list.data()["services"][0];
    let detail = world.get(&format!("/services/admin/{id}"), &admin).await;
    for shown in [created.data(), row, detail.data()] {
        let mut expected = form("gitea", "basic");
        expected["monthlyPrice"] = json!("35000");
        expected["environmentVars"] = json!({"USER_UID": "1000"});
        for (name, value) in expected.as_object().expect("an object") {
            assert_eq!(&shown[name], value, "{name}");
        }
    }
    assert_eq!((&row["_count"]["subscriptions"], &detail.data()["subscriptions"]), (&json!(0), &json!([])));
    let (name, actor, _) = &world.events("plan", &id).await[0];
    assert_eq!((name.as_str(), &actor["id"]), ("PlanPublished", &json!(admin_id)));

    let twice = world.post("/services", &admin, form("gitea", "basic")).await;
    assert_eq!((twice.status.as_u16(), &twice.body["code"]), (409, &json!("SERVICE_EXISTS")));
    assert_shape("POST /api/v1/services", "refused", &twice.body);
    let bad =
        json!({"name": "Gitea", "displayName": "G", "description": "short", "volumeSize": "1TB", "cpuLimit": "x"});
    let bad = world.post("/services", &admin, bad).await;
    assert_eq!(bad.status, 400);
    assert_shape("POST /api/v1/services", "refused", &bad.body);
    assert_eq!(bad.fields(), ["dockerImage", "name", "displayName", "description", "cpuLimit", "volumeSize"]);
}

#[actix_web::test]
async fn sending_back_what_is_shown_changes_nothing_and_an_edit_changes_what_it_says_w67() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    let (customer, _) = world.register("ani@example.com").await;
    let mut body = form("gitea", "basic");
    body["monthlyPrice"] = json!(0);
    let id = id_of(&world.post("/services", &admin, body).await);
    assert_eq!(world.post("/subscriptions", &customer, json!({"serviceId": id})).await.status, 200);
    let path = format!("/services/{id}");
    let shown = world.get("/services/admin", &admin).await.data()["services"][0].clone();
    assert_eq!((&shown["availableQuota"], &shown["_count"]["subscriptions"]), (&json!(2), &json!(1)));
    let before = world.events("plan", &id).await.len();
    let same = world.call("PUT", &path, Some(&admin), Some(&sent_back(&shown))).await;
    assert_eq!(same.status, 200, "{:#}", same.body);
    assert_shape("PUT /api/v1/services/:id", "ok", &same.body);
    assert_eq!(world.events("plan", &id).await.len(), before, "nothing happened");
    assert_eq!((&same.data()["availableQuota"], &same.data()["volumeSize"]), (&json!(2), &json!("250Mi")));

    let change = json!({"availableQuota": 7, "monthlyPrice": 40_000, "volumeSize": "1Gi", "volumeName": "git-data",
                        "isActive": false, "name": "gitea"});
    let changed = world.call("PUT", &path, Some(&admin), Some(&change)).await;
    assert_eq!(changed.status, 200, "{:#}", changed.body);
    let data = changed.data();
    assert_eq!((&data["availableQuota"], &data["monthlyPrice"]), (&json!(7), &json!("40000")));
    assert_eq!((&data["volumeSize"], &data["volumeName"]), (&json!("1Gi"), &json!("git-data")));
    assert_eq!((&data["isActive"], &data["volumeMountPath"]), (&json!(false), &json!("/data")));
    let events = world.events("plan", &id).await;
    let names: Vec<&str> = events[before..].iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["PlanRevised", "PlanPriceChanged", "PlanCapacityChanged", "PlanRetired"]);
    assert_eq!(events[before + 2].2["capacity"], 8, "seven left and one used");
    assert!(events[before..].iter().all(|(_, actor, _)| actor["id"] == json!(admin_id)));

    for (bad, field) in [
        (json!({"name": "forgejo"}), "name"),
        (json!({"cpuRequest": "2"}), "cpuRequest"),
        (json!({"availableQuota": -2, "monthlyPrice": 1}), "availableQuota"),
        (json!({}), "body"),
    ] {
        let refused = world.call("PUT", &path, Some(&admin), Some(&bad)).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec![field]), "{bad}");
    }
    assert_eq!(world.events("plan", &id).await.len(), events.len(), "a refusal leaves nothing half done");
}

#[actix_web::test]
async fn a_variants_name_is_taken_once_also_by_an_edit() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let basic = id_of(&world.post("/services", &admin, form("gitea", "basic")).await);
    let mut plus = form("gitea", "plus");
    plus["sortOrder"] = json!(2);
    let plus = id_of(&world.post("/services", &admin, plus).await);
    let rename = json!({"variant": "basic", "monthlyPrice": 1});
    let refused = world.call("PUT", &format!("/services/{plus}"), Some(&admin), Some(&rename)).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (409, &json!("SERVICE_EXISTS")));
    let shown = world.get(&format!("/services/admin/{plus}"), &admin).await;
    assert_eq!((&shown.data()["variant"], &shown.data()["monthlyPrice"]), (&json!("plus"), &json!("35000")));

    assert_eq!(shown.data()["isDefaultVariant"], true, "the last one that was made the default");
    let first = world.get(&format!("/services/admin/{basic}"), &admin).await;
    assert_eq!(first.data()["isDefaultVariant"], false, "one default for each service");
    let grouped = world.call("GET", "/services/grouped", None, None).await;
    let variants = grouped.data()["services"][0]["variants"].as_array().expect("variants").clone();
    let defaults: Vec<_> = variants.iter().map(|variant| variant["isDefault"].as_bool()).collect();
    assert_eq!(defaults, [Some(false), Some(true)]);
    let stands = world.call("GET", "/services/gitea", None, None).await;
    assert_eq!(stands.data()["id"], json!(plus));
}

#[actix_web::test]
async fn everybody_reads_the_catalogue_and_only_administrators_its_insides_w40_w66() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (customer, _) = world.register("ani@example.com").await;
    world.publish(PAID, "pro", 35_000, 3).await;
    world.publish(FREE, "free", 0, -1).await;
    world.post("/services", &admin, form("gitea", "basic")).await;
    for token in [None, Some(customer.as_str()), Some("nonsense")] {
        let list = world.call("GET", "/services", token, None).await;
        let services = list.data().as_array().expect("a list").clone();
        let keys: Vec<_> = services[0].as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(keys, ["description", "displayName", "id", "monthlyPrice", "name", "version"]);
        let names: Vec<_> = services.iter().map(|service| service["name"].as_str().unwrap_or_default()).collect();
        assert_eq!(names, ["gitea", "n8n", "n8n"]);
        let one = world.call("GET", "/services/n8n", token, None).await;
        assert_eq!((one.status.as_u16(), &one.data()["id"]), (200, &json!(FREE)));
        assert_eq!((&one.data()["volumeSize"], &one.data()["monthlyPrice"]), (&json!("250Mi"), &json!("0")));
        let variants = world.call("GET", "/services/n8n/variants", token, None).await;
        assert_eq!(variants.data()["serviceName"], "n8n");
        let ids: Vec<_> = variants.data()["variants"].as_array().expect("variants").iter().map(|v| &v["id"]).collect();
        assert_eq!(ids, [FREE, PAID], "of this service alone, by sortOrder");
        assert_eq!(variants.data()["variants"][0]["cpuLimit"], "1");
        for answer in [&list.body, &one.body, &variants.body] {
            let text = answer.to_string();
            for inside in ["dockerImage", "environmentVars", "n8nio/n8n", "Asia/Jakarta"] {
                assert!(!text.contains(inside), "{inside}: {text}");
            }
        }
    }
    let list = world.get("/services", &admin).await;
    assert_eq!(
        (&list.data()[0]["dockerImage"], &list.data()[0]["_count"]["subscriptions"]),
        (&json!("gitea/gitea:1.22"), &json!(0))
    );
    assert_eq!(world.get("/services/n8n", &admin).await.data()["dockerImage"], "n8nio/n8n:1.100.1");
    let variants = world.get("/services/n8n/variants", &admin).await;
    assert_eq!(variants.data()["variants"][0]["environmentVars"]["GENERIC_TIMEZONE"], "Asia/Jakarta");
    let categories = world.call("GET", "/services/categories", None, None).await;
    assert_eq!(categories.data(), &json!(["automation", "development"]));
    for none in ["/services/ghost", "/services/ghost/variants", "/services/%00", "/services/Nothing/variants"] {
        let none = world.call("GET", none, None, None).await;
        assert_eq!((none.status.as_u16(), &none.body["code"]), (404, &json!("SERVICE_NOT_FOUND")), "{:#}", none.body);
    }
}

#[actix_web::test]
async fn only_administrators_keep_the_catalogue() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(FREE, "free", 0, -1).await;
    let (customer, _) = world.register("ani@example.com").await;
    let (one, toggle) = (format!("/services/{FREE}"), format!("/services/{FREE}/toggle-status"));
    let detail = format!("/services/admin/{FREE}");
    for (method, path) in [
        ("GET", "/services/admin"),
        ("GET", "/services/admin/stats"),
        ("GET", detail.as_str()),
        ("POST", "/services"),
        ("PUT", one.as_str()),
        ("PATCH", toggle.as_str()),
        ("DELETE", one.as_str()),
    ] {
        let nobody = world.call(method, path, None, Some(&json!({}))).await;
        assert_eq!((nobody.status.as_u16(), &nobody.body["code"]), (401, &json!("AUTH_ERROR")), "{method} {path}");
        let refused = world.call(method, path, Some(&customer), Some(&json!({}))).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.body["code"]),
            (403, &json!("FORBIDDEN_ERROR")),
            "{method} {path}"
        );
    }
    assert_eq!(world.events("plan", FREE).await.len(), 1);
}

#[actix_web::test]
async fn a_plan_is_switched_off_and_on_and_deleted_when_nobody_uses_it() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    let (customer, _) = world.register("ani@example.com").await;
    world.publish(FREE, "free", 0, 1).await;
    let (path, toggle) = (format!("/services/{FREE}"), format!("/services/{FREE}/toggle-status"));
    let off = world.call("PATCH", &toggle, Some(&admin), None).await;
    assert_shape("PATCH /api/v1/services/:id/toggle-status", "ok", &off.body);
    assert_eq!(off.data()["isActive"], false);
    let closed = world.post("/subscriptions", &customer, json!({"serviceId": FREE})).await;
    assert_eq!(closed.status, 404);
    assert_eq!(world.call("GET", "/services", None, None).await.data(), &json!([]));
    assert_eq!(world.get("/services/admin?isActive=false", &admin).await.data()["pagination"]["totalCount"], 1);
    let on = world.call("PATCH", &toggle, Some(&admin), None).await;
    assert_eq!(on.data()["isActive"], true);

    let bought = world.post("/subscriptions", &customer, json!({"serviceId": FREE})).await;
    let refused = world.call("DELETE", &path, Some(&admin), None).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (409, &json!("SERVICE_HAS_ACTIVE_SUBSCRIPTIONS")));
    assert_shape("DELETE /api/v1/services/:id", "refused", &refused.body);
    let subscription = format!("/subscriptions/{}", id_of(&bought));
    assert_eq!(world.call("DELETE", &subscription, Some(&customer), None).await.status, 200);
    world.settle_reactions().await;

    let delete = || request("DELETE", &path, Some(&admin), Some(&json!({"reason": "nobody buys it"})));
    let delete = || delete().insert_header(("idempotency-key", "delete-1"));
    for replayed in [None, Some("true")] {
        let gone = world.send(delete()).await;
        assert_eq!((gone.status.as_u16(), gone.header("idempotency-replayed")), (200, replayed), "{:#}", gone.body);
        assert_shape("DELETE /api/v1/services/:id", "ok", &gone.body);
        assert_eq!(gone.data()["displayName"], "N8N - Basic");
    }
    let (name, actor, payload) = world.events("plan", FREE).await.pop().expect("events");
    assert_eq!((name.as_str(), &actor["id"]), ("PlanDeleted", &json!(admin_id)));
    assert_eq!(payload["reason"], "nobody buys it");
    for (method, path) in [("DELETE", &path), ("PATCH", &toggle), ("GET", &format!("/services/admin/{FREE}"))] {
        let none = world.call(method, path, Some(&admin), None).await;
        assert_eq!((none.status.as_u16(), &none.body["code"]), (404, &json!("SERVICE_NOT_FOUND")), "{method}");
    }
    assert_eq!(world.get("/services/admin", &admin).await.data()["services"], json!([]));
    let history = world.get(&subscription, &customer).await;
    assert_eq!((history.status.as_u16(), &history.data()["service"]["name"]), (200, &json!("n8n")));
    assert_eq!(world.post("/services", &admin, form("n8n", "free")).await.status, 201, "its name is free again");
}

#[actix_web::test]
async fn a_sold_out_plan_never_becomes_unlimited_by_an_edit_w8() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(FREE, "free", 0, 2).await;
    for email in ["ani@example.com", "budi@example.com"] {
        let (token, _) = world.register(email).await;
        assert_eq!(world.post("/subscriptions", &token, json!({"serviceId": FREE})).await.status, 200);
    }
    let path = format!("/services/{FREE}");
    // Shrunk below what is used: nothing is left, and nothing is what an edit may send back.
    let shrink = AnyCommand::Plan(PlanCommand::ChangeCapacity { capacity: minispod_events::Capacity(1) });
    world.command(FREE, shrink, "shrink").await;
    for _ in 0..2 {
        let same = world.call("PUT", &path, Some(&admin), Some(&json!({"availableQuota": 0}))).await;
        assert_eq!((same.status.as_u16(), &same.data()["availableQuota"]), (200, &json!(0)));
    }
    assert_eq!(world.count("PlanCapacityChanged").await, 1, "only the shrinking itself");
    let (late, _) = world.register("citra@example.com").await;
    assert_eq!(world.post("/subscriptions", &late, json!({"serviceId": FREE})).await.status, 409);
    let more = world.call("PUT", &path, Some(&admin), Some(&json!({"availableQuota": 1}))).await;
    assert_eq!(more.data()["availableQuota"], 1);
    assert_eq!(world.post("/subscriptions", &late, json!({"serviceId": FREE})).await.status, 200);
    let endless = world.call("PUT", &path, Some(&admin), Some(&json!({"availableQuota": -1}))).await;
    assert_eq!(endless.data()["availableQuota"], -1);
}

#[actix_web::test]
async fn administrators_page_search_and_count_plans_w71_w76() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (customer, customer_id) = world.register("ani@example.com").await;
    world.publish(PAID, "pro", 35_000, 3).await;
    world.publish(FREE, "free", 0, -1).await;
    let mut hidden = form("gitea", "basic");
    hidden["isActive"] = json!(false);
    let created = world.post("/services", &admin, hidden).await;
    assert_eq!((created.status.as_u16(), &created.data()["isActive"]), (201, &json!(false)));
    assert_eq!(world.call("GET", "/services/gitea", None, None).await.status, 404);
    let page = world.get("/services/admin?page=2&limit=2", &admin).await;
    assert_eq!(
        page.data()["pagination"],
        json!({"currentPage": 2, "totalPages": 2, "totalCount": 3, "hasNext": false, "hasPrev": true})
    );
    assert_eq!(world.get("/services/admin?search=GIT", &admin).await.data()["pagination"]["totalCount"], 1);
    assert_eq!(world.get("/services/admin?isActive=true", &admin).await.data()["pagination"]["totalCount"], 2);
    let bad = format!("/services/admin?page=0&limit=101&isActive=perhaps&search={}", "x".repeat(101));
    let bad = world.get(&bad, &admin).await;
    assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["page", "limit", "isActive", "search"]));

    world.post("/subscriptions", &customer, json!({"serviceId": FREE})).await;
    let stats = world.get("/services/admin/stats", &admin).await;
    assert_eq!(
        stats.data(),
        &json!({"totalServices": 3, "activeServices": 2, "inactiveServices": 1, "totalSubscriptions": 1,
                "activeSubscriptions": 0,
                "popularServices": [{"name": "n8n", "displayName": "N8N - Basic", "_count": {"subscriptions": 1}}]})
    );
    let detail = world.get(&format!("/services/admin/{FREE}"), &admin).await;
    assert_shape("GET /api/v1/services/admin/:id", "ok", &detail.body);
    assert_eq!(detail.data()["subscriptions"][0]["user"]["id"], json!(customer_id));
    assert_eq!(detail.data()["_count"]["subscriptions"], 1);
    let none = world.get("/services/admin/cnothing", &admin).await;
    assert_shape("GET /api/v1/services/admin/:id", "refused", &none.body);
    assert_eq!((none.status.as_u16(), &none.body["code"]), (404, &json!("SERVICE_NOT_FOUND")));
}

#[actix_web::test]
async fn a_write_of_the_catalogue_answers_its_own_outcome_when_the_read_model_is_late() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(PAID, "pro", 35_000, 3).await;
    world.stick(true);
    let path = format!("/services/{PAID}");
    let changed = world.call("PUT", &path, Some(&admin), Some(&json!({"monthlyPrice": 1, "sortOrder": 5}))).await;
    assert_eq!((changed.status.as_u16(), changed.header("preference-applied")), (200, None), "{:#}", changed.body);
    assert_eq!((&changed.data()["monthlyPrice"], &changed.data()["sortOrder"]), (&json!("1"), &json!(5)));
    let off = world.call("PATCH", &format!("{path}/toggle-status"), Some(&admin), None).await;
    let on = world.call("PATCH", &format!("{path}/toggle-status"), Some(&admin), None).await;
    assert_eq!((&off.data()["isActive"], &on.data()["isActive"]), (&json!(false), &json!(true)));
    let created = world.post("/services", &admin, form("gitea", "basic")).await;
    assert_eq!((created.status.as_u16(), &created.data()["name"]), (201, &json!("gitea")));
    let stale =
        request("PUT", &path, Some(&admin), Some(&json!({"sortOrder": 6}))).insert_header(("if-match", "\"1\""));
    assert_eq!(world.send(stale).await.status, 412);
}
