//! `PUT /subscriptions/:id/renew`: pays the next period from the wallet now.

use actix_web::web;
use minispod_domain::{AnyCommand, SubscriptionCommand};

use super::{SHOWN_BY, owned, refusal_of};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    input::{Fields, RequestBody, Unknown},
    placed::Placed,
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
    let body = body.form().await?;
    let mut fields = Fields::of(&body.value)?;
    fields.optional_text("billingCycle", "Billing cycle");
    fields.optional_flag("autoRenew", "Auto-renew");
    fields.finish(Unknown::Ignored)?;
    let before = owned(&state, &id, &caller).await?;
    let command = AnyCommand::Subscription(SubscriptionCommand::StartRenewal);
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let started = state.dispatcher.dispatch_as(&id, command, context).await?;
    let (version, replayed) = (started.version, started.replayed);
    let driven = state.dispatcher.drive(started, &call.cause(caller.actor())).await?;
    let shown = state.read_models.show(SHOWN_BY, driven.ins_seq).await;
    if let Some((_, refused)) = driven.refusals.first() {
        return Err(refusal_of(&state, &caller, refused, before.row.price, true).await);
    }
    // The log is read last, so that it is never the older one.
    let after = owned(&state, &id, &caller).await?;
    let placed = Placed::load(&state, &id).await?;
    if let Some(refused) = placed.renewal_refusal(version).filter(|_| replayed) {
        return Err(refusal_of(&state, &caller, &refused, before.row.price, true).await);
    }
    let after = placed.over(after);
    Ok(Answer::ok("Subscription renewed successfully", views::subscriptions::with_service(&after, &caller.user))
        .at_version(placed.version())
        .replayed(replayed)
        .shown(shown))
}
