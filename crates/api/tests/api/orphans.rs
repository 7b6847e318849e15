//! What the cluster says of instances: logs, places, and workloads of nobody.

use std::sync::Arc;

use minispod_domain::ports::fleet::LogSeen;
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    fleet::{PlayedFleet, workload},
    pods::{FREE, ordered, running},
    shapes::assert_shape,
    world::open_with_fleet,
};

const NOBODY: &str = "c000000000000000000000000";
const CONFIRM: &str = "/admin/pods/orphaned";

#[actix_web::test]
async fn only_what_no_instance_asked_for_is_an_orphan_and_each_is_looked_at_again_w43() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    let world = open_with_fleet(fleet.clone()).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(FREE, "free", 0, -1).await;
    let pod = running(&world, "ani@example.com", FREE).await;
    let (token, budi) = world.register("budi@example.com").await;
    world.stick(true);
    let late = ordered(&world, &token, budi, FREE).await;
    fleet.laid().workloads = vec![
        workload("customer-a", "owned", Some(&pod.instance)),
        workload("customer-a", "late", Some(&late.instance)),
        workload("customer-a", "lost", Some(NOBODY)),
        workload("customer-b", "by-hand", None),
        workload("customer-b", "strange", Some("x'--")),
    ];
    let list = world.get(CONFIRM, &admin).await;
    assert_shape("GET /api/v1/admin/pods/orphaned", "ok", &list.body);
    let names = |answer: &Value| -> Vec<String> {
        let all = answer["orphanedPods"].as_array().into_iter().flatten();
        all.filter_map(|one| one["deploymentName"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(names(list.data()), ["lost", "by-hand", "strange"], "a read model that lags makes no orphan");
    assert_eq!(list.data()["summary"]["orphanedCount"], 3);
    assert_eq!(
        (&list.data()["summary"]["totalKubernetesPods"], &list.data()["summary"]["namespacesChecked"]),
        (&json!(5), &json!(2))
    );

    let clean = |body: Value| {
        let (world, admin) = (&world, &admin);
        async move { world.call("DELETE", CONFIRM, Some(admin), Some(&body)).await }
    };
    for bad in [json!({}), json!({"confirm": false})] {
        let bad = clean(bad).await;
        assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["confirm"]));
    }
    let named = json!({"confirm": true, "deployments": [
        {"deploymentName": "owned", "namespace": "customer-a"},
        {"deploymentName": "lost", "namespace": "customer-a"},
        {"deploymentName": "nothing", "namespace": "customer-a"},
    ]});
    let some = clean(named).await;
    assert_eq!(some.data()["cleanupResults"]["deployments"], json!(["lost"]), "{:#}", some.body);
    assert_eq!(
        some.data()["cleanupResults"]["errors"],
        json!([{"resource": "owned", "namespace": "customer-a", "error": "It belongs to an instance"},
               {"resource": "nothing", "namespace": "customer-a", "error": "There is no such workload"}])
    );
    let elsewhere = clean(json!({"confirm": true, "namespaces": ["customer-a"]})).await;
    assert_eq!(elsewhere.data()["summary"]["deploymentsDeleted"], 0, "only the namespaces that were named");
    let rest = clean(json!({"confirm": true})).await;
    assert_eq!(rest.data()["cleanupResults"]["deployments"], json!(["by-hand", "strange"]));
    let left: Vec<String> = fleet.laid().workloads.iter().map(|one| one.name.clone()).collect();
    assert_eq!(left, ["owned", "late"]);
}

