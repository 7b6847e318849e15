//! `POST /admin/workers/sync`: looks at the nodes anew. Every look is one, so there is nothing to bring up to date.

use actix_web::web;
use minispod_auth::Action;
use serde_json::json;

use super::view;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    fleet::{fleet, fleet_failed},
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    caller.may(Action::ManageNodes)?;
    let fleet = fleet(&state)?;
    let nodes = fleet.nodes().await.map_err(fleet_failed)?;
    let data = json!({
        "success": true,
        "stats": {
            "totalLiveNodes": nodes.len(),
            "syncedNodes": nodes.len(),
            "timestamp": state.clock.now().to_contract(),
        },
        "nodes": nodes.iter().map(|node| view(&state, node)).collect::<Vec<_>>(),
        "simulated": fleet.is_simulated(),
    });
    Ok(Answer::ok("Workers synchronised successfully", data))
}
