//! Everybody's instances in the hands of administrators.

use std::{sync::Arc, time::Duration};

use actix_web::{Error, body::MessageBody, dev::Service, dev::ServiceResponse};
use minispod_domain::{AnyCommand, InstanceCommand, NodeCommand, SubscriptionCommand};
use minispod_events::{CancelReason, DriftFinding, NodeFacts};
use minispod_kernel::{Clock, Sensitive};
use minispod_store::UsageSample;
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    fleet::{self, PlayedFleet},
    shapes::{assert_part, assert_shape},
    world::{World, open, open_with_fleet, request},
};

pub const FREE: &str = "cplanfree0000000000000000";
const PAID: &str = "cplanpaid0000000000000000";
const NOBODY: &str = "c000000000000000000000000";

/// A subscription of a running instance.
pub struct Running {
    pub subscription: String,
    pub instance: String,
    pub owner: String,
}

/// Registers somebody who subscribes to `plan`; the cluster has not been heard of yet.
pub async fn subscribed<S, B>(world: &World<S>, email: &str, plan: &str) -> Running
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let (token, owner) = world.register(email).await;
    ordered(world, &token, owner, plan).await
}

/// An order for `plan` of who is registered already.
pub async fn ordered<S, B>(world: &World<S>, token: &str, owner: String, plan: &str) -> Running
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let bought = world.post("/subscriptions", token, json!({ "serviceId": plan })).await;
    assert_eq!(bought.status, 200, "{:#}", bought.body);
    world.settle_reactions().await;
    let subscription = bought.data()["id"].as_str().expect("an id").to_owned();
    let (_, _, started) = world
        .events("subscription", &subscription)
        .await
        .into_iter()
        .find(|(name, _, _)| name == "SubscriptionProvisioningStarted")
        .expect("provisioning has started");
    let instance = started["instance_id"].as_str().expect("an id").to_owned();
    Running { subscription, instance, owner }
}

/// What the provisioner reports of a start: taken, and ready.
pub async fn report_ready<S, B>(world: &World<S>, pod: &Running, generation: u32)
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let applied = InstanceCommand::RecordApplied {
        generation,
        namespace: format!("customer-{}", pod.owner),
        workload: format!("n8n-{}", pod.subscription),
        internal_url: "http://n8n".to_owned(),
        external_url: "https://ani.n8n.example".to_owned(),
        volume_claim: Some(format!("n8n-{}-data", pod.subscription)),
        simulated: true,
        program: None,
    };
    let ready = InstanceCommand::RecordReady { generation, external_url: "https://ani.n8n.example".to_owned() };
    for (what, command) in [("applied", applied), ("ready", ready)] {
        world
            .command(&pod.instance, AnyCommand::Instance(command), &format!("{}-{generation}-{what}", pod.instance))
            .await;
    }
}

/// [`subscribed`] and [`report_ready`].
pub async fn running<S, B>(world: &World<S>, email: &str, plan: &str) -> Running
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let pod = subscribed(world, email, plan).await;
    report_ready(world, &pod, 1).await;
    pod
}

async fn report<S, B>(world: &World<S>, pod: &Running, command: InstanceCommand)
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let key = format!("{}-{command:?}", pod.instance);
    world.command(&pod.instance, AnyCommand::Instance(command), &key).await;
}

fn ids(list: &Value) -> Vec<&str> {
    list["pods"].as_array().into_iter().flatten().filter_map(|pod| pod["id"].as_str()).collect()
}

