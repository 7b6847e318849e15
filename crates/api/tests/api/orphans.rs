//! What the cluster says of instances: logs, places, and what is there of nobody.

use std::sync::Arc;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
};
use minispod_domain::{
    AnyCommand, InstanceCommand,
    ports::fleet::{BelongingKind, LogSeen},
};
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    fleet::{PlayedFleet, belonging, workload},
    pods::{FREE, Running, ordered, running},
    shapes::assert_shape,
    world::{Answered, World, open_with_fleet},
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
    let outside = clean(json!({"confirm": true, "namespaces": ["customer-a"], "deployments": [
        {"deploymentName": "by-hand", "namespace": "customer-b"},
    ]}))
    .await;
    assert_eq!(
        (&outside.data()["summary"]["deploymentsDeleted"], &outside.data()["cleanupResults"]["errors"]),
        (
            &json!(0),
            &json!([{"resource": "by-hand", "namespace": "customer-b",
                     "error": "It is not in one of the named namespaces"}])
        )
    );
    let rest = clean(json!({"confirm": true})).await;
    assert_eq!(rest.data()["cleanupResults"]["deployments"], json!(["by-hand", "strange"]));
    let left: Vec<String> = fleet.laid().workloads.iter().map(|one| one.name.clone()).collect();
    assert_eq!(left, ["owned", "late"]);
}

/// A running instance is deleted, and its data with it or not.
async fn delete<S, B>(world: &World<S>, pod: &Running, purge_volume: bool)
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let gone = InstanceCommand::RecordDeleted { generation: 2, volume_purged: purge_volume };
    for (what, command) in [("delete", InstanceCommand::Delete { purge_volume }), ("gone", gone)] {
        world.command(&pod.instance, AnyCommand::Instance(command), &format!("{}-{what}", pod.instance)).await;
    }
}

/// Kind, name and reason of the orphans beside workloads.
fn objects(list: &Answered) -> Vec<String> {
    let all = list.data()["orphanedObjects"].as_array().into_iter().flatten();
    let word = |one: &Value, key: &str| one[key].as_str().expect("a text").to_owned();
    all.map(|one| format!("{} {}: {}", word(one, "kind"), word(one, "name"), word(one, "reason"))).collect()
}

/// Names of what a clean-up says that it deleted.
fn names(cleaned: &Answered, list: &str) -> Vec<String> {
    let all = cleaned.data()["cleanupResults"][list].as_array().into_iter().flatten();
    all.map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}

/// In the cluster: what is left of a deleted instance and of one that went with its data, all of one that lives, and a
/// volume of nobody.
fn lay(fleet: &PlayedFleet, kept: &Running, purged: &Running, lives: &Running) {
    let of = |kind, name, pod: &Running| belonging(kind, "customer-a", name, &pod.instance);
    let everything = BelongingKind::ALL.into_iter();
    fleet.laid().workloads = vec![workload("customer-a", "kept", Some(&kept.instance))];
    fleet.laid().belongings = everything
        .clone()
        .map(|kind| of(kind, "kept", kept))
        .chain(everything.map(|kind| of(kind, "lives", lives)))
        .chain([of(BelongingKind::Service, "kept-too", kept), of(BelongingKind::Volume, "purged", purged)])
        .chain([belonging(BelongingKind::Volume, "customer-b", "nobodys", NOBODY)])
        .collect();
}

#[actix_web::test]
async fn what_is_left_of_a_deleted_instance_is_shown_and_its_kept_volume_is_not_w60() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    let world = open_with_fleet(fleet.clone()).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(FREE, "free", 0, -1).await;
    let kept = running(&world, "ani@example.com", FREE).await;
    let purged = running(&world, "budi@example.com", FREE).await;
    let lives = running(&world, "citra@example.com", FREE).await;
    delete(&world, &kept, false).await;
    delete(&world, &purged, true).await;
    lay(&fleet, &kept, &purged, &lives);
    let list = world.get(CONFIRM, &admin).await;
    assert_shape("GET /api/v1/admin/pods/orphaned", "ok", &list.body);
    assert_eq!(list.data()["orphanedPods"][0]["reason"], "Its instance is deleted");
    assert_eq!(
        objects(&list),
        [
            "Secret kept: Its instance is deleted",
            "Service kept: Its instance is deleted",
            "Ingress kept: Its instance is deleted",
            "NetworkPolicy kept: Its instance is deleted",
            "Service kept-too: Its instance is deleted",
            "PersistentVolumeClaim purged: Its instance is deleted",
            "PersistentVolumeClaim nobodys: Its instance is not in the log",
        ],
        "a kept volume is no orphan"
    );
    let summary = &list.data()["summary"];
    assert_eq!(
        (&summary["orphanedCount"], &summary["orphanedObjects"], &summary["unchecked"]),
        (&json!(1), &json!(7), &json!(0))
    );
    let first = &list.data()["orphanedObjects"][0];
    assert_eq!((&first["instanceId"], &first["namespace"]), (&json!(kept.instance), &json!("customer-a")));
    assert_eq!(first["createdAt"].as_str().map(str::len), Some(24));
    assert!(list.data()["about"].as_str().expect("a text").contains("Secrets"));
}

