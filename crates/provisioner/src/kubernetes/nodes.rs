//! A node and its load in the words of administrators.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Node, NodeCondition, Pod, ResourceRequirements},
    apimachinery::pkg::{api::resource::Quantity as Written, apis::meta::v1::Time},
};
use kube::{ResourceExt, api::DynamicObject};
use minispod_domain::ports::fleet::{Condition, NodeSeen, Resources, Taint, Usage};
use minispod_kernel::Timestamp;
use serde_json::Value;

use super::instant;
use crate::quantity::Quantity;

/// Pods of one node that have not ended, and what they asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Load {
    pods: u32,
    requested: Resources,
}

/// The loads of all nodes that have any.
pub(super) fn loads(pods: &[Pod]) -> BTreeMap<String, Load> {
    let mut loads: BTreeMap<String, Load> = BTreeMap::new();
    for pod in pods {
        let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()) else { continue };
        if has_ended(pod) {
            continue;
        }
        let load = loads.entry(node).or_default();
        load.pods += 1;
        for container in pod.spec.iter().flat_map(|spec| &spec.containers) {
            let asked = container.resources.as_ref().map(requested).unwrap_or_default();
            load.requested.cpu_millis += asked.cpu_millis;
            load.requested.memory_bytes += asked.memory_bytes;
            load.requested.storage_bytes += asked.storage_bytes;
        }
    }
    loads
}

/// Whether its containers have all ended for good.
pub(super) fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn requested(resources: &ResourceRequirements) -> Resources {
    resources.requests.as_ref().map(amounts).unwrap_or_default()
}

fn amounts(written: &BTreeMap<String, Written>) -> Resources {
    Resources {
        cpu_millis: millis(written.get("cpu")),
        memory_bytes: millis(written.get("memory")) / 1000,
        storage_bytes: millis(written.get("ephemeral-storage")) / 1000,
    }
}

fn millis(written: Option<&Written>) -> u64 {
    written.map_or(0, |written| millis_of(&written.0))
}

/// Thousandths of the unit; measurements also come in billionths and millionths.
pub(super) fn millis_of(text: &str) -> u64 {
    let small = |number: &str, per_milli: u64| number.parse::<u64>().unwrap_or(0) / per_milli;
    if let Some(nanos) = text.strip_suffix('n') {
        return small(nanos, 1_000_000);
    }
    if let Some(micros) = text.strip_suffix('u') {
        return small(micros, 1_000);
    }
    Quantity::parse(text).ok().and_then(|quantity| u64::try_from(quantity.0).ok()).unwrap_or(0)
}

/// The node with its load, its lease and its measurement.
pub(super) fn seen(node: &Node, load: Load, renewed: Option<Timestamp>, measured: Option<&DynamicObject>) -> NodeSeen {
    let spec = node.spec.as_ref();
    let status = node.status.as_ref();
    let conditions: Vec<Condition> =
        status.and_then(|status| status.conditions.as_ref()).into_iter().flatten().map(condition).collect();
    let capacity = status.and_then(|status| status.capacity.as_ref());
    let created_at = instant(node);
    let heard = conditions.iter().filter_map(|one| one.heartbeat_at).chain(renewed).max();
    NodeSeen {
        name: node.name_any(),
        labels: node.labels().clone(),
        taints: spec
            .and_then(|spec| spec.taints.as_ref())
            .into_iter()
            .flatten()
            .map(|taint| Taint {
                key: taint.key.clone(),
                value: taint.value.clone().unwrap_or_default(),
                effect: taint.effect.clone(),
            })
            .collect(),
        created_at,
        schedulable: !spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
        capacity: capacity.map(texts).unwrap_or_default(),
        allocatable: status.and_then(|status| status.allocatable.as_ref()).map(texts).unwrap_or_default(),
        info: info(node),
        addresses: status
            .and_then(|status| status.addresses.as_ref())
            .into_iter()
            .flatten()
            .map(|one| (one.type_.clone(), one.address.clone()))
            .collect(),
        heartbeat: heard.unwrap_or(created_at),
        room: capacity.map(amounts).unwrap_or_default(),
        pods_max: capacity
            .and_then(|capacity| capacity.get("pods"))
            .and_then(|pods| pods.0.parse().ok())
            .unwrap_or_default(),
        pods: load.pods,
        requested: load.requested,
        usage: measured.and_then(usage),
        conditions,
    }
}