#[actix_web::test]
async fn every_filter_of_the_list_narrows_page_total_and_statistics_together_w67_w68() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(FREE, "free", 0, -1).await;
    let ani = running(&world, "ani@example.com", FREE).await;
    world.clock.advance(std::time::Duration::from_secs(1));
    let budi = subscribed(&world, "budi@example.com", FREE).await;
    world.clock.advance(std::time::Duration::from_secs(1));
    let citra = running(&world, "citra@example.com", FREE).await;

    let list = world.get("/admin/pods", &admin).await;
    assert_shape("GET /api/v1/admin/pods", "ok", &list.body);
    assert_eq!(ids(list.data()), [&citra.instance, &budi.instance, &ani.instance], "newest first");
    let first = &list.data()["pods"][0];
    assert_eq!(first["subscription"]["user"]["email"], "citra@example.com");
    assert_eq!(first["subscription"]["service"]["monthlyPrice"], "0");
    assert_eq!(first["realTimeStatus"]["replicas"], json!({"desired": 1, "ready": 1, "available": 1}));
    assert_eq!(list.data()["pods"][1]["podName"], "", "the client knows no null there");

    let small = world.get("/admin/pods?limit=1&page=2", &admin).await;
    assert_eq!(ids(small.data()), [&budi.instance]);
    assert_eq!(
        small.data()["statistics"],
        json!({"total": 3, "running": 2, "pending": 1, "failed": 0, "stopped": 0}),
        "of all that was asked for, not of the page"
    );
    let of = |query: String| {
        let (world, admin) = (&world, &admin);
        async move { world.get(&format!("/admin/pods?{query}"), admin).await }
    };
    for (query, expected) in [
        (format!("userId={}", ani.owner), vec![&ani.instance]),
        (format!("userId={}&serviceName=n8n&status=RUNNING", ani.owner), vec![&ani.instance]),
        (format!("userId={}&serviceName=ghost", ani.owner), vec![]),
        (format!("userId={}&status=PENDING", ani.owner), vec![]),
        ("status=RUNNING&serviceName=n8n".to_owned(), vec![&citra.instance, &ani.instance]),
        ("status=DELETED".to_owned(), vec![]),
    ] {
        let answer = of(query.clone()).await;
        assert_eq!(ids(answer.data()), expected, "{query}");
        let count = json!(expected.len());
        assert_eq!(
            (&answer.data()["pagination"]["total"], &answer.data()["statistics"]["total"]),
            (&count, &count),
            "{query}"
        );
    }
    let bad = of("page=0&limit=101&status=GONE".to_owned()).await;
    assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["page", "limit", "status"]));
    assert_eq!(bad.body["code"], "VALIDATION_ERROR");
    let stats = world.get("/admin/pods/stats", &admin).await;
    assert_eq!((&stats.data()["total"], &stats.data()["byStatus"]), (&json!(3), &json!({"PENDING": 1, "RUNNING": 2})));
    assert_eq!(stats.data()["summary"], json!({"running": 2, "pending": 1, "failed": 0, "stopped": 0}));
}

#[actix_web::test]
async fn one_instance_is_shown_whole_and_a_look_writes_nothing_w69() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(FREE, "free", 0, -1).await;
    let pod = running(&world, "ani@example.com", FREE).await;
    let events = world.events("instance", &pod.instance).await.len();
    let shown = world.get(&format!("/admin/pods/{}", pod.instance), &admin).await;
    assert_shape("GET /api/v1/admin/pods/:id", "ok", &shown.body);
    assert_eq!(shown.data()["adminInfo"]["owner"]["email"], "ani@example.com");
    assert_eq!((&shown.data()["status"], &shown.data()["simulated"]), (&json!("RUNNING"), &json!(true)));
    world.get("/admin/pods", &admin).await;
    assert_eq!(world.events("instance", &pod.instance).await.len(), events);
    for nobody in [NOBODY, "%00", "x'--"] {
        let none = world.get(&format!("/admin/pods/{nobody}"), &admin).await;
        assert_eq!((none.status.as_u16(), &none.body["code"]), (404, &json!("NOT_FOUND_ERROR")), "{nobody}");
        assert_shape("GET /api/v1/admin/pods/:id", "refused", &none.body);
    }
}

