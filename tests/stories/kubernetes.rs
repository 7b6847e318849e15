//! The journey against a real Kubernetes API server: objects exist, are ours, stay as they are, and go when told.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, PersistentVolumeClaim, Secret, Service},
    networking::v1::{Ingress, NetworkPolicy},
};
use kube::{Api, Client, Resource, api::ListParams};
use minispod_e2e::{World, WorldOptions};
use minispod_testkit::{kubernetes::ControlPlane, require, wait_until};
use serde::de::DeserializeOwned;
use serde_json::json;

const READY: Duration = Duration::from_mins(2);
const MANAGER: &str = "minispod-provisioner";

/// Names and resource versions of one kind in a namespace; every object must be ours, PVCs owned by nobody.
async fn kept<K>(client: &Client, namespace: &str) -> BTreeMap<String, String>
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
            (format!("{}/{name}", K::kind(&())), meta.resource_version.clone().unwrap_or_default())
        })
        .collect()
}

/// Everything that a second apply must leave as it is. Deployments and claims change by their status alone as well.
async fn snapshot(client: &Client, namespace: &str) -> BTreeMap<String, String> {
    let mut all = kept::<Service>(client, namespace).await;
    all.extend(kept::<Ingress>(client, namespace).await);
    all.extend(kept::<Secret>(client, namespace).await);
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
    let before = snapshot(&client, &namespace).await;
    for kind in ["Service/", "Ingress/", "Secret/", "NetworkPolicy/", "Deployment/", "PersistentVolumeClaim/"] {
        assert!(before.keys().any(|name| name.starts_with(kind)), "there is no {kind} in {before:?}");
    }
    second_apply(&world, &client, &namespace, &before).await;
    let cancelled = customer.send(reqwest::Method::DELETE, &path, Some(json!({"reason": "the story is over"}))).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.body);
    wait_until(READY, || async { kept::<Deployment>(&client, &namespace).await.is_empty() }).await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
    let claims = claims.list(&ListParams::default()).await.expect("claims are listed");
    assert_eq!(claims.items.len(), 1, "the data is kept");
    let owners = claims.items[0].metadata.owner_references.clone().unwrap_or_default();
    assert!(owners.is_empty(), "a volume is never owned by a workload");
}

/// The provisioner does its effect once more, as after a crash; nothing in the cluster moves.
async fn second_apply(world: &World, client: &Client, namespace: &str, before: &BTreeMap<String, String>) {
    let sql = world.sql().await;
    let again = sqlx::query(
        "UPDATE ops.effects SET state = 'intended', holder = NULL, lease_until = NULL WHERE reactor = 'provisioner'",
    )
    .execute(&sql)
    .await
    .expect("the effect can be set back");
    assert!(again.rows_affected() > 0);
    world.settle(&sql, READY).await;
    assert_eq!(&snapshot(client, namespace).await, before, "a second apply changed objects");
}
