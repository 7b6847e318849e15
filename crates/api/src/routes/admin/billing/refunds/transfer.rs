//! `POST /admin/billing/refunds/:refundKey/transfer`: what became of a refund that people transfer.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::RefundCommand;
use serde_json::Value;

use super::{decide, existing};
use crate::{
    answer::Result,
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown, reason::read_reason},
    state::AppState,
};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    key: web::Path<String>,
    body: RequestBody,
) -> Result {
    caller.may(Action::ManageBilling)?;
    let body = body.form().await?;
    let made = read(&body.value)?;
    let row = existing(&state, &key).await?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let command = RefundCommand::RecordTransfer { refund_key: row.id.clone(), made };
    decide(&state, &caller, &call, context, &row, command).await
}

/// Whether it was made. A reason, when there is one, is kept with the event.
fn read(body: &Value) -> std::result::Result<bool, ApiError> {
    let mut fields = Fields::of(body)?;
    let made = fields.optional_flag("made", "Made");
    if made.is_none() && !fields.is_faulty("made") {
        fields.fault("made", "Made is required");
    }
    read_reason(&mut fields, "");
    fields.finish(Unknown::Refused)?;
    Ok(made.unwrap_or_default())
}
