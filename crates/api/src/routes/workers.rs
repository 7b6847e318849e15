//! Nodes that join by themselves: with a token, then with signs of life under their own key.

pub mod heartbeat;
pub mod list;
pub mod register;
pub mod remove;

use actix_web::{
    HttpRequest,
    web::{ServiceConfig, delete, get, patch, post, put, resource},
};
use minispod_kernel::Timestamp;
use minispod_projections::nodes::NodeRow;
use minispod_store::NodeHeartbeat;
use serde_json::{Value, json};

use crate::{caller::bearer, error::ApiError};

/// The read model that shows nodes.
pub(super) const SHOWN_BY: &[&str] = &["nodes"];

/// Paths under `/workers`. Fixed segments stand before `{name}`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/workers").route(get().to(list::handle)))
        .service(resource("/workers/register").route(post().to(register::handle)))
        .service(resource("/workers/{name}").route(delete().to(remove::handle)))
        .service(
            resource("/workers/{name}/heartbeat")
                .route(put().to(heartbeat::handle))
                .route(patch().to(heartbeat::handle)),
        );
}

/// What a machine shows as its bearer.
fn shown(request: &HttpRequest) -> Result<String, ApiError> {
    bearer(request).map_err(|_| unknown())
}

/// Whoever shows a wrong token learns nothing about nodes or tokens.
fn unknown() -> ApiError {
    ApiError::unauthenticated("Unknown or expired token")
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

/// A node with its last sign of life.
fn view(row: &NodeRow, beat: Option<&NodeHeartbeat>) -> Value {
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
        "lastDrained": row.last_drained.map(Timestamp::to_contract),
        "createdAt": row.created_at.to_contract(),
        "updatedAt": row.updated_at.to_contract(),
    })
}

/// Thousandths of a core as the number of cores.
fn cores(millis: i64) -> f64 {
    f64::from(i32::try_from(millis).unwrap_or(i32::MAX)) / 1000.0
}
