//! The cluster's nodes in the hands of administrators.

use std::sync::Arc;

use minispod_domain::ports::fleet::NodeSeen;
use minispod_kernel::Timestamp;
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    fleet::{PlayedFleet, node},
    shapes::assert_shape,
    world::{open, open_with_fleet},
};

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|node| node["name"].as_str()).collect()
}

fn three() -> Vec<NodeSeen> {
    let young = Timestamp::from_unix_millis(1_795_000_000_000);
    let mut silent = node("silent");
    "Unknown".clone_into(&mut silent.conditions[0].status);
    silent.room.cpu_millis = 16_000;
    let closed = NodeSeen { schedulable: false, created_at: young, ..node("closed") };
    vec![node("open"), closed, silent]
}

#[actix_web::test]
async fn nodes_are_listed_by_every_filter_and_order_w62_w67() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    fleet.laid().nodes = three();
    let world = open_with_fleet(fleet.clone()).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let list = world.get("/admin/workers", &admin).await;
    assert_shape("GET /api/v1/admin/workers", "ok", &list.body);
    assert_eq!(names(&list.data()["workers"]), ["closed", "silent", "open"], "newest first");
    assert_eq!(list.data()["pagination"]["hasNext"], false);
    assert_eq!(list.data()["simulated"], true);
    for (query, expected) in [
        ("status=ACTIVE", vec!["open"]),
        ("status=MAINTENANCE", vec!["closed"]),
        ("status=INACTIVE", vec!["silent"]),
        ("isSchedulable=false", vec!["closed"]),
        ("isReady=false", vec!["silent"]),
        ("isReady=true&isSchedulable=true", vec!["open"]),
        ("search=CLOSED.LOCAL", vec!["closed"]),
        ("sortBy=cpuCores", vec!["silent", "open", "closed"]),
        ("sortBy=name&sortOrder=asc&limit=2", vec!["closed", "open"]),
        ("sortBy=name&sortOrder=asc&limit=2&page=2", vec!["silent"]),
    ] {
        let answer = world.get(&format!("/admin/workers?{query}"), &admin).await;
        assert_eq!(names(&answer.data()["workers"]), expected, "{query}");
    }
    let bad = "/admin/workers?page=0&status=GONE&isReady=1&sortBy=age&sortOrder=up";
    let bad = world.get(bad, &admin).await;
    assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["page", "status", "isReady", "sortBy", "sortOrder"]));
    let online = world.get("/admin/workers/online", &admin).await;
    assert_eq!((names(&online.data()["nodes"]), &online.data()["count"]), (vec!["open"], &json!(1)));
    let offline = world.get("/admin/workers/offline", &admin).await;
    assert_eq!((names(&offline.data()["nodes"]), &offline.data()["count"]), (vec!["closed", "silent"], &json!(2)));
    let stats = world.get("/admin/workers/stats", &admin).await;
    assert_eq!(
        stats.data()["nodeStatus"],
        json!({"active": 1, "inactive": 1, "maintenance": 1, "pending": 0, "notReady": 0})
    );
    assert_eq!(stats.data()["resources"]["cpu"], json!({"total": 24.0, "allocated": 4.5, "utilization": 18.75}));
    let sync = world.call("POST", "/admin/workers/sync", Some(&admin), None).await;
    assert_eq!((sync.status.as_u16(), &sync.data()["stats"]["totalLiveNodes"]), (200, &json!(3)));
}

