//! `GET /subscriptions/:id/events`: what happened to one's own service in the cluster lately, in plain words.

use actix_web::web;
use serde_json::{Value, json};

use super::deployed;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    fleet::{events_of, fleet},
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    let instance = deployed(&state, &id, &caller).await?;
    let fleet = fleet(&state)?;
    let events = events_of(fleet, &instance).await?;
    let events: Vec<Value> = events.iter().map(views::events::for_owner).collect();
    let data = json!({ "events": events, "simulated": fleet.is_simulated() });
    Ok(Answer::ok("Events retrieved successfully", data))
}
