//! `GET /admin/pods/:id/logs`: what an instance's program printed, asked of the cluster itself.

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use serde_json::json;

use super::existing;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    fleet::{fleet, log_of, log_wish},
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>, request: HttpRequest) -> Result {
    caller.may(Action::ReadInstances)?;
    let wish = log_wish(&request)?;
    let owned = existing(&state, &id).await?;
    let fleet = fleet(&state)?;
    let row = &owned.instance.row;
    let (pod, text) = log_of(fleet, row, &wish).await?;
    let data = json!({
        "logs": text,
        "podName": pod,
        "timestamp": state.clock.now().to_contract(),
        "owner": owned.owner_view(),
        "service": { "name": row.offering, "displayName": row.display_name },
        "simulated": fleet.is_simulated(),
    });
    Ok(Answer::ok("Pod logs retrieved successfully", data))
}
