//! `GET /admin/workers/stats`: the nodes in numbers.

use actix_web::web;
use minispod_auth::Action;
use serde_json::Value;

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    fleet::{fleet, fleet_failed},
    room,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    caller.may(Action::ReadNodes)?;
    let fleet = fleet(&state)?;
    let nodes = fleet.nodes().await.map_err(fleet_failed)?;
    let mut data: Value = views::nodes::numbers(&nodes, state.clock.now());
    let capacity = room::capacity(&state).await?;
    data["resources"]["selling"] = views::nodes::selling(capacity.as_ref(), state.config.sell_percent, &nodes);
    data["simulated"] = fleet.is_simulated().into();
    Ok(Answer::ok("Worker statistics retrieved successfully", data))
}
