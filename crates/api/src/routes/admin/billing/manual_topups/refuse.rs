//! `POST /admin/billing/manual-topups/:id/refuse`: no such money, with a reason that the customer sees.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::ManualTopUpCommand;
use minispod_kernel::Sensitive;

use super::decide;
use crate::{
    answer::Result,
    call::Call,
    caller::Caller,
    input::RequestBody,
    routes::{admin::billing::refunds::only_reason, manual_topups::read::existing},
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
    let reason = only_reason(&body.value, call.reason())?;
    existing(&state, &id, None).await?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let command = ManualTopUpCommand::Refuse { by: caller.user.id.clone(), reason: Sensitive::Open(reason) };
    decide(&state, &caller, &call, context, &id, command).await
}
