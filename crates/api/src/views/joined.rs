//! How nodes that join by themselves look as facts know them, and the tokens that let them join.

use minispod_kernel::Timestamp;
use minispod_projections::nodes::{JoinTokenRow, NodeRow};
use minispod_store::NodeHeartbeat;
use serde_json::{Value, json};

use super::instant;

/// A node with its last sign of life.
pub fn full(row: &NodeRow, beat: Option<&NodeHeartbeat>) -> Value {
    let facts = &row.facts;
    json!({
        "id": row.name,
        "name": row.name,
        "hostname": facts.hostname,
        "ipAddress": facts.ip_address,
        "architecture": facts.architecture,
        "operatingSystem": facts.operating_system,
        "cpuCores": facts.cpu_cores,
        "cpuArchitecture": facts.cpu_architecture,
        "totalMemory": facts.total_memory,
        "totalStorage": facts.total_storage,
        "maxPods": facts.max_pods,
        "kubeletVersion": facts.kubelet_version,
        "containerRuntime": facts.container_runtime,
        "kernelVersion": facts.kernel_version,
        "osImage": facts.os_image,
        "labels": facts.labels,
        "taints": facts
            .taints
            .iter()
            .map(|taint| json!({ "key": taint.key, "value": taint.value, "effect": taint.effect }))
            .collect::<Value>(),
        "status": status(row),
        "isReady": row.ready,
        "isSchedulable": row.schedulable,
        "reason": row.reason,
        "joined": row.key_hash.is_some(),
        "lastHeartbeat": beat.map(|beat| beat.at.to_contract()),
        "allocatedCPU": beat.and_then(|beat| beat.allocated_cpu_millis).map(cores),
        "allocatedMemory": beat.and_then(|beat| beat.allocated_memory_mb),
        "allocatedStorage": beat.and_then(|beat| beat.allocated_storage_gb),
        "currentPods": beat.and_then(|beat| beat.current_pods),
        "lastDrained": instant(row.last_drained),
        "createdAt": row.created_at.to_contract(),
        "updatedAt": row.updated_at.to_contract(),
    })
}

/// A node's sign of life, as it was kept.
pub fn heartbeat(row: &NodeRow, kept: &NodeHeartbeat) -> Value {
    json!({
        "id": row.name,
        "name": row.name,
        "lastHeartbeat": kept.at.to_contract(),
        "status": status(row),
        "isReady": row.ready,
        "allocatedCPU": kept.allocated_cpu_millis.map(cores),
        "allocatedMemory": kept.allocated_memory_mb,
        "allocatedStorage": kept.allocated_storage_gb,
        "currentPods": kept.current_pods,
    })
}

/// One join token at `now`; never the token itself.
pub fn token(row: &JoinTokenRow, now: Timestamp) -> Value {
    let status = match row {
        JoinTokenRow { used_at: Some(_), .. } => "USED",
        JoinTokenRow { revoked_at: Some(_), .. } => "REVOKED",
        row if now >= row.expires_at => "EXPIRED",
        _ => "OPEN",
    };
    json!({
        "id": row.id,
        "label": row.label,
        "status": status,
        "expiresAt": row.expires_at.to_contract(),
        "node": row.node,
        "usedAt": instant(row.used_at),
        "revokedAt": instant(row.revoked_at),
        "createdAt": row.created_at.to_contract(),
    })
}

/// How a node stands, in the contract's words.
fn status(row: &NodeRow) -> &'static str {
    match row {
        NodeRow { lost: true, .. } => "INACTIVE",
        NodeRow { ready: false, .. } => "NOT_READY",
        NodeRow { schedulable: false, .. } => "MAINTENANCE",
        _ => "ACTIVE",
    }
}

/// Thousandths of a core as the number of cores.
fn cores(millis: i64) -> f64 {
    f64::from(i32::try_from(millis).unwrap_or(i32::MAX)) / 1000.0
}
