//! `POST /admin/billing/refunds/:refundKey/approve`: the second administrator's yes.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::RefundCommand;

use super::{decide, existing};
use crate::{answer::Result, call::Call, caller::Caller, input::RequestBody, state::AppState};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    key: web::Path<String>,
    body: RequestBody,
) -> Result {
    caller.may(Action::ManageBilling)?;
    let body = body.form().await?;
    let row = existing(&state, &key).await?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let command = RefundCommand::Approve { refund_key: row.id.clone(), by: caller.user.id.clone() };
    decide(&state, &caller, &call, context, &row, command).await
}