#[actix_web::test]
async fn drift_is_shown_and_asked_for_by_administrators_alone() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(FREE, "free", 0, -1).await;
    let pod = running(&world, "ani@example.com", FREE).await;
    let other = running(&world, "budi@example.com", FREE).await;
    let path = format!("/admin/pods/{}", pod.instance);
    let none = json!({ "state": "NONE", "objects": [], "since": null });
    assert_eq!(world.get(&path, &admin).await.data()["drift"], none);

    let object = format!("Service customer-{}/n8n-{}", pod.owner, pod.subscription);
    let finding = DriftFinding { object: object.clone(), missing: true, managers: Vec::new(), fields: Vec::new() };
    report(&world, &pod, InstanceCommand::RecordDrift { generation: 1, findings: vec![finding] }).await;
    let found = world.get(&path, &admin).await;
    let drift = &found.data()["drift"];
    assert_eq!((&drift["state"], &drift["objects"]), (&json!("FOUND"), &json!([object])), "{drift:#}");
    assert!(drift["since"].is_string());
    let fault = Some("belongs to somebody".to_owned());
    report(&world, &pod, InstanceCommand::RecordDriftOver { generation: 1, fault, program: None }).await;

    let of = |query: &'static str| {
        let (world, admin) = (&world, &admin);
        async move { world.get(&format!("/admin/pods{query}"), admin).await }
    };
    let standing = of("?drift=STANDS").await;
    assert_shape("GET /api/v1/admin/pods", "ok", &standing.body);
    assert_eq!(ids(standing.data()), [&pod.instance]);
    let shown = &standing.data()["pods"][0]["drift"];
    assert_eq!(
        (&shown["state"], &shown["objects"], &shown["since"]),
        (&json!("STANDS"), &json!([object]), &drift["since"])
    );
    assert_eq!(standing.data()["pods"][0]["hindrance"], "belongs to somebody");
    assert_eq!(world.get(&path, &admin).await.data()["hindrance"], "belongs to somebody");
    assert_eq!(standing.data()["statistics"]["total"], 1);
    assert_eq!(ids(of("?drift=FOUND").await.data()), Vec::<&str>::new());
    for pod in of("").await.data()["pods"].as_array().expect("a list") {
        let expected = if pod["id"] == *other.instance { "NONE" } else { "STANDS" };
        assert_eq!(pod["drift"]["state"], expected, "{pod:#}");
    }
    for bad in ["?drift=NONE", "?drift=found"] {
        let refused = of(bad).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec!["drift"]), "{bad}");
    }
    let login = world.sign_in("ani@example.com").await;
    let own = world.get(&format!("/subscriptions/{}", pod.subscription), &login.access).await;
    let instance = &own.data()["serviceInstance"];
    assert_eq!(instance["id"], pod.instance, "{:#}", own.body);
    assert!(instance.get("drift").is_none() && !own.body.to_string().contains(&object), "{instance:#}");
    assert!(instance.get("hindrance").is_none() && !own.body.to_string().contains("somebody"), "{instance:#}");
    let told = "Something in the cluster keeps it from being put right; our team is looking at it.";
    assert_eq!(instance["lastError"], told);
}

#[actix_web::test]
async fn a_restart_keeps_the_data_and_names_who_asked_w73() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    world.publish(FREE, "free", 0, -1).await;
    let pod = running(&world, "ani@example.com", FREE).await;
    let path = format!("/admin/pods/{}/restart", pod.instance);
    let again = || request("POST", &path, Some(&admin), None).insert_header(("idempotency-key", "restart-1"));
    let (first, second) = (world.send(again()).await, world.send(again()).await);
    assert_eq!((first.status.as_u16(), second.header("idempotency-replayed")), (200, Some("true")), "{:#}", first.body);
    assert_eq!(first.data()["status"], "RESTARTING");
    assert_eq!(first.data()["restartDetails"]["statusBefore"], "RUNNING");
    assert_eq!(first.data()["restartDetails"]["restartEvidence"]["restartCount"], 1);
    assert_eq!(first.data()["service"]["id"], FREE);
    let (name, actor, payload) = world.events("instance", &pod.instance).await.pop().expect("events");
    assert_eq!((name.as_str(), &actor["id"]), ("InstanceRestartRequested", &json!(admin_id)));
    assert_eq!(payload["generation"], 2, "once for both requests");
    assert_eq!(
        world.events("subscription", &pod.subscription).await.last().expect("events").0,
        "SubscriptionActivated"
    );
}

#[actix_web::test]
async fn what_is_stopped_stays_stopped_until_it_is_started_w64() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(FREE, "free", 0, -1).await;
    let pod = running(&world, "ani@example.com", FREE).await;
    let path = format!("/admin/pods/{}/action", pod.instance);
    let act = |action: &'static str| {
        let (world, admin, path) = (&world, &admin, &path);
        async move { world.post(path, admin, json!({ "action": action })).await }
    };
    let stopped = act("stop").await;
    assert_eq!(
        (stopped.status.as_u16(), &stopped.data()["result"]["action"]),
        (200, &json!("stop")),
        "{:#}",
        stopped.body
    );
    report(&world, &pod, InstanceCommand::RecordStopped { generation: 2 }).await;
    assert_eq!(act("stop").await.data()["status"]["replicas"]["desired"], 0, "twice is fine");
    let refused = act("restart").await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (409, &json!("CONFLICT_ERROR")));
    let started = act("start").await;
    assert_eq!((started.status.as_u16(), &started.data()["status"]["status"]), (200, &json!("PENDING")));
    assert_eq!(world.events("instance", &pod.instance).await.last().expect("events").0, "InstanceStartRequested");
    let early = act("reset").await;
    assert_eq!((early.status.as_u16(), &early.body["code"]), (409, &json!("CONFLICT_ERROR")), "it is just starting");
    let bad = act("explode").await;
    assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["action"]));
    assert_eq!(
        world.post(&format!("/admin/pods/{NOBODY}/action"), &admin, json!({"action": "stop"})).await.status,
        404
    );
}

