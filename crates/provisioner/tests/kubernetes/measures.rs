//! Use by the metrics API of a real API server, whose measurements a played metrics server writes.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams},
};
use minispod_provisioner::{Cluster, names};
use minispod_testkit::wait_until;
use serde_json::json;

use crate::bench::{Bench, DEADLINE};

/// Nobody but this test may ask for it: other tests have a cluster that measures nothing before, and this afterwards.
async fn metrics_api(bench: &Bench) -> Api<DynamicObject> {
    let definition = serde_json::from_value(json!({
        "metadata": {
            "name": "pods.metrics.k8s.io",
            "annotations": { "api-approved.kubernetes.io": "unapproved, a test plays the metrics server" },
        },
        "spec": {
            "group": "metrics.k8s.io",
            "scope": "Namespaced",
            "names": { "kind": "PodMetrics", "plural": "pods", "singular": "podmetrics" },
            "versions": [{
                "name": "v1beta1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
            }],
        },
    }));
    let definitions: Api<CustomResourceDefinition> = Api::all(bench.client.clone());
    definitions.create(&PostParams::default(), &definition.expect("a definition")).await.expect("taken");
    let kind = GroupVersionKind::gvk("metrics.k8s.io", "v1beta1", "PodMetrics");
    let resource = ApiResource::from_gvk_with_plural(&kind, "pods");
    let everywhere: Api<DynamicObject> = Api::all_with(bench.client.clone(), &resource);
    wait_until(DEADLINE, || async { everywhere.list(&ListParams::default()).await.is_ok() }).await;
    Api::default_namespaced_with(bench.client.clone(), &resource)
}

#[tokio::test]
async fn what_all_pods_of_an_instance_use_is_summed_and_a_cluster_that_measures_nothing_is_no_failure() {
    let Some(bench) = Bench::open().await else { return };
    assert_eq!(bench.cluster.usage().await.expect("no failure"), []);
    let api = metrics_api(&bench).await;
    for (pod, instance, cpu) in [("app", "i-1", "250m"), ("database", "i-1", "12500000n"), ("other", "i-2", "1")] {
        let labels = json!({ names::MANAGED_BY: names::MANAGED_BY_US, names::INSTANCE: instance });
        let measured: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics",
            "metadata": { "name": pod, "labels": labels },
            "timestamp": "2026-11-27T10:00:00Z",
            "containers": [{ "name": "x", "usage": { "cpu": cpu, "memory": "64Mi" } }],
        }))
        .expect("an object");
        api.create(&PostParams::default(), &measured).await.expect("written");
    }
    let usage = bench.cluster.usage().await.expect("measured");
    let seen: Vec<_> =
        usage.iter().map(|one| (one.instance_id.as_str(), one.cpu_millis, one.memory_bytes >> 20)).collect();
    assert_eq!(seen, [("i-1", 262, 128), ("i-2", 1_000, 64)]);
}
