//! The cluster as administrators look at it and keep it, on a real API server.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Node, Pod, Service, ServiceAccount},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use minispod_domain::ports::fleet::{
    BelongingKind, DrainWish, Fleet, FleetError, LogWish, NodeStanding, Place, Removed, WorkloadSeen,
};
use minispod_provisioner::{Cluster, names};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{bench::Bench, kubelet::Kubelet};

async fn create<K>(api: &Api<K>, object: Value) -> K
where
    K: kube::Resource + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let object: K = serde_json::from_value(object).expect("an object");
    api.create(&PostParams::default(), &object).await.expect("created")
}

/// A ready node that nothing is placed on by itself, because it is one test's own.
async fn own_node(bench: &Bench, name: &str, kubelet: u16) {
    let nodes: Api<Node> = Api::all(bench.client.clone());
    let taints = json!([{ "key": "minispod.dev/one-test", "value": name, "effect": "NoSchedule" }]);
    create(&nodes, json!({ "metadata": { "name": name }, "spec": { "taints": taints } })).await;
    let room = json!({ "cpu": "4", "memory": "8Gi", "pods": "20", "ephemeral-storage": "10Gi" });
    let heard = "2026-11-26T10:00:00Z";
    let ready = json!({ "type": "Ready", "status": "True", "reason": "Own", "lastHeartbeatTime": heard });
    let status = json!({ "status": {
        "capacity": room,
        "allocatable": room,
        "conditions": [ready],
        "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }],
        "daemonEndpoints": { "kubeletEndpoint": { "Port": kubelet } },
    }});
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.expect("it says that it is ready");
}

async fn own_namespace(bench: &Bench, name: &str, labels: &BTreeMap<String, String>) {
    let namespaces: Api<Namespace> = Api::all(bench.client.clone());
    create(&namespaces, json!({ "metadata": { "name": name, "labels": labels } })).await;
    // Pods are refused before their identity is there.
    let accounts: Api<ServiceAccount> = Api::namespaced(bench.client.clone(), name);
    let made = || async { matches!(accounts.get_opt("default").await, Ok(Some(_))) };
    minispod_testkit::wait_until(Duration::from_secs(30), made).await;
}