#[actix_web::test]
async fn a_reset_wipes_the_data_once_and_begins_anew_w49() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(FREE, "free", 0, -1).await;
    let pod = running(&world, "ani@example.com", FREE).await;
    let (budi, _) = world.register("budi@example.com").await;
    let path = format!("/subscriptions/{}/reset-pod", pod.subscription);
    assert_eq!(world.post(&path, &budi, json!({})).await.status, 404, "somebody else's");
    let login = world.sign_in("ani@example.com").await;
    let ani = login.access.as_str();
    let again = || request("POST", &path, Some(ani), None).insert_header(("idempotency-key", "reset-1"));
    let (first, second) = (world.send(again()).await, world.send(again()).await);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200), "{:#}", first.body);
    assert_eq!(
        (&first.data()["status"], &first.data()["backupConfig"]["originalStatus"]),
        (&json!("RESETTING"), &json!("RUNNING")),
        "{:#}",
        first.body
    );
    report(&world, &pod, InstanceCommand::RecordDeleted { generation: 2, volume_purged: true }).await;
    world.settle_reactions().await;
    let names: Vec<String> = world.events("instance", &pod.instance).await.into_iter().map(|event| event.0).collect();
    assert_eq!(names[names.len() - 3..], ["InstanceResetRequested", "InstanceReset", "InstanceStartRequested"]);
    assert_eq!(world.mails("instance_reset").await, 1);
    let shown = world.get(&format!("/subscriptions/{}", pod.subscription), ani).await;
    let instance = &shown.data()["serviceInstance"];
    assert_eq!((&instance["resetCount"], &instance["status"]), (&json!(1), &json!("PENDING")), "{instance:#}");
    assert!(instance["lastResetAt"].is_string());
    // An administrator's way; it is starting, so there is nothing to wipe yet.
    let by_admin = world.post(&format!("/admin/pods/{}/reset", pod.instance), &admin, json!({})).await;
    assert_eq!((by_admin.status.as_u16(), &by_admin.body["code"]), (409, &json!("CONFLICT_ERROR")));
}

#[actix_web::test]
async fn deleting_a_pod_keeps_volume_and_subscription_and_a_start_brings_it_back_w48() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(FREE, "free", 0, -1).await;
    let pod = running(&world, "ani@example.com", FREE).await;
    let path = format!("/admin/pods/{}", pod.instance);
    let deleted = world.call("DELETE", &path, Some(&admin), None).await;
    assert_eq!((deleted.status.as_u16(), &deleted.data()["id"]), (200, &json!(pod.instance)), "{:#}", deleted.body);
    let (name, _, payload) = world.events("instance", &pod.instance).await.pop().expect("events");
    assert_eq!((name.as_str(), &payload["purge_volume"]), ("InstanceDeletionRequested", &json!(false)));
    let start = json!({"action": "start"});
    assert_eq!(world.post(&format!("{path}/action"), &admin, start.clone()).await.status, 409, "it still goes");
    report(&world, &pod, InstanceCommand::RecordDeleted { generation: 2, volume_purged: false }).await;
    let shown = world.get(&path, &admin).await;
    assert_eq!((&shown.data()["status"], &shown.data()["volumeStatus"]), (&json!("DELETED"), &json!("Bound")));
    assert_eq!(shown.data()["subscription"]["status"], "ACTIVE");
    assert_eq!(world.get("/admin/pods?status=DELETED", &admin).await.data()["pagination"]["total"], 1);
    let again = world.call("DELETE", &path, Some(&admin), None).await;
    assert_eq!((again.status.as_u16(), world.count("InstanceDeletionRequested").await), (200, 1), "twice is fine");

    let back = world.post(&format!("{path}/action"), &admin, start).await;
    assert_eq!((back.status.as_u16(), &back.data()["status"]["status"]), (200, &json!("PENDING")), "{:#}", back.body);
    report_ready(&world, &pod, 3).await;
    let shown = world.get(&path, &admin).await;
    assert_eq!(
        (&shown.data()["status"], &shown.data()["subscription"]["status"]),
        (&json!("RUNNING"), &json!("ACTIVE"))
    );
}

