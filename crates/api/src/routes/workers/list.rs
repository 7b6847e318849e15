//! `GET /workers`: the nodes that facts know, with their last signs of life.

use actix_web::web;
use minispod_auth::Action;
use minispod_projections::nodes;
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    refusals::read_failed,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    caller.may(Action::ReadNodes)?;
    let rows = nodes::all(state.pool()).await.map_err(read_failed)?;
    let beats = state.store.telemetry().heartbeats(None).await.map_err(read_failed)?;
    let beat = |name: &str| beats.iter().find(|beat| beat.name == name);
    let workers: Vec<Value> = rows.iter().map(|row| views::joined::full(row, beat(&row.name))).collect();
    Ok(Answer::ok("Worker nodes retrieved successfully", json!({ "count": workers.len(), "workers": workers })))
}
