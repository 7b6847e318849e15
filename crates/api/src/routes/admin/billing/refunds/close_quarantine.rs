//! `POST /admin/billing/topups/:id/close-quarantine`: a person has looked, and nothing is left to do about it.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::{AnyCommand, RefundCommand, TopUpCommand};
use minispod_kernel::Sensitive;
use minispod_projections::billing;

use super::{SHOWN_BY, only_reason};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{RequestBody, path::existing_id},
    refusals::read_failed,
    state::AppState,
    views,
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
    let id = existing_id(&id, "Top-up")?;
    let none = || ApiError::not_found("Top-up");
    billing::topup(state.pool(), id, None).await.map_err(read_failed)?.ok_or_else(none)?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let close = RefundCommand::CloseQuarantine { by: caller.user.id.clone(), reason: Sensitive::Open(reason) };
    let done = state.dispatcher.dispatch_as(id, AnyCommand::TopUp(TopUpCommand::Desk(close)), context).await?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    let view = billing::topup(state.pool(), id, None).await.map_err(read_failed)?.ok_or_else(none)?;
    Ok(Answer::ok("Quarantine closed successfully", views::money::topup_row(&view))
        .at_version(done.version)
        .replayed(done.replayed)
        .shown(shown))
}