/// A pod that its node says to run.
async fn running_pod(bench: &Bench, namespace: &str, name: &str, node: &str, labels: Value) -> Pod {
    let pods: Api<Pod> = Api::namespaced(bench.client.clone(), namespace);
    let requests = json!({ "cpu": "500m", "memory": "64Mi" });
    let container = json!({ "name": "app", "image": "x", "resources": { "requests": requests } });
    let spec = json!({
        "nodeName": node,
        "containers": [container],
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": 30,
    });
    create(&pods, json!({ "metadata": { "name": name, "labels": labels }, "spec": spec })).await;
    let status = json!({ "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] } });
    pods.patch_status(name, &PatchParams::default(), &Patch::Strategic(status)).await.expect("it runs")
}

fn wish(grace: u64, timeout: u64, force: bool) -> DrainWish {
    let (grace, timeout) = (Duration::from_secs(grace), Duration::from_secs(timeout));
    DrainWish { grace, timeout, force, delete_local_data: false }
}

#[tokio::test]
async fn w62_w63_a_node_is_seen_as_it_is_closed_and_opened_by_name() {
    let Some(bench) = Bench::open().await else { return };
    let (name, namespace) = (format!("own-{}", bench.customer), format!("nodes-{}", bench.customer));
    own_node(&bench, &name, 1).await;
    own_namespace(&bench, &namespace, &BTreeMap::new()).await;
    running_pod(&bench, &namespace, "one", &name, json!({})).await;
    let nodes = bench.cluster.nodes().await.expect("listed");
    let node = nodes.iter().find(|node| node.name == name).expect("the node");
    assert_eq!((node.standing(), node.pods, node.requested.cpu_millis), (NodeStanding::Active, 1, 500));
    assert_eq!((node.room.cpu_millis, node.room.memory_bytes, node.pods_max), (4_000, 8 << 30, 20));
    assert_eq!(node.heartbeat.to_contract(), "2026-11-26T10:00:00.000Z");
    assert_eq!((node.taints[0].effect.as_str(), node.usage), ("NoSchedule", None), "nobody measures here");
    assert!(nodes.iter().any(|node| node.name == "played"), "all nodes are there");

    let closed = bench.cluster.set_schedulable(&name, false).await.expect("answered").expect("the node");
    assert_eq!((closed.standing(), closed.is_ready()), (NodeStanding::Maintenance, true));
    let open = bench.cluster.set_schedulable(&name, true).await.expect("answered").expect("the node");
    assert_eq!(open.standing(), NodeStanding::Active);
    assert_eq!(bench.cluster.set_schedulable("nobody", true).await.expect("answered"), None);
    assert!(bench.cluster.drain("nobody", &wish(0, 1, true)).await.expect("answered").is_none());
}

#[tokio::test]
async fn w63_draining_keeps_budgets_grace_and_time() {
    let Some(bench) = Bench::open().await else { return };
    let (node, namespace) = (format!("drained-{}", bench.customer), format!("drained-{}", bench.customer));
    own_node(&bench, &node, 1).await;
    own_namespace(&bench, &namespace, &BTreeMap::new()).await;
    running_pod(&bench, &namespace, "guarded", &node, json!({ "app": "guarded" })).await;
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(bench.client.clone(), &namespace);
    let budget = json!({ "minAvailable": 1, "selector": { "matchLabels": { "app": "guarded" } } });
    create(&budgets, json!({ "metadata": { "name": "guard" }, "spec": budget })).await;
    let pods: Api<Pod> = Api::namespaced(bench.client.clone(), &namespace);
    let fault = async |wish: DrainWish| {
        let drained = bench.cluster.drain(&node, &wish).await.expect("answered").expect("the node");
        assert_eq!(drained.node.standing(), NodeStanding::Maintenance);
        let [eviction] = drained.evictions.as_slice() else { panic!("one pod: {:?}", drained.evictions) };
        assert_eq!((eviction.namespace.as_str(), eviction.name.as_str()), (namespace.as_str(), "guarded"));
        eviction.fault.clone()
    };

    let kept = fault(wish(0, 2, false)).await.expect("kept");
    assert!(kept.contains("force"), "{kept}");
    let guarded = fault(wish(0, 6, true)).await.expect("guarded");
    assert!(guarded.contains("disruption budget"), "{guarded}");
    assert!(pods.get("guarded").await.expect("there").metadata.deletion_timestamp.is_none(), "nobody asked it to go");

    budgets.delete("guard", &DeleteParams::default()).await.expect("the budget is gone");
    // No kubelet ends it, so it is on its way for longer than the drain may take.
    let slow = fault(wish(77, 6, true)).await.expect("still there");
    assert!(slow.contains("has not stopped in time"), "{slow}");
    let leaving = pods.get("guarded").await.expect("there");
    assert_eq!(leaving.metadata.deletion_grace_period_seconds, Some(77), "the grace that was asked for");
    assert_eq!(fault(wish(0, 20, true)).await, None);
    assert!(pods.get_opt("guarded").await.expect("answered").is_none());
}

/// The only workload of a namespace.
async fn only_workload(bench: &Bench, namespace: &str) -> WorkloadSeen {
    let workloads = bench.cluster.workloads().await.expect("listed");
    let mut ours = workloads.into_iter().filter(|one| one.namespace == namespace);
    let workload = ours.next().expect("the workload");
    assert_eq!(ours.next(), None);
    workload
}

/// Removes the only workload of a namespace; its status may be written between the look and the deletion, as an
/// administrator would find who then asks again.
async fn remove_as_it_is(bench: &Bench, namespace: &str) -> (WorkloadSeen, Removed) {
    for _ in 0..50 {
        let workload = only_workload(bench, namespace).await;
        match bench.cluster.remove(&workload).await {
            Ok(removed) => return (workload, removed),
            Err(FleetError::Refused { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("it is written all the time");
}

#[tokio::test]
async fn w60_exactly_one_workload_goes_with_what_its_instance_had() {
    let Some(bench) = Bench::open().await else { return };
    let spec = bench.sold("n8n");
    bench.cluster.apply(&bench.plan(&spec, 1).objects).await.expect("taken");
    let target = bench.target(&spec);
    let stranger = format!("stranger-{}", bench.customer);
    own_namespace(&bench, &stranger, &BTreeMap::new()).await;
    let namespaces = bench.cluster.namespaces().await.expect("listed");
    let managed = |name: &str| namespaces.iter().find(|one| one.name == name).expect("the namespace").managed;
    assert!(managed(&target.namespace) && !managed(&stranger) && !managed("kube-system"));

    let workloads = bench.cluster.workloads().await.expect("listed");
    assert!(workloads.iter().all(|one| one.namespace != stranger));
    let workload = only_workload(&bench, &target.namespace).await;
    assert_eq!(workload.instance_id.as_ref(), Some(&spec.instance_id));
    let mut other = workload.clone();
    other.uid = "00000000-0000-0000-0000-000000000000".into();
    let refused = bench.cluster.remove(&other).await.expect_err("it is another one");
    assert!(matches!(refused, FleetError::Refused { .. }), "{refused}");
    let deployments: Api<Deployment> = Api::namespaced(bench.client.clone(), &target.namespace);
    let mark = json!({ "metadata": { "annotations": { "written": "since" } } });
    deployments.patch(&workload.name, &PatchParams::default(), &Patch::Merge(mark)).await.expect("written");
    let refused = bench.cluster.remove(&workload).await.expect_err("it was written since");
    assert!(matches!(refused, FleetError::Refused { .. }), "{refused}");
    assert_eq!(bench.count::<Deployment>(&target.namespace).await, 1);

    let (workload, removed) = remove_as_it_is(&bench, &target.namespace).await;
    assert_eq!((removed.services.len(), removed.ingresses.len(), removed.failures.len()), (1, 1, 0));
    assert_eq!(
        (bench.count::<Deployment>(&target.namespace).await, bench.count::<Service>(&target.namespace).await),
        (0, 0)
    );
    let seen = bench.cluster.observe(&target).await.expect("seen");
    assert_eq!(seen.volumes.len(), 1, "the data stays");
    bench.cluster.remove(&workload).await.expect("again is fine");
}

#[tokio::test]
async fn w60_what_an_instance_has_beside_its_workload_goes_one_by_one_and_only_as_it_was_seen() {
    let Some(bench) = Bench::open().await else { return };
    let spec = bench.sold("n8n");
    bench.cluster.apply(&bench.plan(&spec, 1).objects).await.expect("taken");
    let namespace = bench.target(&spec).namespace;
    // One of a namespace that is no customer's, one that says to be nobody's, and one that is not ours.
    let stranger = format!("stranger-{}", bench.customer);
    own_namespace(&bench, &stranger, &BTreeMap::new()).await;
    let ours = json!({ names::MANAGED_BY: names::MANAGED_BY_US, names::INSTANCE: spec.instance_id });
    let shared = json!({ names::MANAGED_BY: names::MANAGED_BY_US });
    let theirs = json!({ names::MANAGED_BY: "helm", names::INSTANCE: spec.instance_id });
    let ports = json!([{ "port": 80 }]);
    for (place, name, labels) in
        [(&stranger, "elsewhere", ours), (&namespace, "shared", shared), (&namespace, "theirs", theirs)]
    {
        let services: Api<Service> = Api::namespaced(bench.client.clone(), place);
        let metadata = json!({ "name": name, "labels": labels });
        create(&services, json!({ "metadata": metadata, "spec": { "ports": ports } })).await;
    }
    let look = async || {
        let all = bench.cluster.belongings().await.expect("listed");
        assert!(all.iter().all(|one| one.namespace != stranger));
        all.into_iter().filter(|one| one.namespace == namespace).collect::<Vec<_>>()
    };
    let seen = look().await;
    let kinds: BTreeSet<_> = seen.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, BTreeSet::from(BelongingKind::ALL), "of every kind");
    assert!(seen.iter().all(|one| one.instance_id.as_ref() == Some(&spec.instance_id)), "{seen:?}");
    assert!(seen.iter().all(|one| !["shared", "theirs"].contains(&one.name.as_str())), "{seen:?}");

    let service = seen.iter().find(|one| one.kind == BelongingKind::Service).expect("a Service");
    let services: Api<Service> = Api::namespaced(bench.client.clone(), &namespace);
    let mark = json!({ "metadata": { "annotations": { "written": "since" } } });
    services.patch(&service.name, &PatchParams::default(), &Patch::Merge(mark)).await.expect("written");
    let refused = bench.cluster.remove_belonging(service).await.expect_err("it was written since");
    assert!(matches!(refused, FleetError::Refused { .. }), "{refused}");
    let mut other = look().await.into_iter().find(|one| one.kind == BelongingKind::Service).expect("it stays");
    other.uid = "00000000-0000-0000-0000-000000000000".into();
    let refused = bench.cluster.remove_belonging(&other).await.expect_err("it is another one");
    assert!(matches!(refused, FleetError::Refused { .. }), "{refused}");

    // A volume that a pod still has stays until that is gone, so it is not among them.
    for one in look().await.iter().filter(|one| one.kind != BelongingKind::Volume) {
        bench.cluster.remove_belonging(one).await.expect("removed");
        bench.cluster.remove_belonging(one).await.expect("again is fine");
    }
    let left: BTreeSet<_> = look().await.into_iter().map(|one| one.kind).collect();
    assert_eq!(left, BTreeSet::from([BelongingKind::Volume]));
    assert_eq!(bench.count::<Deployment>(&namespace).await, 1, "workloads are others' to delete");
    assert_eq!(
        services.list(&ListParams::default()).await.expect("listed").items.len(),
        2,
        "what is not of an instance"
    );
}

#[tokio::test]
async fn w67_a_log_is_read_from_the_kubelet_with_every_wish() {
    let Some(bench) = Bench::open().await else { return };
    let kubelet = Kubelet::start(
        "2026-11-26T10:00:00.100000000Z early\n2026-11-26T10:00:00.900000000Z late\n2026-11-26T10:00:01Z last\n",
    );
    let (node, namespace) = (format!("printing-{}", bench.customer), format!("printing-{}", bench.customer));
    own_node(&bench, &node, kubelet.port).await;
    own_namespace(&bench, &namespace, &BTreeMap::new()).await;
    let labels = json!({
        names::MANAGED_BY: names::MANAGED_BY_US,
        names::INSTANCE: bench.customer,
        names::COMPONENT: names::APP,
    });
    let pod = running_pod(&bench, &namespace, "printing", &node, labels).await;
    let place = Place { namespace: namespace.clone(), instance_id: bench.customer.clone() };
    let from = minispod_kernel::Timestamp::from_unix_millis(1_795_687_200_500);
    assert_eq!(from.to_contract(), "2026-11-26T10:00:00.500Z");
    let read = async |lines, since, timestamps| {
        let wish = LogWish { lines, since, timestamps };
        bench.cluster.log_of(&place, &wish).await.expect("answered").expect("a pod")
    };
    let all = read(100, None, false).await;
    assert_eq!((all.pod, all.text.as_str()), (pod.name_any(), "early\nlate\nlast\n"));
    assert_eq!(read(7, Some(from), false).await.text, "late\nlast\n", "to the millisecond");
    assert_eq!(read(1, None, true).await.text, "2026-11-26T10:00:01Z last\n");
    let asked = kubelet.asked();
    assert!(asked[0].starts_with(&format!("/containerLogs/{namespace}/printing/app?")), "{asked:?}");
    assert!(asked[0].contains("tailLines=100") && asked[0].contains("limitBytes=2097152"), "{asked:?}");
    assert!(asked[1].contains("tailLines=7") && asked[1].contains("sinceTime=2026-11-26T10%3A00%3A00Z"), "{asked:?}");
    assert_eq!(bench.cluster.instances_on(&node).await.expect("answered"), [bench.customer.as_str()]);
    let nobody = Place { instance_id: "nobody".into(), ..place.clone() };
    let wish = LogWish { lines: 1, since: None, timestamps: false };
    assert_eq!(bench.cluster.log_of(&nobody, &wish).await.expect("answered"), None);
}

#[tokio::test]
async fn pods_are_found_for_many_instances_at_once_wherever_they_are() {
    let Some(bench) = Bench::open().await else { return };
    let (node, here) = (format!("places-{}", bench.customer), format!("places-{}", bench.customer));
    let there = format!("places-too-{}", bench.customer);
    own_node(&bench, &node, 1).await;
    let ids = ["one", "two", "other", "foreign"].map(|name| format!("{name}-{}", bench.customer));
    for namespace in [&here, &there] {
        own_namespace(&bench, namespace, &BTreeMap::new()).await;
    }
    for (namespace, name, id, component, manager) in [
        (&here, "program", &ids[0], names::APP, names::MANAGED_BY_US),
        (&here, "database", &ids[0], names::DATABASE, names::MANAGED_BY_US),
        (&there, "elsewhere", &ids[1], names::APP, names::MANAGED_BY_US),
        (&there, "unasked", &ids[2], names::APP, names::MANAGED_BY_US),
        (&there, "foreign", &ids[3], names::APP, "helm"),
    ] {
        let labels = json!({ names::MANAGED_BY: manager, names::INSTANCE: id, names::COMPONENT: component });
        running_pod(&bench, namespace, name, &node, labels).await;
    }
    let pods: Api<Pod> = Api::namespaced(bench.client.clone(), &here);
    let address = json!({ "status": { "podIP": "10.42.0.7", "podIPs": [{ "ip": "10.42.0.7" }] } });
    pods.patch_status("program", &PatchParams::default(), &Patch::Strategic(address)).await.expect("it has an address");

    let mut asked = vec![ids[0].clone(), ids[1].clone(), ids[3].clone(), "a) or (b".to_owned(), "nobody".to_owned()];
    let before = bench.cluster.requests();
    let mut seen = bench.cluster.pods_of(&asked).await.expect("answered");
    assert_eq!(bench.cluster.requests() - before, 1, "one list, however many are asked for");
    seen.sort_by(|one, other| one.name.cmp(&other.name));
    let found: Vec<_> = seen.iter().map(|pod| (pod.name.as_str(), &pod.instance_id, pod.component.as_str())).collect();
    assert_eq!(
        found,
        [("database", &ids[0], "database"), ("elsewhere", &ids[1], "app"), ("program", &ids[0], "app")],
        "of whom is asked for, and ours only"
    );
    assert!(seen.iter().all(|pod| pod.node.as_ref() == Some(&node) && pod.phase == "Running"), "{seen:?}");
    let addresses: Vec<_> = seen.iter().map(|pod| pod.pod_ip.as_deref()).collect();
    assert_eq!(addresses, [None, None, Some("10.42.0.7")]);

    asked.extend((0..100).map(|number| format!("nobody-{number}")));
    let before = bench.cluster.requests();
    assert_eq!(bench.cluster.pods_of(&asked).await.expect("answered").len(), 3);
    assert_eq!(bench.cluster.requests() - before, 2, "a list for each hundred");
    assert_eq!(bench.cluster.pods_of(&["a) or (b".to_owned()]).await.expect("answered"), [], "none is not all");
}

/// What the node says of itself from now on.
async fn says(bench: &Bench, node: &str, ready: &str) {
    let nodes: Api<Node> = Api::all(bench.client.clone());
    let status = json!({ "status": { "conditions": [{ "type": "Ready", "status": ready, "reason": "Own" }] } });
    nodes.patch_status(node, &PatchParams::default(), &Patch::Strategic(status)).await.expect("said");
}

/// The documented fencing step: nothing goes before somebody says that the machine is off, and then everything does.
#[tokio::test]
async fn reviewer_11_what_a_lost_machine_ran_goes_when_somebody_says_that_it_is_off() {
    let Some(bench) = Bench::open().await else { return };
    let (node, namespace) = (format!("lost-{}", bench.customer), format!("lost-{}", bench.customer));
    own_node(&bench, &node, 1).await;
    own_namespace(&bench, &namespace, &BTreeMap::new()).await;
    running_pod(&bench, &namespace, "stuck", &node, json!({ "app": "stuck" })).await;
    let pods: Api<Pod> = Api::namespaced(bench.client.clone(), &namespace);
    let refused = bench.cluster.take_out_of_service(&node).await.expect_err("it answers");
    assert!(matches!(&refused, FleetError::Refused { reason, .. } if reason.contains("drain it")), "{refused}");
    says(&bench, &node, "Unknown").await;
    pods.delete("stuck", &DeleteParams::default()).await.expect("asked to go");
    let leaving = pods.get("stuck").await.expect("no kubelet ends it");
    assert!(leaving.metadata.deletion_timestamp.is_some());

    let seen = bench.cluster.take_out_of_service(&node).await.expect("answered").expect("the node");
    assert!(!seen.schedulable && seen.taints.iter().any(|taint| taint.key == "node.kubernetes.io/out-of-service"));
    assert!(seen.taints.iter().any(|taint| taint.key == "minispod.dev/one-test"), "other taints stay");
    let gone = || async { pods.get_opt("stuck").await.expect("answered").is_none() };
    minispod_testkit::wait_until(Duration::from_mins(2), gone).await;
    assert_eq!(bench.cluster.take_out_of_service("nobody").await.expect("answered"), None);

    says(&bench, &node, "True").await;
    let back = bench.cluster.set_schedulable(&node, true).await.expect("answered").expect("the node");
    let has = |key: &str| back.taints.iter().any(|taint| taint.key == key);
    assert!(back.schedulable && !has("node.kubernetes.io/out-of-service"), "opening it takes the mark back");
    assert!(has("minispod.dev/one-test"), "and nobody else's");
}
