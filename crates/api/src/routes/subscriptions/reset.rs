//! `POST /subscriptions/:id/reset-pod`: wipes the service's data and starts it anew; settings and credentials stay.

use actix_web::web;
use minispod_domain::{AnyCommand, InstanceCommand};
use minispod_projections::{catalogue, subscriptions::SubscriptionStatus};
use serde_json::json;

use super::{SHOWN_BY, owned};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::RequestBody,
    placed::Placed,
    refusals::read_failed,
    routes::admin::pods::from_log,
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
    let subscription = owned(&state, &id, &caller).await?.row;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    // A courtesy: the instance itself is locked while nobody pays for it.
    let stands = Placed::load(&state, &id).await?.status();
    if stands != SubscriptionStatus::Active && !call.is_repeat(&state, &context).await? {
        return Err(ApiError::conflict("Only the service of an active subscription can be reset"));
    }
    let (before, _) = from_log(&state, &subscription.instance_id).await?;
    let command = AnyCommand::Instance(InstanceCommand::Reset);
    let done = state.dispatcher.dispatch_as(&subscription.instance_id, command, context).await?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    let at = done.events.first().map_or_else(|| state.clock.now(), |(_, event)| event.occurred_at());
    let (after, _) = from_log(&state, &subscription.instance_id).await?;
    let plan = catalogue::find(state.pool(), &subscription.plan_id).await.map_err(read_failed)?;
    let mut data = views::pods::reset(&before, &after, at);
    data["subscription"] = json!({
        "id": subscription.id,
        "status": stands.as_str(),
        "service": plan.as_ref().map(views::plans::full),
    });
    Ok(Answer::ok("Pod reset started successfully", data).replayed(done.replayed).shown(shown))
}
