//! `PUT /services/:id`: changes what was sent, all of it or nothing.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::{AnyCommand, PlanCommand, plan::PlanChange};
use minispod_projections::catalogue::PlanRow;
use serde_json::Value;

use super::{Written, existing, form, refusal, settle};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
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
    caller.may(Action::ManageCatalogue)?;
    let body = body.json().await?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let before = existing(&state, &id, call.is_repeat(&state, &context).await?).await?;
    let change = Box::new(read(&body.value, &before)?);
    let command = AnyCommand::Plan(PlanCommand::Edit { change });
    let done = state.dispatcher.dispatch_as(&id, command, context).await.map_err(refusal)?;
    let (version, replayed) = (done.version, done.replayed);
    let Written { plan, shown } = settle(&state, &call, caller.actor(), Some(before), done).await?;
    Ok(Answer::ok("Service updated successfully", views::plans::full(&plan))
        .at_version(version)
        .replayed(replayed)
        .shown(shown))
}

/// The change, judged as it would stand over `plan`; the domain judges it again over what is true by then.
fn read(body: &Value, plan: &PlanRow) -> std::result::Result<PlanChange, ApiError> {
    let mut fields = Fields::of(body)?;
    form::refuse_empty(&fields)?;
    let change = form::change(&mut fields);
    if change.offering.as_ref().is_some_and(|name| *name != plan.details.offering) {
        fields.fault("name", "name must stay as it was published");
    }
    let (price, capacity) =
        (change.monthly_price.unwrap_or(plan.monthly_price), change.capacity(plan.capacity, plan.used));
    form::judge(&mut fields, &change.over(&plan.details), price, capacity);
    fields.finish(Unknown::Refused)?;
    Ok(change)
}
