//! `POST /billing/transactions/:id/pay`: where to pay a top-up that is not paid yet; a new attempt when the last one ended.

use actix_web::web;
use minispod_domain::{AnyCommand, TopUpCommand};
use minispod_projections::billing;

use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{RequestBody, path::billing_id},
    orders::Order,
    refusals::read_failed,
    refused_access::Kind,
    state::AppState,
};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    let id = billing_id(&id)?;
    let body = body.form().await?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    if !call.is_repeat(&state, &context).await? {
        state.limits.payments.check(&caller.user.id)?;
    }
    let topup_id = topup_of(&state, id, &caller.user.id).await?;
    let command = AnyCommand::TopUp(TopUpCommand::StartAttempt {
        expires_at: state.clock.now().plus(state.config.topup_lifetime),
    });
    let started = state.dispatcher.dispatch_as(&topup_id, command, context).await?;
    let mut payable = Order::load(&state, &topup_id).await?.with_page(&state).await?;
    let after = Order::load(&state, &topup_id).await?;
    payable["message"] = "Payment page ready".into();
    let shown = call.shown(&state, &["billing"], started.ins_seq).await;
    Ok(Answer::ok("Payment initiated successfully", payable)
        .at_version(after.version)
        .replayed(started.replayed)
        .shown(shown))
}

/// The caller's top-up that `id` names: by its line of the history, or by its own id, which `POST /billing/topup` gives as
/// `transactionId`.
pub async fn topup_of(state: &AppState, id: &str, owner: &str) -> std::result::Result<String, ApiError> {
    let line = billing::transaction(state.pool(), id, Some(owner)).await.map_err(read_failed)?;
    if let Some(topup_id) = line.and_then(|line| line.row.topup_id) {
        return Ok(topup_id);
    }
    let topup = billing::topup(state.pool(), id, Some(owner)).await.map_err(read_failed)?;
    let none = || ApiError::not_found("Pending top-up").sought(&[Kind::TopUp, Kind::Transaction], id);
    topup.map(|topup| topup.row.id).ok_or_else(none)
}
