//! `PATCH /services/:id/toggle-status`: sells a plan or stops selling it.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::{AnyCommand, PlanCommand};
use serde_json::json;

use super::{Written, existing, refusal, settle};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    input::{RequestBody, reason::reason},
    state::AppState,
};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    caller.may(Action::ManageCatalogue)?;
    let body = body.form().await?;
    reason(&body.value, "")?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let before = existing(&state, &id, call.is_repeat(&state, &context).await?).await?;
    let command = AnyCommand::Plan(PlanCommand::Toggle);
    let done = state.dispatcher.dispatch_as(&id, command, context).await.map_err(refusal)?;
    let (version, replayed) = (done.version, done.replayed);
    let Written { plan, shown } = settle(&state, &call, caller.actor(), Some(before), done).await?;
    let data = json!({
        "id": plan.id,
        "name": plan.details.offering,
        "displayName": plan.details.display_name,
        "isActive": plan.is_active,
        "updatedAt": plan.updated_at.to_contract(),
    });
    Ok(Answer::ok("Service status updated successfully", data).at_version(version).replayed(replayed).shown(shown))
}
