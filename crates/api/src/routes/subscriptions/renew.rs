//! `PUT /subscriptions/:id/renew`: pays the next period from the wallet now; what has expired takes a slot first.

use actix_web::web;
use minispod_domain::{AnyCommand, SubscriptionCommand};
use minispod_events::{Event, Fact, SubscriptionEvent};
use minispod_runtime::Dispatched;

use super::{SHOWN_BY, owned, refusal_of};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
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
    let started = joined(&state, started).await?;
    let (version, replayed) = (started.version, started.replayed);
    let driven = state.dispatcher.drive(started, &call.cause(caller.actor())).await?;
    let shown = call.shown(&state, SHOWN_BY, driven.ins_seq).await;
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

/// Who asks while a renewal is under way asks for the same one. It is carried on to its end here too, under the same
/// derived keys, because the answer is its outcome: nobody is told "renewed" before it is paid.
async fn joined(state: &AppState, mut started: Dispatched) -> std::result::Result<Dispatched, ApiError> {
    if !started.events.is_empty() {
        return Ok(started);
    }
    for recorded in state.store.log().history("subscription", &started.aggregate_id).await? {
        if recorded.sequence > started.version {
            break;
        }
        let event_id = recorded.metadata.event_id.clone();
        let fact = Fact::read(recorded).map_err(ApiError::internal)?;
        if let Event::Subscription(
            SubscriptionEvent::SubscriptionRenewalStarted { .. }
            | SubscriptionEvent::SubscriptionResumeStarted { renews: true, .. },
        ) = &fact.event
        {
            started.events = vec![(event_id, fact.event)];
        }
    }
    Ok(started)
}
