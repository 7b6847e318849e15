//! The cluster's nodes, for administrators; asked of the cluster at every call, and nothing of them is kept.

pub mod cordon;
pub mod drain;
pub mod join_tokens;
pub mod list;
pub mod offline;
pub mod online;
pub mod out_of_service;
pub mod read;
pub mod stats;
pub mod sync;
pub mod uncordon;

use actix_web::{
    http::StatusCode,
    web::{ServiceConfig, get, post, resource},
};
use minispod_auth::Action;
use minispod_domain::ports::fleet::NodeSeen;
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    fleet::{fleet, fleet_failed},
    state::AppState,
    views,
};

/// Paths under `/admin/workers`. Fixed segments stand before `{nodeId}`.
pub fn configure(app: &mut ServiceConfig) {
    join_tokens::configure(app);
    app.service(resource("/admin/workers").route(get().to(list::handle)))
        .service(resource("/admin/workers/stats").route(get().to(stats::handle)))
        .service(resource("/admin/workers/online").route(get().to(online::handle)))
        .service(resource("/admin/workers/offline").route(get().to(offline::handle)))
        .service(resource("/admin/workers/sync").route(post().to(sync::handle)))
        .service(resource("/admin/workers/{nodeId}").route(get().to(read::handle)))
        .service(resource("/admin/workers/{nodeId}/cordon").route(post().to(cordon::handle)))
        .service(resource("/admin/workers/{nodeId}/uncordon").route(post().to(uncordon::handle)))
        .service(resource("/admin/workers/{nodeId}/out-of-service").route(post().to(out_of_service::handle)))
        .service(resource("/admin/workers/{nodeId}/drain").route(post().to(drain::handle)));
}

pub fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "WORKER_NODE_NOT_FOUND", "Worker node not found")
}

/// A node's name; what none can have is not found like any other that none has.
pub fn node_name(id: &str) -> std::result::Result<&str, ApiError> {
    if is_node_name(id) { Ok(id) } else { Err(not_found()) }
}

/// Whether a node may be called so: a DNS name in lower case.
pub fn is_node_name(name: &str) -> bool {
    let letters = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte));
    (1..=253).contains(&name.len()) && letters && !name.starts_with(['.', '-'])
}

/// The nodes that `is_wanted`, as the contract counts them.
async fn some(
    state: &AppState,
    caller: &Caller,
    message: &'static str,
    is_wanted: impl Fn(&NodeSeen) -> bool,
) -> Result {
    caller.may(Action::ReadNodes)?;
    let fleet = fleet(state)?;
    let nodes = fleet.nodes().await.map_err(fleet_failed)?;
    let nodes: Vec<Value> = nodes.iter().filter(|node| is_wanted(node)).map(|node| view(state, node)).collect();
    Ok(Answer::ok(message, json!({ "count": nodes.len(), "nodes": nodes, "simulated": fleet.is_simulated() })))
}

/// A node as it looks now.
fn view(state: &AppState, node: &NodeSeen) -> Value {
    views::nodes::full(node, state.clock.now())
}

/// Opens or closes a node.
async fn set_schedulable(
    state: &AppState,
    caller: &Caller,
    id: &str,
    schedulable: bool,
    message: &'static str,
) -> Result {
    caller.may(Action::ManageNodes)?;
    let name = node_name(id)?;
    let node = fleet(state)?.set_schedulable(name, schedulable).await.map_err(fleet_failed)?;
    let node = node.ok_or_else(not_found)?;
    tracing::info!(administrator = caller.user.id, node = name, schedulable, "a node was opened or closed");
    Ok(Answer::ok(message, view(state, &node)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_name_is_a_dns_name() {
        for good in ["worker-1", "10.0.0.1", "ip-10-0-0-1.eu.compute.internal"] {
            assert!(is_node_name(good), "{good}");
        }
        for bad in ["", "A", "a b", "a,b", "a=b", "-a", "../x", &"a".repeat(254)] {
            assert!(!is_node_name(bad), "{bad}");
        }
    }
}