#[actix_web::test]
async fn one_orphan_is_deleted_by_its_name_and_nothing_that_has_an_instance() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    let world = open_with_fleet(fleet.clone()).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(FREE, "free", 0, -1).await;
    let pod = running(&world, "ani@example.com", FREE).await;
    fleet.laid().workloads =
        vec![workload("customer-a", "owned", Some(&pod.instance)), workload("customer-a", "lost", Some(NOBODY))];
    let exchange = "DELETE /api/v1/admin/pods/orphaned/:deploymentName/:namespace";
    let delete = |path: &'static str, body: Value| {
        let (world, admin) = (&world, &admin);
        async move { world.call("DELETE", &format!("/admin/pods/orphaned/{path}"), Some(admin), Some(&body)).await }
    };
    let confirm = || json!({"confirm": true});
    assert_eq!(delete("lost/customer-a", json!({})).await.fields(), ["confirm"]);
    let owned = delete("owned/customer-a", confirm()).await;
    assert_eq!((owned.status.as_u16(), &owned.body["code"]), (409, &json!("CONFLICT_ERROR")));
    assert_eq!(delete("lost/customer-b", confirm()).await.status, 404);
    let gone = delete("lost/customer-a", confirm()).await;
    assert_eq!(gone.status, 200, "{:#}", gone.body);
    assert_shape(exchange, "ok", &gone.body);
    assert_eq!(gone.data()["cleanupResults"]["deployments"], json!(["lost"]));
    assert_eq!(delete("lost/customer-a", confirm()).await.status, 404);
    assert_eq!(fleet.laid().workloads.len(), 1);
}

#[actix_web::test]
async fn logs_and_places_are_asked_of_the_cluster_w67_w68() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    let world = open_with_fleet(fleet.clone()).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(FREE, "free", 0, -1).await;
    let ani = running(&world, "ani@example.com", FREE).await;
    let budi = running(&world, "budi@example.com", FREE).await;
    let path = format!("/admin/pods/{}/logs", ani.instance);
    let none = world.get(&path, &admin).await;
    assert_eq!((none.status.as_u16(), none.data()["logs"].is_string()), (200, true), "{:#}", none.body);
    fleet.laid().log = Some(LogSeen { pod: "n8n-1".to_owned(), text: "hello\n".to_owned() });
    let asked = format!("{path}?lines=7&since=2026-11-26T10:00:00.500Z&timestamps=true");
    let read = world.get(&asked, &admin).await;
    assert_eq!((&read.data()["logs"], &read.data()["podName"]), (&json!("hello\n"), &json!("n8n-1")));
    assert_eq!((&read.data()["owner"]["email"], &read.data()["simulated"]), (&json!("ani@example.com"), &json!(true)));
    let expected = format!("log {} 7 Some(\"2026-11-26T10:00:00.500Z\") true", ani.instance);
    assert_eq!(fleet.laid().asked.last(), Some(&expected));
    let bad = world.get(&format!("{path}?lines=1001&since=now&timestamps=maybe"), &admin).await;
    assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["lines", "since", "timestamps"]));
    assert_eq!(world.get(&format!("/admin/pods/{NOBODY}/logs"), &admin).await.status, 404);

    fleet.laid().on_nodes.insert("worker-1".to_owned(), vec![budi.instance.clone(), NOBODY.to_owned()]);
    for (query, total) in [
        ("workerNode=worker-1".to_owned(), 1),
        (format!("workerNode=worker-1&userId={}", ani.owner), 0),
        (format!("workerNode=worker-1&userId={}&status=RUNNING&serviceName=n8n", budi.owner), 1),
        ("workerNode=worker-2".to_owned(), 0),
    ] {
        let page = world.get(&format!("/admin/pods?{query}"), &admin).await;
        let data = page.data();
        assert_eq!(
            (&data["pagination"]["total"], &data["statistics"]["total"]),
            (&json!(total), &json!(total)),
            "{query}"
        );
    }
    assert_eq!(world.get("/admin/pods?workerNode=a,b", &admin).await.fields(), ["workerNode"]);
    let debug = world.get("/admin/pods/debug", &admin).await;
    assert_eq!(
        (&debug.data()["databasePods"]["total"], &debug.data()["databasePods"]["byStatus"]),
        (&json!(2), &json!({"RUNNING": 2}))
    );
    assert_eq!(debug.data()["kubernetesConnection"]["ready"], true);
}