#[actix_web::test]
async fn a_node_is_shown_closed_opened_and_drained_by_its_name_w63() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    fleet.laid().nodes = three();
    let world = open_with_fleet(fleet.clone()).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let shown = world.get("/admin/workers/open", &admin).await;
    assert_shape("GET /api/v1/admin/workers/:id", "ok", &shown.body);
    assert_eq!(shown.data()["totalMemory"], "8388608Ki", "the client reads nothing else");
    for id in ["nobody", "a,b", "%00", "UPPER"] {
        let none = world.get(&format!("/admin/workers/{id}"), &admin).await;
        assert_eq!((none.status.as_u16(), &none.body["code"]), (404, &json!("WORKER_NODE_NOT_FOUND")), "{id}");
        assert_shape("GET /api/v1/admin/workers/:id", "refused", &none.body);
    }
    let post = |path: &'static str, body: Option<Value>| {
        let (world, admin) = (&world, &admin);
        async move { world.call("POST", &format!("/admin/workers/{path}"), Some(admin), body.as_ref()).await }
    };
    assert_eq!(post("open/cordon", None).await.data()["status"], "MAINTENANCE");
    assert_eq!(post("open/uncordon", None).await.data()["status"], "ACTIVE");
    let wish = json!({"gracePeriodSeconds": 5, "timeout": 60, "force": true, "deleteLocalData": true});
    let drained = post("open/drain", Some(wish)).await;
    assert_eq!((&drained.data()["podsEvicted"], &drained.data()["podsFailed"]), (&json!(1), &json!(1)));
    assert_eq!(
        drained.data()["evictionResults"],
        json!([{"name": "a", "namespace": "customer-x", "status": "evicted"},
               {"name": "b", "namespace": "customer-x", "status": "failed", "error": "a disruption budget"}])
    );
    assert_eq!(drained.data()["node"]["isSchedulable"], false);
    assert_eq!(post("open/drain", None).await.status, 200);
    assert_eq!(fleet.laid().asked, ["drain 5 60 true true", "drain 30 300 false false"]);
    let bad = post("open/drain", Some(json!({"gracePeriodSeconds": 601, "timeout": 0}))).await;
    assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["gracePeriodSeconds", "timeout"]));
    for path in ["nobody/cordon", "nobody/uncordon", "nobody/drain"] {
        assert_eq!(post(path, None).await.status, 404, "{path}");
    }
}

#[actix_web::test]
async fn without_a_cluster_live_views_are_503_and_customers_see_nothing_w56() {
    if !require("pg") {
        return;
    }
    let reads = [
        "/admin/workers",
        "/admin/workers/stats",
        "/admin/workers/online",
        "/admin/workers/offline",
        "/admin/workers/n",
        "/admin/pods/debug",
        "/admin/pods/orphaned",
        "/admin/pods?workerNode=n",
    ];
    let writes =
        ["/admin/workers/sync", "/admin/workers/n/cordon", "/admin/workers/n/uncordon", "/admin/workers/n/drain"];
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (customer, _) = world.register("ani@example.com").await;
    let calls = || reads.iter().map(|path| ("GET", *path)).chain(writes.iter().map(|path| ("POST", *path)));
    for (method, path) in calls() {
        assert_eq!(world.call(method, path, None, None).await.status, 401, "{path}");
        assert_eq!(world.call(method, path, Some(&customer), None).await.status, 403, "{path}");
        let none = world.call(method, path, Some(&admin), None).await;
        assert_eq!(none.status, 503, "{path}");
        assert!(
            none.body["message"].as_str().is_some_and(|text| text.contains("no connection to the cluster")),
            "{path}"
        );
    }
    let fleet = Arc::new(PlayedFleet::default());
    let world = open_with_fleet(fleet.clone()).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    fleet.laid().away = true;
    for (method, path) in calls() {
        let away = world.call(method, path, Some(&admin), None).await;
        assert_eq!((away.status.as_u16(), away.header("retry-after")), (503, Some("2")), "{path}");
        assert!(!away.body.to_string().contains("10.1.2.3"), "{path}");
    }
    fleet.laid().away = false;
    assert_eq!(world.get("/admin/workers", &admin).await.status, 200, "it comes back by itself");
}

#[actix_web::test]
async fn a_lost_node_is_taken_out_of_service_only_on_a_persons_word_that_its_machine_is_off() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    fleet.laid().nodes = three();
    let world = open_with_fleet(fleet.clone()).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let path = |node: &str| format!("/admin/workers/{node}/out-of-service");
    for body in [json!({}), json!({ "machineIsOff": false })] {
        let unsure = world.post(&path("silent"), &admin, body).await;
        assert_eq!((unsure.status.as_u16(), unsure.fields()), (400, vec!["machineIsOff"]), "{:#}", unsure.body);
    }
    let sure = json!({ "machineIsOff": true });
    let answers = world.post(&path("open"), &admin, sure.clone()).await;
    assert_eq!(answers.status, 409);
    assert!(answers.body["message"].as_str().expect("a text").contains("drain it instead"), "{:#}", answers.body);
    assert_eq!(world.post(&path("nobody"), &admin, sure.clone()).await.status, 404);
    let (customer, _) = world.register("ani@example.com").await;
    assert_eq!(world.post(&path("silent"), &customer, sure.clone()).await.status, 403);
    let done = world.post(&path("silent"), &admin, sure).await;
    assert_eq!((done.status.as_u16(), &done.data()["isSchedulable"]), (200, &json!(false)), "{:#}", done.body);
    let asked: Vec<String> = fleet.laid().asked.iter().filter(|one| one.starts_with("out")).cloned().collect();
    assert_eq!(asked, ["out-of-service open", "out-of-service nobody", "out-of-service silent"]);
}