#[actix_web::test]
async fn what_is_left_of_a_deleted_instance_goes_and_a_volume_only_when_asked_for_w60() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    let world = open_with_fleet(fleet.clone()).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(FREE, "free", 0, -1).await;
    let kept = running(&world, "ani@example.com", FREE).await;
    let purged = running(&world, "budi@example.com", FREE).await;
    let lives = running(&world, "citra@example.com", FREE).await;
    delete(&world, &kept, false).await;
    delete(&world, &purged, true).await;
    lay(&fleet, &kept, &purged, &lives);
    let clean = |body: Value| {
        let (world, admin) = (&world, &admin);
        async move { world.call("DELETE", CONFIRM, Some(admin), Some(&body)).await }
    };
    assert_eq!(clean(json!({"confirm": true, "volumes": "perhaps"})).await.fields(), ["volumes"]);
    let named = json!({"confirm": true, "volumes": true, "deployments": [
        {"deploymentName": "nothing", "namespace": "customer-a"},
    ]});
    let nothing = clean(named).await;
    assert_eq!(nothing.data()["summary"]["objectsDeleted"], 0, "only the deployments that were named");
    let elsewhere = clean(json!({"confirm": true, "volumes": true, "namespaces": ["customer-c"]})).await;
    assert_eq!((names(&elsewhere, "objects").len(), names(&elsewhere, "volumes").len()), (0, 0));
    assert_eq!(fleet.laid().belongings.len(), 13);

    let cleaned = clean(json!({"confirm": true})).await;
    assert_eq!(cleaned.data()["cleanupResults"]["deployments"], json!(["kept"]), "{:#}", cleaned.body);
    assert_eq!(cleaned.data()["cleanupResults"]["services"], json!(["kept"]), "it went with the workload");
    let gone = cleaned.data()["cleanupResults"]["objects"].as_array().expect("a list");
    let gone: Vec<_> = gone.iter().map(|one| (one["kind"].as_str(), one["name"].as_str())).collect();
    let expected = [("Ingress", "kept"), ("Service", "kept-too"), ("NetworkPolicy", "kept"), ("Secret", "kept")];
    assert_eq!(gone, expected.map(|(kind, name)| (Some(kind), Some(name))), "doors first");
    let summary = &cleaned.data()["summary"];
    assert_eq!((&summary["objectsDeleted"], &summary["volumesDeleted"]), (&json!(4), &json!(0)));
    assert_eq!(objects(&world.get(CONFIRM, &admin).await).len(), 2, "volumes stay without a word");

    let volumes = clean(json!({"confirm": true, "volumes": true, "namespaces": ["customer-a"]})).await;
    assert_eq!(names(&volumes, "volumes"), ["purged"]);
    let volumes = clean(json!({"confirm": true, "volumes": true})).await;
    assert_eq!(
        (names(&volumes, "volumes"), &volumes.data()["summary"]["volumesDeleted"]),
        (vec!["nobodys".to_owned()], &json!(1))
    );
    let left: Vec<_> = fleet.laid().belongings.iter().map(|one| (one.kind, one.name.clone())).collect();
    let lives = BelongingKind::ALL.map(|kind| (kind, "lives".to_owned()));
    assert_eq!(left, [vec![(BelongingKind::Volume, "kept".to_owned())], lives.to_vec()].concat());
}

#[actix_web::test]
async fn a_read_model_that_lags_makes_no_orphan_of_what_an_instance_has_w43() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    let world = open_with_fleet(fleet.clone()).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(FREE, "free", 0, -1).await;
    let back = running(&world, "ani@example.com", FREE).await;
    delete(&world, &back, false).await;
    let (token, budi) = world.register("budi@example.com").await;
    world.stick(true);
    let late = ordered(&world, &token, budi, FREE).await;
    let redeploy = AnyCommand::Instance(InstanceCommand::Redeploy);
    world.command(&back.instance, redeploy, "back").await;
    let all = |pod: &Running| BelongingKind::ALL.map(|kind| belonging(kind, "customer-a", "its", &pod.instance));
    fleet.laid().belongings = [all(&back), all(&late)].concat();
    fleet.laid().workloads = vec![workload("customer-a", "its", Some(&back.instance))];
    let list = world.get(CONFIRM, &admin).await;
    assert_eq!((objects(&list), &list.data()["summary"]["orphanedCount"]), (Vec::new(), &json!(0)));
    let cleaned = world.call("DELETE", CONFIRM, Some(&admin), Some(&json!({"confirm": true, "volumes": true}))).await;
    assert_eq!(cleaned.status, 200, "{:#}", cleaned.body);
    let laid = fleet.laid();
    assert_eq!((laid.belongings.len(), laid.workloads.len()), (10, 1));
}

