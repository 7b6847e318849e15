//! `POST /billing/topup/:id/cancel`: a top-up that is not to be paid any more. A payment that was faster still counts.

use actix_web::web;
use minispod_domain::{AnyCommand, TopUpCommand};

use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    input::{RequestBody, path::billing_id},
    orders::Order,
    routes::transactions::pay::topup_of,
    state::AppState,
};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    let topup_id = topup_of(&state, billing_id(&id)?, &caller.user.id).await?;
    let body = body.form().await?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let command = AnyCommand::TopUp(TopUpCommand::Withdraw);
    let done = state.dispatcher.dispatch_as(&topup_id, command, context).await?;
    let order = Order::load(&state, &topup_id).await?;
    let shown = call.shown(&state, &["billing"], done.ins_seq).await;
    Ok(Answer::ok("Top-up cancelled successfully", order.without_page())
        .at_version(order.version)
        .replayed(done.replayed)
        .shown(shown))
}