#[actix_web::test]
async fn nothing_is_started_that_nobody_pays_for_and_nothing_stopped_before_it_was_deployed() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (customer, _) = world.register("somebody@example.com").await;
    world.publish(FREE, "free", 0, -1).await;
    world.publish(PAID, "pro", 35_000, 3).await;
    let fresh = subscribed(&world, "budi@example.com", FREE).await;
    let path = format!("/admin/pods/{}", fresh.instance);
    for action in ["stop", "delete"] {
        let early = world.post(&format!("{path}/action"), &admin, json!({ "action": action })).await;
        assert_eq!((early.status.as_u16(), &early.body["code"]), (409, &json!("CONFLICT_ERROR")), "{action}");
    }
    let pod = running(&world, "ani@example.com", FREE).await;
    let reason = CancelReason::Administrator { text: Sensitive::Open("abuse".to_owned()) };
    let cancel = AnyCommand::Subscription(SubscriptionCommand::Cancel { reason });
    world.command(&pod.subscription, cancel, "cancel").await;
    report(&world, &pod, InstanceCommand::RecordDeleted { generation: 2, volume_purged: false }).await;
    let path = format!("/admin/pods/{}", pod.instance);
    for action in ["start", "restart"] {
        let unpaid = world.post(&format!("{path}/action"), &admin, json!({ "action": action })).await;
        assert_eq!(unpaid.status, 409, "{action} {:#}", unpaid.body);
    }
    assert_eq!(world.count("InstanceStartRequested").await, 0);
    for (method, path) in [("GET", path.clone()), ("DELETE", path.clone()), ("POST", format!("{path}/restart"))] {
        assert_eq!(world.call(method, &path, None, None).await.status, 401, "{method}");
        assert_eq!(world.call(method, &path, Some(&customer), None).await.status, 403, "{method}");
    }
}

/// What facts know of the node that pods run on.
fn observed() -> NodeCommand {
    let text = |text: &str| text.to_owned();
    let facts = NodeFacts {
        hostname: text("worker-1.local"),
        ip_address: text("10.0.0.1"),
        architecture: text("arm64"),
        operating_system: text("linux"),
        cpu_cores: 4,
        cpu_architecture: text("arm64"),
        total_memory: text("8Gi"),
        total_storage: text("10Gi"),
        max_pods: 110,
        kubelet_version: Some(text("v1.34.1")),
        container_runtime: None,
        kernel_version: None,
        os_image: None,
        labels: [(text("zone"), text("a"))].into(),
        taints: Vec::new(),
    };
    NodeCommand::Observe { facts, ready: true, reason: String::new(), schedulable: true }
}

/// The parts of a pod that are not of the read models, in the list and by itself.
async fn both<S, B>(world: &World<S>, admin: &str, pod: &Running) -> [Value; 2]
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let list = world.get("/admin/pods", admin).await;
    assert_shape("GET /api/v1/admin/pods", "ok", &list.body);
    let mut pods = list.data()["pods"].as_array().into_iter().flatten();
    let listed = pods.find(|one| one["id"] == pod.instance.as_str()).expect("it is listed").clone();
    let shown = world.get(&format!("/admin/pods/{}", pod.instance), admin).await;
    assert_shape("GET /api/v1/admin/pods/:id", "ok", &shown.body);
    [listed, shown.data().clone()]
}

