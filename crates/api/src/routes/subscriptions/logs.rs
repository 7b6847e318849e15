//! `GET /subscriptions/:id/logs`: what one's own service printed last.

use actix_web::{HttpRequest, web};
use serde_json::json;

use super::deployed;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    fleet::{fleet, log_of, log_wish},
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>, request: HttpRequest) -> Result {
    let wish = log_wish(&request)?;
    let instance = deployed(&state, &id, &caller).await?;
    let fleet = fleet(&state)?;
    let (pod, text) = log_of(fleet, &instance, &wish).await?;
    let data = json!({
        "logs": text,
        "podName": pod,
        "timestamp": state.clock.now().to_contract(),
        "simulated": fleet.is_simulated(),
    });
    Ok(Answer::ok("Logs retrieved successfully", data))
}
