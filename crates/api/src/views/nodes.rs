//! How nodes look: amounts in the contract's units, whatever the cluster writes them in.

use std::collections::BTreeMap;

use minispod_domain::{
    Amounts, Capacity,
    ports::fleet::{Condition, NodeSeen, NodeStanding, Resources, Usage, used},
};
use minispod_kernel::Timestamp;
use serde_json::{Value, json};

use super::instant;

const KI: u64 = 1 << 10;
const GI: u64 = 1 << 30;

/// One node (`Node`), seen at `now`.
pub fn full(node: &NodeSeen, now: Timestamp) -> Value {
    let info = |name: &str| node.info.get(name).map_or("", String::as_str);
    json!({
        "id": node.name,
        "name": node.name,
        "hostname": hostname(node),
        "ipAddress": address(node),
        "architecture": info("architecture"),
        "operatingSystem": info("operatingSystem"),
        "cpuCores": node.room.cpu_millis / 1000,
        "cpuArchitecture": info("architecture"),
        // The client reads nothing but Ki.
        "totalMemory": format!("{}Ki", node.room.memory_bytes / KI),
        "totalStorage": format!("{}Ki", node.room.storage_bytes / KI),
        "allocatedCPU": cores(node.requested.cpu_millis),
        "allocatedMemory": gigabytes(node.requested.memory_bytes),
        "allocatedStorage": gigabytes(node.requested.storage_bytes),
        "maxPods": node.pods_max,
        "currentPods": node.pods,
        "status": node.standing().as_str(),
        "isReady": node.is_ready(),
        "isSchedulable": node.schedulable,
        "lastHeartbeat": node.heartbeat.to_contract(),
        "lastHealthCheck": now.to_contract(),
        "labels": node.labels,
        "taints": node
            .taints
            .iter()
            .map(|taint| json!({ "key": taint.key, "value": taint.value, "effect": taint.effect }))
            .collect::<Vec<_>>(),
        "kubeletVersion": info("kubeletVersion"),
        "containerRuntime": info("containerRuntimeVersion"),
        "kernelVersion": info("kernelVersion"),
        "osImage": info("osImage"),
        "createdAt": node.created_at.to_contract(),
        "updatedAt": changed_at(node).to_contract(),
        "metrics": metrics(node),
        "liveData": {
            "conditions": node.conditions.iter().map(condition).collect::<Vec<_>>(),
            "capacity": node.capacity,
            "allocatable": node.allocatable,
            "nodeInfo": node.info,
            "addresses": node
                .addresses
                .iter()
                .map(|(kind, address)| json!({ "type": kind, "address": address }))
                .collect::<Vec<_>>(),
        },
    })
}

/// What it calls itself in the network.
pub fn hostname(node: &NodeSeen) -> &str {
    of_kind(node, "Hostname").unwrap_or(&node.name)
}

/// Where it is reached from inside; empty when it does not say.
pub fn address(node: &NodeSeen) -> &str {
    of_kind(node, "InternalIP").unwrap_or_default()
}

fn of_kind<'a>(node: &'a NodeSeen, kind: &str) -> Option<&'a str> {
    node.addresses.iter().find(|(known, _)| known == kind).map(|(_, address)| address.as_str())
}

fn changed_at(node: &NodeSeen) -> Timestamp {
    node.conditions.iter().filter_map(|one| one.changed_at).max().unwrap_or(node.created_at)
}

fn condition(one: &Condition) -> Value {
    json!({
        "type": one.kind,
        "status": one.status,
        "reason": one.reason,
        "message": one.message,
        "lastHeartbeatTime": instant(one.heartbeat_at),
        "lastTransitionTime": instant(one.changed_at),
    })
}

/// Percent of what it has. Nothing is invented where nobody measures.
fn metrics(node: &NodeSeen) -> Value {
    let Some(Usage { cpu_millis, memory_bytes, at }) = node.usage else {
        return json!({
            "cpuUtilization": null,
            "memoryUtilization": null,
            "cpuUsage": null,
            "memoryUsage": null,
            "metricsTimestamp": null,
            "metricsAvailable": false,
        });
    };
    json!({
        "cpuUtilization": percent(cpu_millis, node.room.cpu_millis),
        "memoryUtilization": percent(memory_bytes, node.room.memory_bytes),
        "cpuUsage": cores(cpu_millis),
        "memoryUsage": gigabytes(memory_bytes),
        "metricsTimestamp": at.to_contract(),
        "metricsAvailable": true,
    })
}

/// All nodes in numbers, seen at `now`.
pub fn numbers(nodes: &[NodeSeen], now: Timestamp) -> Value {
    let (mut room, mut asked) = (Resources::default(), Resources::default());
    let mut standings: BTreeMap<&str, usize> = BTreeMap::new();
    for node in nodes {
        room.cpu_millis += node.room.cpu_millis;
        room.memory_bytes += node.room.memory_bytes;
        asked.cpu_millis += node.requested.cpu_millis;
        asked.memory_bytes += node.requested.memory_bytes;
        *standings.entry(node.standing().as_str()).or_default() += 1;
    }
    let count = |standing: NodeStanding| standings.get(standing.as_str()).copied().unwrap_or(0);
    let pods_max: u64 = nodes.iter().map(|node| u64::from(node.pods_max)).sum();
    let pods: u64 = nodes.iter().map(|node| u64::from(node.pods)).sum();
    json!({
        "cluster": {
            "totalNodes": nodes.len(),
            "readyNodes": nodes.iter().filter(|node| node.is_ready()).count(),
            "schedulableNodes": nodes.iter().filter(|node| node.schedulable).count(),
            "lastSync": now.to_contract(),
        },
        "nodeStatus": {
            "active": count(NodeStanding::Active),
            "inactive": count(NodeStanding::Inactive),
            "maintenance": count(NodeStanding::Maintenance),
            "pending": count(NodeStanding::Pending),
            "notReady": count(NodeStanding::NotReady),
        },
        "resources": {
            "cpu": {
                "total": hundredths(room.cpu_millis, 1000),
                "allocated": hundredths(asked.cpu_millis, 1000),
                "utilization": percent(asked.cpu_millis, room.cpu_millis),
            },
            "memory": {
                "total": hundredths(room.memory_bytes, GI),
                "allocated": hundredths(asked.memory_bytes, GI),
                "utilization": percent(asked.memory_bytes, room.memory_bytes),
            },
            "pods": { "maxTotal": pods_max, "currentTotal": pods, "utilization": percent(pods, pods_max) },
        },
    })
}