#[actix_web::test]
async fn where_an_instance_runs_is_asked_of_the_cluster_once_a_page_and_missed_by_nobody_when_it_is_away() {
    if !require("pg") {
        return;
    }
    let played = Arc::new(PlayedFleet::default());
    let world = open_with_fleet(played.clone()).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(FREE, "free", 0, -1).await;
    let ani = running(&world, "ani@example.com", FREE).await;
    let budi = running(&world, "budi@example.com", FREE).await;
    let waiting = subscribed(&world, "citra@example.com", FREE).await;
    world.command("worker-1", AnyCommand::Node(observed()), "seen").await;
    let mut database = fleet::pod(&ani.instance, "worker-2");
    "database".clone_into(&mut database.component);
    played.laid().pods =
        vec![database, fleet::pod(&ani.instance, "worker-1"), fleet::pod(&waiting.instance, "worker-1")];

    world.get("/admin/pods", &admin).await;
    let mut looks = std::mem::take(&mut played.laid().looks_at_pods);
    for ids in &mut looks {
        ids.sort();
    }
    let mut taken = vec![ani.instance.clone(), budi.instance.clone()];
    taken.sort();
    assert_eq!(looks, [taken], "one look for the page, and none for what the cluster has not taken");

    let shapes = [
        ("GET /api/v1/admin/pods", "/data/pods/0/workerNode/oneOf/0"),
        ("GET /api/v1/admin/pods/:id", "/data/workerNode/oneOf/0"),
    ];
    for (pod, (exchange, pointer)) in both(&world, &admin, &ani).await.iter().zip(shapes) {
        let node = &pod["workerNode"];
        assert_part(exchange, "ok", pointer, node);
        assert_eq!((&node["nodeName"], &node["nodeIP"]), (&json!("worker-1"), &json!("10.0.0.1")));
        assert_eq!((&node["podIP"], &node["phase"]), (&json!("10.42.0.7"), &json!("Running")));
        assert_eq!((&node["nodeArchitecture"], &node["kubeletVersion"]), (&json!("arm64"), &json!("v1.34.1")));
        assert_eq!((&node["nodeHostname"], &node["nodeLabels"]), (&json!("worker-1.local"), &json!({"zone": "a"})));
    }
    for pod in [&budi, &waiting] {
        let [listed, shown] = both(&world, &admin, pod).await;
        assert!(listed["workerNode"].is_null() && shown["workerNode"].is_null(), "{listed:#}");
    }
    played.laid().away = true;
    for pod in both(&world, &admin, &ani).await {
        assert!(pod["workerNode"].is_null(), "{pod:#}");
        assert_eq!((&pod["status"], &pod["id"]), (&json!("RUNNING"), &json!(ani.instance)), "all else is there");
    }
}

#[actix_web::test]
async fn what_an_instance_uses_is_its_newest_sample_for_five_minutes() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.publish(FREE, "free", 0, -1).await;
    let ani = running(&world, "ani@example.com", FREE).await;
    let budi = running(&world, "budi@example.com", FREE).await;
    let now = world.clock.now();
    let sample = |minutes: u64, cpu_millis: i64| UsageSample {
        instance_id: ani.instance.clone(),
        at: now.minus(Duration::from_mins(minutes)),
        cpu_millis,
        memory_bytes: 256 << 20,
    };
    world.store.telemetry().record_usage(&[sample(1, 900), sample(0, 125)]).await.expect("kept");
    let shapes = [
        ("GET /api/v1/admin/pods", "/data/pods/0/metrics/oneOf/0"),
        ("GET /api/v1/admin/pods/:id", "/data/metrics/oneOf/0"),
    ];
    for (pod, (exchange, pointer)) in both(&world, &admin, &ani).await.iter().zip(shapes) {
        let used = &pod["metrics"];
        assert_part(exchange, "ok", pointer, used);
        assert_eq!(
            (&used["cpuUtilization"], &used["memoryUtilization"]),
            (&json!(50.0), &json!(50.0)),
            "of the requests"
        );
        assert_eq!((&used["cpuUsage"], &used["memoryUsage"]), (&json!("0.125"), &json!("256.00")));
        assert_eq!((&used["cpuRequests"], &used["memoryRequests"]), (&json!("0.250"), &json!("512.00")));
        assert_eq!((&used["metricsAvailable"], &used["containerMetrics"]), (&json!(true), &json!([])));
    }
    for pod in both(&world, &admin, &budi).await {
        assert!(pod["metrics"].is_null() && pod["workerNode"].is_null(), "{pod:#}");
    }
    world.clock.advance(Duration::from_mins(6));
    for pod in both(&world, &admin, &ani).await {
        assert!(pod["metrics"].is_null(), "an old sample says nothing of now: {pod:#}");
    }
}
