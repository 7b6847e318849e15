//! The journey against a real Kubernetes API server: objects exist, are ours, stay as they are, and go when told.

mod kills;
mod outage;

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{LimitRange, Namespace, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount},
    networking::v1::{Ingress, NetworkPolicy},
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ListParams},
};
use minispod_e2e::{World, WorldOptions};
use minispod_testkit::{kubernetes::ControlPlane, require, wait_until};
use serde::de::DeserializeOwned;
use serde_json::json;
use sqlx::PgPool;

const READY: Duration = Duration::from_mins(2);
const MANAGER: &str = "minispod-provisioner";

/// What must stay of an object: which it is, its version, and that of what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    uid: String,
    version: String,
    generation: Option<i64>,
}

/// The objects of one kind in a namespace; every one must be ours.
async fn kept<K>(client: &Client, namespace: &str) -> BTreeMap<String, Kept>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let objects: Api<K> = Api::namespaced(client.clone(), namespace);
    let ours = ListParams::default().labels("app.kubernetes.io/managed-by=minispod");
    let list = objects.list(&ours).await.expect("the API server lists");
    list.items
        .iter()
        .map(|object| {
            let meta = object.meta();
            let managers = meta.managed_fields.iter().flatten().filter_map(|entry| entry.manager.clone());
            let name = meta.name.clone().expect("an object has a name");
            assert!(managers.into_iter().any(|manager| manager == MANAGER), "{name} is not applied by {MANAGER}");
            let kept = Kept {
                uid: meta.uid.clone().expect("an object has a uid"),
                version: meta.resource_version.clone().expect("an object has a version"),
                generation: meta.generation,
            };
            (format!("{}/{name}", K::kind(&())), kept)
        })
        .collect()
}

