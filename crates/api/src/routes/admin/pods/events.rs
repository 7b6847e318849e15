//! `GET /admin/pods/:id/events`: what the cluster says happened to an instance lately, the newest first.

use actix_web::web;
use minispod_auth::Action;
use serde_json::{Value, json};

use super::existing;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    fleet::{events_of, fleet},
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    caller.may(Action::ReadInstances)?;
    let owned = existing(&state, &id).await?;
    let fleet = fleet(&state)?;
    let events = events_of(fleet, &owned.instance.row).await?;
    let events: Vec<Value> = events.iter().map(views::events::full).collect();
    let data = json!({
        "events": events,
        "podName": views::pods::name(&owned.instance.row),
        "owner": owned.owner_view(),
        "simulated": fleet.is_simulated(),
    });
    Ok(Answer::ok("Pod events retrieved successfully", data))
}
