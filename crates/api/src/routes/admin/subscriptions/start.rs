//! `POST /admin/subscriptions/:id/start`: lets the service of an active subscription run.

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
    let message = "The service is being started";
    power::ask(InstanceCommand::Start, message, (&state, &caller, &call), &id, body).await
}