/// Everything that a second apply must leave as it is.
async fn snapshot(client: &Client, namespace: &str) -> BTreeMap<String, Kept> {
    let mut all = kept::<Service>(client, namespace).await;
    all.extend(kept::<Ingress>(client, namespace).await);
    all.extend(kept::<Secret>(client, namespace).await);
    all.extend(kept::<ServiceAccount>(client, namespace).await);
    all.extend(kept::<LimitRange>(client, namespace).await);
    all.extend(kept::<NetworkPolicy>(client, namespace).await);
    all.extend(kept::<Deployment>(client, namespace).await);
    all.extend(kept::<PersistentVolumeClaim>(client, namespace).await);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sold_instance_lives_and_ends_on_a_real_api_server() {
    if !require("pg") || !require("nats") || !require("k8s") {
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = ControlPlane::shared().await;
    let client = cluster.client().await;
    let kubeconfig = Some(cluster.kubeconfig().to_path_buf());
    let world = World::start(WorldOptions { kubeconfig, ..WorldOptions::default() }).await;
    let (customer, user) = world.door().register("Ani Kubernetes").await;
    world.fund(&customer, 100_000).await;
    let (plan, _) = world.plan("n8n").await;
    let path = format!("/subscriptions/{}", world.subscribe(&customer, &plan).await);
    let detail = customer.get(&path).await;
    let namespace = detail.data()["serviceInstance"]["namespace"].as_str().expect("a namespace").to_owned();
    assert_eq!(namespace, format!("customer-{}", user["id"].as_str().expect("a user id")), "a namespace per customer");
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let labels = namespaces.get(&namespace).await.expect("the namespace exists").metadata.labels.unwrap_or_default();
    assert_eq!(labels.get("pod-security.kubernetes.io/enforce").map(String::as_str), Some("restricted"));
    second_apply(&world, &client, &namespace).await;
    stopped_and_started(&world, &client, &namespace, &path).await;
    let cancelled = customer.send(reqwest::Method::DELETE, &path, Some(json!({"reason": "the story is over"}))).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.body);
    wait_until(READY, || async { kept::<Deployment>(&client, &namespace).await.is_empty() }).await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
    let claims = claims.list(&ListParams::default()).await.expect("claims are listed");
    assert_eq!(claims.items.len(), 1, "the data is kept");
    let owners = claims.items[0].metadata.owner_references.clone().unwrap_or_default();
    assert!(owners.is_empty(), "a volume is never owned by a workload");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_begins_anew_over_a_volume_of_its_own_and_with_the_same_secrets() {
    if !require("pg") || !require("nats") || !require("k8s") {
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = ControlPlane::shared().await;
    let client = cluster.client().await;
    let kubeconfig = Some(cluster.kubeconfig().to_path_buf());
    let world = World::start(WorldOptions { kubeconfig, ..WorldOptions::default() }).await;
    let sql = world.sql().await;
    let (customer, user) = world.door().register("Ani Resets").await;
    world.fund(&customer, 100_000).await;
    let (plan, _) = world.plan("n8n").await;
    let path = format!("/subscriptions/{}", world.subscribe(&customer, &plan).await);
    world.settle(&sql, READY).await;
    let namespace = format!("customer-{}", user["id"].as_str().expect("a user id"));
    let volume = async || {
        let claims = kept::<PersistentVolumeClaim>(&client, &namespace).await;
        assert!(claims.len() <= 1, "one volume at a time: {claims:?}");
        claims.into_values().next()
    };
    let secrets = async || -> Vec<_> {
        let api: Api<Secret> = Api::namespaced(client.clone(), &namespace);
        let secrets = api.list(&ListParams::default()).await.expect("secrets are listed").items;
        secrets.into_iter().map(|secret| (secret.metadata.name, secret.data)).collect()
    };
    let (before, secret) = (volume().await.expect("a volume"), secrets().await);
    let reset = customer.post(&format!("{path}/reset-pod"), json!({})).await;
    assert_eq!(reset.status, 200, "{:#}", reset.body);
    world.settle(&sql, READY).await;
    wait_until(READY, || async {
        let shown = customer.get(&path).await;
        let instance = &shown.data()["serviceInstance"];
        instance["status"] == "RUNNING" && instance["resetCount"] == 1
    })
    .await;
    let after = volume().await.expect("a volume");
    assert_ne!(after.uid, before.uid, "the data is another volume's");
    assert_eq!(secrets().await, secret, "credentials stay for life");
    assert_eq!(customer.get(&path).await.data()["status"], "ACTIVE");
}

/// The provisioner carries out its request once more, as after a crash: nothing in the cluster moves, and what was
/// removed meanwhile comes back.
async fn second_apply(world: &World, client: &Client, namespace: &str) {
    let sql = world.sql().await;
    world.settle(&sql, READY).await;
    let before = snapshot(client, namespace).await;
    let kinds = ["Service", "Ingress", "Secret", "ServiceAccount", "LimitRange", "NetworkPolicy", "Deployment"];
    for kind in kinds.into_iter().chain(["PersistentVolumeClaim"]) {
        assert!(before.keys().any(|name| name.starts_with(&format!("{kind}/"))), "there is no {kind} in {before:?}");
    }
    let applies = applies(world);
    assert!(applies > 0, "the first apply left no word");
    once_more(world, &sql).await;
    assert!(self::applies(world) > applies, "nothing was applied again");
    assert_eq!(snapshot(client, namespace).await, before, "a second apply changed objects");

    let (door, was) = before.iter().find(|(name, _)| name.starts_with("Ingress/")).expect("checked above");
    let ingresses: Api<Ingress> = Api::namespaced(client.clone(), namespace);
    let name = door.trim_start_matches("Ingress/");
    ingresses.delete(name, &DeleteParams::default()).await.expect("it can be removed by hand");
    once_more(world, &sql).await;
    let mut after = snapshot(client, namespace).await;
    let anew = after.insert(door.clone(), was.clone()).expect("what was removed is back");
    assert_ne!(anew.uid, was.uid);
    // The watch for drift may have been quicker; then the objects bear the place of its event, and nothing else differs.
    let same = |all: BTreeMap<String, Kept>| -> BTreeMap<_, _> {
        all.into_iter().map(|(name, kept)| (name, (kept.uid, kept.generation))).collect()
    };
    assert_eq!(same(after), same(before), "putting one object back changed others");
}

/// How often the provisioner says that the cluster took an instance's objects.
fn applies(world: &World) -> usize {
    let log = std::fs::read_to_string(world.directory().join("provisioner.log")).expect("the role has a log");
    log.matches("the cluster took the instance's objects").count()
}

/// Sets the finished request back in the ledger and waits until it is finished again.
async fn once_more(world: &World, sql: &PgPool) {
    let again = sqlx::query(
        "UPDATE ops.effects SET state = 'intended', holder = NULL, lease_until = NULL
         WHERE reactor = 'provisioner'
           AND ord = (SELECT min(ord) FROM ops.effects WHERE reactor = 'provisioner')",
    )
    .execute(sql)
    .await
    .expect("the effect can be set back");
    assert_eq!(again.rows_affected(), 1);
    world.settle(sql, READY).await;
}

/// An administrator stops it and starts it again.
async fn stopped_and_started(world: &World, client: &Client, namespace: &str, subscription: &str) {
    let admin = world.administrator("siti.kubernetes@example.com").await;
    let sql = world.sql().await;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let all = ListParams::default();
    let seen = async || {
        let deployments = deployments.list(&all).await.expect("deployments are listed").items;
        assert_eq!(deployments.len(), 1, "the workload stays");
        let spec = deployments[0].spec.clone().expect("a spec");
        let volumes = kept::<PersistentVolumeClaim>(client, namespace).await.len();
        (spec.replicas, pods.list(&all).await.expect("pods are listed").items.len(), volumes)
    };
    assert_eq!(seen().await, (Some(1), 1, 1));
    let ask = async |what: &str| {
        let asked = admin.post(&format!("/admin{subscription}/{what}"), json!({})).await;
        assert_eq!(asked.status, 200, "{:#}", asked.body);
    };
    ask("stop").await;
    world.settle(&sql, READY).await;
    assert_eq!(seen().await, (Some(0), 0, 1), "a stopped instance is scaled to zero, and its data stays");
    ask("start").await;
    world.settle(&sql, READY).await;
    assert_eq!(seen().await, (Some(1), 1, 1));
    let deployment = deployments.list(&all).await.expect("deployments are listed").items.remove(0);
    assert_eq!(deployment.status.and_then(|status| status.ready_replicas), Some(1), "it runs again");
}
