//! `GET /services`: every plan that is sold, by display name; needs no token.

use std::collections::BTreeMap;

use actix_web::web;
use minispod_auth::Action;
use minispod_projections::{catalogue, subscriptions};
use serde_json::Value;

use crate::{
    answer::{Answer, Result},
    refusals::read_failed,
    state::AppState,
    views,
    visitor::Visitor,
};

pub async fn handle(state: web::Data<AppState>, visitor: Visitor) -> Result {
    let plans = catalogue::active(state.pool()).await.map_err(read_failed)?;
    let services: Vec<Value> = if visitor.may(Action::ReadCatalogue) {
        let ids: Vec<String> = plans.iter().map(|plan| plan.id.clone()).collect();
        let counts: BTreeMap<String, i64> =
            subscriptions::count_by_plan(state.pool(), &ids).await.map_err(read_failed)?.into_iter().collect();
        plans.iter().map(|plan| views::plans::counted(plan, counts.get(&plan.id).copied().unwrap_or(0))).collect()
    } else {
        plans.iter().map(views::plans::brief).collect()
    };
    Ok(Answer::ok("Services retrieved successfully", services.into()))
}
