//! Emptying a node through the eviction API, which keeps disruption budgets.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams, api::PostParams, core::Status, error::Error};
use minispod_domain::ports::fleet::{DrainWish, Eviction};
use serde_json::json;
use tokio::time::Instant;

use super::{KubeCluster, failures, nodes};
use crate::{cluster::ClusterError, names};

/// Pods that are on their way at once.
const AT_ONCE: usize = 16;
/// Between two tries and two looks.
const PAUSE: Duration = Duration::from_millis(500);
const TOO_MANY: u16 = 429;
/// The kubelet's own pods, which no API can evict.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// What is to be done with a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Evict,
    /// It stays by its nature and is not even counted.
    Leave,
    /// It stays because moving it would lose something.
    Keep(&'static str),
}

fn judge(pod: &Pod, wish: &DrainWish) -> Verdict {
    let controller = pod.owner_references().iter().find(|owner| owner.controller == Some(true));
    if pod.annotations().contains_key(MIRROR) || controller.is_some_and(|owner| owner.kind == "DaemonSet") {
        return Verdict::Leave;
    }
    if nodes::has_ended(pod) {
        return Verdict::Evict;
    }
    if controller.is_none() && !wish.force {
        return Verdict::Keep("nothing would bring it back; `force` moves it all the same");
    }
    // What an instance is to keep lies on its volume; what the catalogue puts on the node is scratch.
    let scratch = names::is_customers(pod.labels()) && pod.labels().contains_key(names::INSTANCE);
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    if !wish.delete_local_data && !scratch && volumes.into_iter().any(|volume| volume.empty_dir.is_some()) {
        return Verdict::Keep("it keeps data on the node; `deleteLocalData` moves it all the same");
    }
    Verdict::Evict
}

