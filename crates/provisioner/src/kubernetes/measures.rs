//! What instances use, by the metrics API.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, ObjectList, TypeMeta},
};
use serde_json::Value;

use super::{KubeCluster, nodes::millis_of, ours};
use crate::{
    cluster::{ClusterError, InstanceUsage},
    names,
};

impl KubeCluster {
    /// One list, a page for each 500 pods. A cluster without the metrics API measures nothing, which is no failure.
    pub(super) async fn measure_instances(&self) -> Result<Vec<InstanceUsage>, ClusterError> {
        let kind = GroupVersionKind::gvk("metrics.k8s.io", "v1beta1", "PodMetrics");
        let api: Api<DynamicObject> =
            Api::all_with(self.client.clone(), &ApiResource::from_gvk_with_plural(&kind, "pods"));
        let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let api = &api;
        let list = |params: ListParams| async move {
            match api.list(&params).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(nothing()),
                other => other,
            }
        };
        self.each_page("measure what instances use", ListParams::default().labels(&ours()), list, |page| {
            for pod in &page.items {
                let Some(instance) = pod.labels().get(names::INSTANCE) else { continue };
                let (cpu, memory) = used(&pod.data);
                let sum = sums.entry(instance.clone()).or_default();
                *sum = (sum.0 + cpu, sum.1 + memory);
            }
        })
        .await?;
        let all = sums.into_iter();
        Ok(all
            .map(|(instance_id, (cpu_millis, memory_bytes))| InstanceUsage { instance_id, cpu_millis, memory_bytes })
            .collect())
    }
}

/// An answer without objects.
fn nothing() -> ObjectList<DynamicObject> {
    ObjectList { types: TypeMeta::default(), metadata: ListMeta::default(), items: Vec::new() }
}

/// All containers of a pod.
fn used(pod: &Value) -> (u64, u64) {
    let containers = pod["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let amount = |container: &Value, what: &str| container["usage"][what].as_str().map_or(0, millis_of);
    let cpu = containers.iter().map(|one| amount(one, "cpu")).sum();
    let memory: u64 = containers.iter().map(|one| amount(one, "memory")).sum();
    (cpu, memory / 1000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_are_summed_in_every_suffix_that_the_api_uses() {
        let pod = json!({ "containers": [
            { "name": "app", "usage": { "cpu": "12500000n", "memory": "131072Ki" } },
            { "name": "sidecar", "usage": { "cpu": "3m", "memory": "1Mi" } },
            { "name": "odd" },
        ] });
        assert_eq!(used(&pod), (15, (131_072 << 10) + (1 << 20)));
        assert_eq!(used(&json!({})), (0, 0));
    }
}
