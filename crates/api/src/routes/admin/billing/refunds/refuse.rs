//! `POST /admin/billing/refunds/:refundKey/refuse`: no, with a reason; the reserved money goes back into the wallet.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::RefundCommand;
use minispod_kernel::Sensitive;

use super::{decide, existing, only_reason};
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
    let reason = only_reason(&body.value, call.reason())?;
    let row = existing(&state, &key).await?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let (refund_key, by) = (row.id.clone(), caller.user.id.clone());
    let command = RefundCommand::Decline { refund_key, by, reason: Sensitive::Open(reason) };
    decide(&state, &caller, &call, context, &row, command).await
}
