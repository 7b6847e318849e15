//! `GET /subscriptions/eligibility/:serviceId`: whether the caller could subscribe now, with every reason against it.

use actix_web::web;
use minispod_projections::catalogue;
use serde_json::json;

use super::{NO_BALANCE, SOLD_OUT, create::weigh};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    input::path::existing_id,
    refusals::read_failed,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, service_id: web::Path<String>) -> Result {
    let service_id = existing_id(&service_id, "Service")?;
    let plan = catalogue::find(state.pool(), service_id).await.map_err(read_failed)?;
    let plan = plan.filter(|plan| plan.is_active).ok_or_else(|| ApiError::not_found("Service"))?;
    let found = weigh(&state, &caller, &plan, plan.monthly_price).await?;
    let data = json!({
        "eligible": found.reasons.is_empty(),
        "service": {
            "id": plan.id,
            "displayName": plan.details.display_name,
            "monthlyPrice": plan.monthly_price.to_string(),
            "availableQuota": plan.available(),
        },
        "balance": {
            "current": found.balance.to_string(),
            "required": found.price.amount(),
            "sufficient": !found.reasons.contains(&NO_BALANCE),
        },
        "quota": { "available": plan.available(), "sufficient": !found.reasons.contains(&SOLD_OUT) },
        "existingSubscription": found.existing,
        "reasons": found.reasons,
    });
    Ok(Answer::ok("Eligibility checked successfully", data))
}
