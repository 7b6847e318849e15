//! `POST /billing/manual-topups/:id/withdraw`: the customer takes a request back before anybody decided.

use actix_web::web;
use minispod_domain::{AnyCommand, ManualTopUpCommand};

use super::{SHOWN_BY, read::existing, show};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    input::RequestBody,
    state::AppState,
};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    existing(&state, &id, Some(&caller.user.id)).await?;
    let body = body.form().await?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let command = AnyCommand::ManualTopUp(ManualTopUpCommand::Withdraw);
    let done = state.dispatcher.dispatch_as(&id, command, context).await?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    let row = existing(&state, &id, Some(&caller.user.id)).await?;
    Ok(Answer::ok("Manual top-up withdrawn successfully", show(&row))
        .at_version(done.version)
        .replayed(done.replayed)
        .shown(shown))
}
