//! `GET /subscriptions/:id/upgrade-options`: the other plans of its service, cheapest first; customers see dearer ones.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::Direction;
use minispod_projections::catalogue;
use serde_json::{Value, json};

use super::{prorated, within_reach};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    refusals::read_failed,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    let subscription = within_reach(&state, &caller, &id).await?;
    let row = &subscription.row;
    let sees_all = caller.may(Action::ManageSubscriptions).is_ok();
    let mut plans = catalogue::variants(state.pool(), &row.offering).await.map_err(read_failed)?;
    plans.retain(|plan| plan.id != row.plan_id);
    plans.sort_by_key(|plan| plan.monthly_price);
    let options = plans.iter().filter_map(|plan| {
        let proration = prorated(&state, row, plan)?;
        let shown = sees_all || proration.direction() == Direction::Upgrade;
        shown.then(|| views::plan_changes::option(plan, &proration))
    });
    let data = json!({
        "currentService": views::plan_changes::current_service(row, subscription.plan.as_ref()),
        "availableOptions": options.collect::<Value>(),
    });
    Ok(Answer::ok("Upgrade options retrieved successfully", data))
}
