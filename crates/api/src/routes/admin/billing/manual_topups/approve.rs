//! `POST /admin/billing/manual-topups/:id/approve`: the money is there; a large sum needs two administrators.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::ManualTopUpCommand;

use super::decide;
use crate::{
    answer::Result, call::Call, caller::Caller, input::RequestBody, routes::manual_topups::read::existing,
    state::AppState,
};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    caller.may(Action::ManageBilling)?;
    let body = body.form().await?;
    existing(&state, &id, None).await?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let approval_above = state.config.approval_above;
    let command = ManualTopUpCommand::Approve { by: caller.user.id.clone(), approval_above };
    decide(&state, &caller, &call, context, &id, command).await
}