fn texts(written: &BTreeMap<String, Written>) -> BTreeMap<String, String> {
    written.iter().map(|(name, amount)| (name.clone(), amount.0.clone())).collect()
}

fn condition(one: &NodeCondition) -> Condition {
    let at = |time: &Option<Time>| time.as_ref().map(|time| Timestamp::from_unix_millis(time.0.as_millisecond()));
    Condition {
        kind: one.type_.clone(),
        status: one.status.clone(),
        reason: one.reason.clone().unwrap_or_default(),
        message: one.message.clone().unwrap_or_default(),
        heartbeat_at: at(&one.last_heartbeat_time),
        changed_at: at(&one.last_transition_time),
    }
}

/// The texts that the node says of itself, by the cluster's own names.
fn info(node: &Node) -> BTreeMap<String, String> {
    let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
    let Some(Ok(Value::Object(info))) = info.map(serde_json::to_value) else { return BTreeMap::new() };
    info.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
}

fn usage(measured: &DynamicObject) -> Option<Usage> {
    let text = |pointer: &str| measured.data.pointer(pointer).and_then(Value::as_str);
    let at: k8s_openapi::jiff::Timestamp = text("/timestamp")?.parse().ok()?;
    Some(Usage {
        cpu_millis: millis_of(text("/usage/cpu")?),
        memory_bytes: millis_of(text("/usage/memory")?) / 1000,
        at: Timestamp::from_unix_millis(at.as_millisecond()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(node: &str, phase: &str, cpu: &str) -> Pod {
        let requests = json!({ "cpu": cpu, "memory": "128Mi" });
        let container = json!({ "name": "app", "image": "x", "resources": { "requests": requests } });
        let pod = json!({ "metadata": { "name": "p" }, "spec": { "nodeName": node, "containers": [container] },
                          "status": { "phase": phase } });
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn w63_whole_cores_count_as_much_as_their_thousandths() {
        let pods = [
            pod("a", "Running", "2"),
            pod("a", "Pending", "250m"),
            pod("a", "Succeeded", "4"),
            pod("b", "Running", "1"),
        ];
        let loads = loads(&pods);
        assert_eq!((loads["a"].pods, loads["a"].requested.cpu_millis), (2, 2_250));
        assert_eq!(loads["a"].requested.memory_bytes, 256 << 20);
        assert_eq!(loads["b"].requested.cpu_millis, 1_000);
    }

    #[test]
    fn measurements_come_in_billionths_too() {
        let same = [("156340957n", 156), ("1500u", 1), ("2", 2_000), ("250m", 250), ("nonsense", 0), ("", 0)];
        for (text, expected) in same {
            assert_eq!(millis_of(text), expected, "{text}");
        }
        let kind = kube::api::ApiResource::erase::<Node>(&());
        let metrics = DynamicObject::new("n", &kind)
            .data(json!({ "timestamp": "2026-11-26T10:00:00Z", "usage": { "cpu": "500000000n", "memory": "2048Ki" } }));
        let usage = usage(&metrics).expect("measured");
        assert_eq!((usage.cpu_millis, usage.memory_bytes), (500, 2 << 20));
        assert_eq!(usage.at.to_contract(), "2026-11-26T10:00:00.000Z");
    }

    #[test]
    fn the_newest_sign_of_life_counts_and_a_closed_node_takes_no_pods() {
        let node: Node = serde_json::from_value(json!({
            "metadata": { "name": "n", "creationTimestamp": "2026-11-26T09:00:00Z" },
            "spec": { "unschedulable": true, "taints": [{ "key": "k", "effect": "NoSchedule" }] },
            "status": {
                "capacity": { "cpu": "4", "memory": "8Gi", "pods": "110" },
                "conditions": [{ "type": "Ready", "status": "True", "lastHeartbeatTime": "2026-11-26T09:30:00Z" }],
            },
        }))
        .expect("a node");
        let renewed = Timestamp::from_unix_millis(1_800_000_000_000);
        assert_eq!(seen(&node, Load::default(), Some(renewed), None).heartbeat, renewed);
        let plain = seen(&node, Load::default(), None, None);
        assert_eq!(plain.heartbeat.to_contract(), "2026-11-26T09:30:00.000Z");
        assert_eq!((plain.schedulable, plain.pods_max, plain.room.cpu_millis), (false, 110, 4_000));
        assert_eq!(plain.taints[0].value, "");
    }
}
