//! Where the pods of instances are, for many instances at once.

use std::cmp::Reverse;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams};
use minispod_domain::ports::fleet::PodPlace;
use minispod_kernel::ids::is_aggregate_id;

use super::{KubeCluster, ours};
use crate::{cluster::ClusterError, names};

/// Most instances that one selector names, so that the address of a request stays short enough for every proxy.
const NAMED_MAX: usize = 100;

impl KubeCluster {
    /// One list over all namespaces for each [`NAMED_MAX`] instances (a page more for each further 500 pods of them).
    pub(super) async fn places_of(&self, instance_ids: &[String]) -> Result<Vec<PodPlace>, ClusterError> {
        let api: Api<Pod> = Api::all(self.client.clone());
        let mut pods = Vec::new();
        for selector in selectors(instance_ids) {
            pods.extend(self.all_of("look where pods are", &api, ListParams::default().labels(&selector)).await?);
        }
        pods.sort_by_key(|pod| Reverse(pod.creation_timestamp().map(|time| time.0)));
        Ok(pods.iter().filter_map(place).collect())
    }
}

/// What selects the pods of these instances. Nothing but an id may get into a selector: anything else could select what
/// is another's.
fn selectors(instance_ids: &[String]) -> Vec<String> {
    let ids: Vec<&str> = instance_ids.iter().map(String::as_str).filter(|id| is_aggregate_id(id)).collect();
    ids.chunks(NAMED_MAX).map(|some| format!("{},{} in ({})", ours(), names::INSTANCE, some.join(","))).collect()
}

/// `None` for what is no pod of an instance.
fn place(pod: &Pod) -> Option<PodPlace> {
    let status = pod.status.as_ref();
    let filled = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    Some(PodPlace {
        instance_id: pod.labels().get(names::INSTANCE)?.clone(),
        name: pod.name_any(),
        component: pod.labels().get(names::COMPONENT).cloned().unwrap_or_default(),
        node: filled(pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref())),
        pod_ip: filled(status.and_then(|status| status.pod_ip.as_ref())),
        phase: status.and_then(|status| status.phase.clone()).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_names_ids_only_and_no_more_than_its_share() {
        let ids = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            selectors(&ids(&["c1", "c2),x in (y", "", "C3", "c4,c5", "c6"])),
            ["app.kubernetes.io/managed-by=minispod,minispod.dev/instance in (c1,c6)"]
        );
        assert_eq!(selectors(&ids(&["a b"])), Vec::<String>::new(), "none is not all");
        assert_eq!(selectors(&[]), Vec::<String>::new());
        let many: Vec<String> = (0..201).map(|number| format!("c{number}")).collect();
        let named: Vec<usize> = selectors(&many).iter().map(|one| one.matches(",c").count() + 1).collect();
        assert_eq!(named, [100, 100, 1]);
    }

    #[test]
    fn a_pod_that_no_node_has_yet_is_nowhere() {
        let pod = |spec: serde_json::Value, status: serde_json::Value| -> Pod {
            let labels = json!({ names::INSTANCE: "c1", names::COMPONENT: names::APP });
            let pod = json!({ "metadata": { "name": "p", "labels": labels }, "spec": spec, "status": status });
            serde_json::from_value(pod).expect("a pod")
        };
        let waiting = place(&pod(json!({ "containers": [] }), json!({ "phase": "Pending" }))).expect("an instance's");
        assert_eq!((waiting.node, waiting.pod_ip, waiting.phase.as_str()), (None, None, "Pending"));
        let runs = json!({ "phase": "Running", "podIP": "10.42.0.7" });
        let runs = place(&pod(json!({ "containers": [], "nodeName": "worker-1" }), runs)).expect("an instance's");
        assert_eq!((runs.node.as_deref(), runs.pod_ip.as_deref()), (Some("worker-1"), Some("10.42.0.7")));
        assert_eq!((runs.instance_id.as_str(), runs.component.as_str()), ("c1", "app"));
        assert_eq!(place(&Pod::default()), None);
    }
}
