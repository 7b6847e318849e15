//! `POST /subscriptions/:id/restart-pod`: restarts the service; its data stays.

use actix_web::web;
use minispod_domain::{AnyCommand, InstanceCommand};
use minispod_projections::subscriptions::SubscriptionStatus;
use serde_json::json;

use super::{SHOWN_BY, owned};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::RequestBody,
    placed::Placed,
    state::AppState,
};

const DONE: &str = "The service is restarting";

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    let body = body.form().await?;
    let instance_id = owned(&state, &id, &caller).await?.row.instance_id;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    // A courtesy: the instance itself is locked while nobody pays for it.
    let stands = Placed::load(&state, &id).await?.status();
    if stands != SubscriptionStatus::Active && !call.is_repeat(&state, &context).await? {
        return Err(ApiError::conflict("Only the service of an active subscription can be restarted"));
    }
    let command = AnyCommand::Instance(InstanceCommand::Restart);
    let done = state.dispatcher.dispatch_as(&instance_id, command, context).await?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    // Who asks while it is starting has what he asked for.
    let at = done.events.first().map_or_else(|| state.clock.now(), |(_, event)| event.occurred_at());
    let data = json!({
        "subscriptionId": *id,
        "podId": instance_id,
        "message": DONE,
        "restartedAt": at.to_contract(),
    });
    Ok(Answer::ok(DONE, data).replayed(done.replayed).shown(shown))
}
