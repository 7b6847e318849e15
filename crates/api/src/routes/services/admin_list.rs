//! `GET /services/admin`: all plans, newest first.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_projections::{
    catalogue::{self, PlanFilter},
    subscriptions,
};
use serde_json::json;

use super::SEARCH_MAX;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    refusals::read_failed,
    state::AppState,
    views,
};

/// The client sends no page and has no pager, so the first page is all it shows.
const DEFAULT_LIMIT: u32 = 50;

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    caller.may(Action::ReadCatalogue)?;
    let mut query = Query::of(&request);
    let page = query.page(DEFAULT_LIMIT);
    let filter =
        PlanFilter { is_active: query.flag("isActive"), search: query.text("search", SEARCH_MAX), category: None };
    query.finish()?;
    let page = catalogue::page(state.pool(), &filter, page).await.map_err(read_failed)?;
    let ids: Vec<String> = page.rows.iter().map(|plan| plan.id.clone()).collect();
    let counts: BTreeMap<String, i64> =
        subscriptions::count_by_plan(state.pool(), &ids).await.map_err(read_failed)?.into_iter().collect();
    let count = |id: &String| counts.get(id).copied().unwrap_or(0);
    let data = json!({
        "services": page.rows.iter().map(|plan| views::plans::counted(plan, count(&plan.id))).collect::<Vec<_>>(),
        "pagination": views::counted_pages(&page),
    });
    Ok(Answer::ok("Services retrieved successfully", data))
}