impl KubeCluster {
    /// Asks every pod of the node to go and waits until it has gone, no longer than until `end`.
    pub(super) async fn evict_all(
        &self,
        node: &str,
        wish: &DrainWish,
        end: Instant,
    ) -> Result<Vec<Eviction>, ClusterError> {
        let api: Api<Pod> = Api::all(self.client.clone());
        let pods = self.all_of("list the node's pods", &api, ListParams::default()).await?;
        let on_it =
            pods.into_iter().filter(|pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node));
        let judged = on_it.map(|pod| (judge(&pod, wish), pod)).filter(|(verdict, _)| *verdict != Verdict::Leave);
        let work = stream::iter(judged.collect::<Vec<_>>()).map(|(verdict, pod)| async move {
            let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
            let fault = match verdict {
                Verdict::Keep(why) => Some(why.to_owned()),
                Verdict::Evict | Verdict::Leave => self.evict(&pod, &namespace, &name, wish, end).await?,
            };
            Ok::<_, ClusterError>(Eviction { namespace, name, fault })
        });
        let mut evictions: Vec<Eviction> = work.buffer_unordered(AT_ONCE).try_collect().await?;
        evictions.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
        Ok(evictions)
    }

    /// Why the pod is still there; `None` when it is gone.
    async fn evict(
        &self,
        pod: &Pod,
        namespace: &str,
        name: &str,
        wish: &DrainWish,
        end: Instant,
    ) -> Result<Option<String>, ClusterError> {
        let api: Api<Pod> = self.api(namespace);
        // Written out: the client's own call names the options so that the cluster overlooks them.
        let body = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": name, "namespace": namespace },
            "deleteOptions": {
                "gracePeriodSeconds": wish.grace.as_secs(),
                "preconditions": { "uid": pod.uid() },
            },
        });
        let params = PostParams::default();
        let mut refusal = "the time was over before it was asked to go".to_owned();
        loop {
            let asked = api.create_subresource::<_, Status>("eviction", name, &params, &body);
            refusal = match tokio::time::timeout_at(end, asked).await {
                Ok(Ok(_)) => break,
                Ok(Err(Error::Api(status))) if status.is_not_found() => return Ok(None),
                Ok(Err(Error::Api(status))) if status.code == TOO_MANY => status.message.clone(),
                Ok(Err(error)) => match failures::classify(&format!("evict {name}"), &error) {
                    passing @ ClusterError::Unreachable { .. } => passing.to_string(),
                    lasting => return Ok(Some(lasting.to_string())),
                },
                // What was said to an earlier try tells more than that the time is over.
                Err(_) => return Ok(Some(refusal)),
            };
            if Instant::now() + PAUSE >= end {
                return Ok(Some(refusal));
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.until_gone(pod, &api, name, end).await
    }

    async fn until_gone(
        &self,
        pod: &Pod,
        api: &Api<Pod>,
        name: &str,
        end: Instant,
    ) -> Result<Option<String>, ClusterError> {
        loop {
            let there = self.call(&format!("look at {name}"), || api.get_opt(name)).await?;
            if there.is_none_or(|now| now.uid() != pod.uid()) {
                return Ok(None);
            }
            if Instant::now() + PAUSE >= end {
                return Ok(Some("it was asked to go and has not stopped in time".to_owned()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(more: serde_json::Value) -> Pod {
        let mut pod =
            json!({ "metadata": { "name": "p" }, "spec": { "containers": [] }, "status": { "phase": "Running" } });
        for part in ["metadata", "spec", "status"] {
            for (name, value) in more[part].as_object().into_iter().flatten() {
                pod[part][name] = value.clone();
            }
        }
        serde_json::from_value(pod).expect("a pod")
    }

    fn owned(kind: &str) -> serde_json::Value {
        json!([{ "apiVersion": "apps/v1", "kind": kind, "name": "o", "uid": "u", "controller": true }])
    }

    #[test]
    fn w63_pods_that_belong_to_the_node_stay_and_what_would_be_lost_is_kept() {
        let wish = |force, delete_local_data| DrainWish {
            grace: Duration::from_secs(30),
            timeout: Duration::from_mins(5),
            force,
            delete_local_data,
        };
        let (careful, bold) = (wish(false, false), wish(true, true));
        let daemon = pod(json!({ "metadata": { "ownerReferences": owned("DaemonSet") } }));
        let mirror = pod(json!({ "metadata": { "annotations": { MIRROR: "x" } } }));
        for pod in [daemon, mirror] {
            assert_eq!((judge(&pod, &careful), judge(&pod, &bold)), (Verdict::Leave, Verdict::Leave));
        }
        let replica = || json!({ "ownerReferences": owned("ReplicaSet") });
        assert_eq!(judge(&pod(json!({ "metadata": replica() })), &careful), Verdict::Evict);
        let alone = pod(json!({}));
        assert!(matches!(judge(&alone, &careful), Verdict::Keep(_)));
        assert_eq!(judge(&alone, &bold), Verdict::Evict);
        let volumes = json!([{ "name": "tmp", "emptyDir": {} }]);
        let local = pod(json!({ "metadata": replica(), "spec": { "volumes": volumes } }));
        assert!(matches!(judge(&local, &wish(true, false)), Verdict::Keep(_)));
        assert_eq!(judge(&local, &wish(false, true)), Verdict::Evict);
        let mut labels = names::customer_labels("ani");
        let of_customer = json!({ "ownerReferences": owned("ReplicaSet"), "labels": labels });
        let stranger = pod(json!({ "metadata": of_customer, "spec": { "volumes": volumes } }));
        assert!(matches!(judge(&stranger, &careful), Verdict::Keep(_)), "made by hand in a customer's namespace");
        labels.insert(names::INSTANCE.into(), "i".into());
        let of_instance = json!({ "ownerReferences": owned("ReplicaSet"), "labels": labels });
        let instance = pod(json!({ "metadata": of_instance, "spec": { "volumes": volumes } }));
        assert_eq!(judge(&instance, &careful), Verdict::Evict, "its data is on its volume");
        assert_eq!(judge(&pod(json!({ "status": { "phase": "Succeeded" } })), &careful), Verdict::Evict);
    }
}
