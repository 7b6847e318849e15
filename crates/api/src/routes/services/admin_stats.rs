//! `GET /services/admin/stats`: the catalogue in numbers.

use actix_web::web;
use minispod_auth::Action;
use minispod_projections::{
    catalogue::{self, PopularPlan},
    subscriptions,
};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    refusals::read_failed,
    state::AppState,
};

/// Plans named as the most popular.
const POPULAR: u32 = 5;

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    caller.may(Action::ReadCatalogue)?;
    let plans = catalogue::counts(state.pool()).await.map_err(read_failed)?;
    let sold = subscriptions::counts(state.pool()).await.map_err(read_failed)?;
    let popular = catalogue::popular(state.pool(), POPULAR).await.map_err(read_failed)?;
    let data = json!({
        "totalServices": plans.total,
        "activeServices": plans.active,
        "inactiveServices": plans.total - plans.active,
        "totalSubscriptions": sold.total,
        "activeSubscriptions": sold.active,
        "popularServices": popular.iter().map(named).collect::<Vec<_>>(),
    });
    Ok(Answer::ok("Service statistics retrieved successfully", data))
}

fn named(popular: &PopularPlan) -> Value {
    json!({
        "name": popular.plan.details.offering,
        "displayName": popular.plan.details.display_name,
        "_count": { "subscriptions": popular.subscriptions },
    })
}
