//! `GET /subscriptions/stats`: the caller's subscriptions in numbers, and what was paid for them.

use actix_web::web;
use minispod_projections::{
    billing::{self, TransactionFilter},
    subscriptions,
};
use serde_json::json;

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    refusals::read_failed,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    let counts = subscriptions::counts_of_user(state.pool(), &caller.user.id).await.map_err(read_failed)?;
    let filter = TransactionFilter { user_id: Some(caller.user.id.clone()), ..TransactionFilter::default() };
    let totals = billing::totals(state.pool(), &filter).await.map_err(read_failed)?;
    let data = json!({
        "active": counts.active,
        "expired": counts.expired,
        "cancelled": counts.cancelled,
        "pendingDeployment": counts.pending_deployment,
        "suspended": counts.suspended,
        "total": counts.total,
        // What was paid and not given back; list prices say nothing of it.
        "totalRevenue": totals.earned().amount(),
    });
    Ok(Answer::ok("Subscription statistics retrieved successfully", data))
}