#[actix_web::test]
async fn what_was_changed_between_the_look_and_the_deletion_stays_and_that_is_told() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    let world = open_with_fleet(fleet.clone()).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    {
        let mut laid = fleet.laid();
        laid.workloads = vec![workload("customer-a", "busy", Some(NOBODY))];
        laid.belongings = vec![
            belonging(BelongingKind::Ingress, "customer-a", "quiet", NOBODY),
            belonging(BelongingKind::Secret, "customer-a", "busy-too", NOBODY),
        ];
        laid.rewritten = vec!["busy".to_owned(), "busy-too".to_owned()];
    }
    let confirm = json!({"confirm": true});
    let clean = || world.call("DELETE", CONFIRM, Some(&admin), Some(&confirm));
    let some = clean().await;
    assert_eq!(names(&some, "objects"), ["quiet"], "{:#}", some.body);
    let why = "The cluster refuses it: it was changed meanwhile";
    assert_eq!(
        some.data()["cleanupResults"]["errors"],
        json!([{"resource": "busy", "namespace": "customer-a", "error": why},
               {"resource": "busy-too", "namespace": "customer-a", "error": why}])
    );
    {
        let mut laid = fleet.laid();
        assert_eq!((laid.workloads.len(), laid.belongings.len()), (1, 1));
        laid.rewritten.clear();
    }
    let rest = clean().await;
    assert_eq!(
        (rest.data()["cleanupResults"]["deployments"].clone(), names(&rest, "objects")),
        (json!(["busy"]), vec!["busy-too".to_owned()])
    );
}

#[actix_web::test]
async fn the_log_is_asked_about_so_many_instances_and_the_rest_is_told_w71() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    let world = open_with_fleet(fleet.clone()).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let of = |number: u32| belonging(BelongingKind::Service, "customer-a", "its", &format!("c{number:024}"));
    fleet.laid().belongings = (0..502).map(of).collect();
    let list = world.get(CONFIRM, &admin).await;
    let summary = &list.data()["summary"];
    assert_eq!((&summary["orphanedObjects"], &summary["unchecked"]), (&json!(500), &json!(2)));
    assert_eq!(objects(&list).len(), 500);

    let cleaned = world.call("DELETE", CONFIRM, Some(&admin), Some(&json!({"confirm": true}))).await;
    let summary = &cleaned.data()["summary"];
    assert_eq!(
        (&summary["objectsDeleted"], &summary["unchecked"], &cleaned.data()["remaining"]),
        (&json!(100), &json!(2), &json!(402)),
        "what nobody asked about remains too"
    );
}

#[actix_web::test]
async fn a_cluster_that_stops_answering_is_asked_no_further_and_what_was_not_tried_remains() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    let world = open_with_fleet(fleet.clone()).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    {
        let mut laid = fleet.laid();
        laid.workloads = ["a", "b", "c"].map(|name| workload("customer-a", name, Some(NOBODY))).to_vec();
        laid.belongings = vec![belonging(BelongingKind::Secret, "customer-a", "d", NOBODY)];
        laid.deletions = Some(1);
    }
    let confirm = json!({"confirm": true});
    let clean = || world.call("DELETE", CONFIRM, Some(&admin), Some(&confirm));
    let some = clean().await;
    assert_eq!(some.data()["cleanupResults"]["deployments"], json!(["a"]), "{:#}", some.body);
    let why = "The cluster does not answer, please try again";
    assert_eq!(
        some.data()["cleanupResults"]["errors"],
        json!([{"resource": "b", "namespace": "customer-a", "error": why}])
    );
    assert_eq!(some.data()["remaining"], 2, "the third and the secret");
    assert_eq!(fleet.laid().asked, ["delete a", "delete b"]);

    let none = clean().await;
    assert_eq!((none.status.as_u16(), &none.body["message"]), (503, &json!(why)), "nothing went");
    {
        let mut laid = fleet.laid();
        assert_eq!(laid.asked, ["delete a", "delete b", "delete b"]);
        laid.deletions = None;
    }
    let rest = clean().await;
    assert_eq!(
        (&rest.data()["cleanupResults"]["deployments"], names(&rest, "objects"), &rest.data()["remaining"]),
        (&json!(["b", "c"]), vec!["d".to_owned()], &json!(0))
    );
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
