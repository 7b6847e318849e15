//! `POST /admin/subscriptions/:id/stop`: stops the service; the subscription and its slot stay.

use actix_web::web;
use minispod_domain::InstanceCommand;

use super::power;
use crate::{answer::Result, call::Call, caller::Caller, input::RequestBody, state::AppState};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    let message = "The service is being stopped";
    power::ask(InstanceCommand::Stop, message, (&state, &caller, &call), &id, body).await
}
