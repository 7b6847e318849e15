//! `GET /services/:name`: the variant that stands for an offering; needs no token.

use actix_web::web;
use minispod_auth::Action;
use minispod_kernel::ids::is_aggregate_id;
use minispod_projections::{catalogue, subscriptions};

use super::not_found;
use crate::{
    answer::{Answer, Result},
    refusals::read_failed,
    state::AppState,
    views,
    visitor::Visitor,
};

pub async fn handle(state: web::Data<AppState>, visitor: Visitor, name: web::Path<String>) -> Result {
    if !is_aggregate_id(&name) {
        return Err(not_found());
    }
    let plan = catalogue::find_by_offering(state.pool(), &name).await.map_err(read_failed)?;
    let plan = plan.ok_or_else(not_found)?;
    let data = if visitor.may(Action::ReadCatalogue) {
        let counts = subscriptions::count_by_plan(state.pool(), std::slice::from_ref(&plan.id)).await;
        let count = counts.map_err(read_failed)?.first().map_or(0, |(_, count)| *count);
        views::plans::counted(&plan, count)
    } else {
        views::plans::public(&plan)
    };
    Ok(Answer::ok("Service retrieved successfully", data))
}
