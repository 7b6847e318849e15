//! `GET /admin/workers/:nodeId`: one node.

use actix_web::web;
use minispod_auth::Action;

use super::{node_name, not_found, view};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    fleet::{fleet, fleet_failed},
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    caller.may(Action::ReadNodes)?;
    let name = node_name(&id)?;
    let nodes = fleet(&state)?.nodes().await.map_err(fleet_failed)?;
    let node = nodes.iter().find(|node| node.name == name).ok_or_else(not_found)?;
    Ok(Answer::ok("Worker retrieved successfully", view(&state, node)))
}