/// What is sold of the room and what is left to sell, without amounts while nobody has measured the room lately; and
/// what all pods request and use. Use is null where nobody measures.
pub fn selling(capacity: Option<&Capacity>, percent: u32, nodes: &[NodeSeen]) -> Value {
    let words = |amounts: Amounts| json!({ "cpu": hundredths(amounts.cpu_millis, 1000), "memory": hundredths(amounts.memory_bytes, GI) });
    let requested = nodes.iter().map(|node| node.requested.amounts()).fold(Amounts::default(), Amounts::plus);
    json!({
        "percent": percent,
        "room": capacity.map(|capacity| words(capacity.room)),
        "sold": capacity.map(|capacity| words(capacity.sold)),
        "left": capacity.map(|capacity| words(capacity.left())),
        "requested": words(requested),
        "used": used(nodes).map(words),
    })
}

/// Cores with three places.
pub(super) fn cores(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

/// Gigabytes with two places.
fn gigabytes(bytes: u64) -> String {
    let hundredths = u128::from(bytes) * 100 / u128::from(GI);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// Percent with two places; nothing of nothing is 0.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    hundredths(part.saturating_mul(100), whole)
}

fn hundredths(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 * 100.0 / whole as f64).round() / 100.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ready: &str, schedulable: bool) -> NodeSeen {
        let at = Timestamp::from_unix_millis(0);
        NodeSeen {
            name: "n".into(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            created_at: at,
            schedulable,
            conditions: vec![Condition { kind: "Ready".into(), status: ready.into(), ..Condition::default() }],
            capacity: BTreeMap::new(),
            allocatable: BTreeMap::new(),
            info: BTreeMap::new(),
            addresses: vec![("InternalIP".into(), "10.0.0.1".into())],
            heartbeat: at,
            room: Resources { cpu_millis: 4_000, memory_bytes: 32 * GI, storage_bytes: 10 * GI },
            pods_max: 110,
            pods: 11,
            requested: Resources { cpu_millis: 2_250, memory_bytes: GI / 2, storage_bytes: 0 },
            usage: None,
        }
    }

    #[test]
    fn amounts_are_in_the_units_the_client_reads() {
        let view = full(&node("True", true), Timestamp::from_unix_millis(0));
        assert_eq!((&view["totalMemory"], &view["totalStorage"]), (&json!("33554432Ki"), &json!("10485760Ki")));
        assert_eq!((&view["allocatedCPU"], &view["allocatedMemory"]), (&json!("2.250"), &json!("0.50")));
        assert_eq!((&view["cpuCores"], &view["hostname"]), (&json!(4), &json!("n")));
        assert_eq!(
            (&view["metrics"]["metricsAvailable"], &view["metrics"]["cpuUtilization"]),
            (&json!(false), &Value::Null)
        );
        let usage = Some(Usage { cpu_millis: 1_000, memory_bytes: 8 * GI, at: Timestamp::from_unix_millis(0) });
        let measured = full(&NodeSeen { usage, ..node("True", true) }, Timestamp::from_unix_millis(0));
        assert_eq!(
            (&measured["metrics"]["cpuUtilization"], &measured["metrics"]["memoryUsage"]),
            (&json!(25.0), &json!("8.00"))
        );
    }

    #[test]
    fn the_numbers_add_up_over_all_nodes() {
        let nodes = [node("True", true), node("True", false), node("Unknown", true)];
        let numbers = numbers(&nodes, Timestamp::from_unix_millis(0));
        assert_eq!(
            numbers["nodeStatus"],
            json!({"active": 1, "inactive": 1, "maintenance": 1, "pending": 0, "notReady": 0})
        );
        assert_eq!(numbers["resources"]["cpu"], json!({"total": 12.0, "allocated": 6.75, "utilization": 56.25}));
        assert_eq!(numbers["resources"]["pods"], json!({"maxTotal": 330, "currentTotal": 33, "utilization": 10.0}));
        assert_eq!(super::numbers(&[], Timestamp::from_unix_millis(0))["resources"]["cpu"]["utilization"], 0.0);
    }

    #[test]
    fn what_pods_request_and_use_stands_beside_what_is_sold() {
        let usage = Some(Usage { cpu_millis: 500, memory_bytes: GI, at: Timestamp::from_unix_millis(0) });
        let measured = NodeSeen { usage, ..node("True", true) };
        let shown = selling(None, 100, &[measured, node("True", false)]);
        assert_eq!(shown["requested"], json!({"cpu": 4.5, "memory": 1.0}));
        assert_eq!(shown["used"], json!({"cpu": 0.5, "memory": 1.0}));
        assert!(shown["sold"].is_null());
        assert!(selling(None, 100, &[node("True", true)])["used"].is_null());
    }
}
