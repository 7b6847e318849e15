//! `GET /services/grouped`: the catalogue, one entry per offering; needs no token.

use actix_web::{HttpRequest, web};
use minispod_projections::catalogue;
use serde_json::json;

use crate::{
    answer::{Answer, Result},
    input::Query,
    refusals::read_failed,
    state::AppState,
    views,
};

const SEARCH_MAX: usize = 100;
const CATEGORY_MAX: usize = 50;

pub async fn handle(state: web::Data<AppState>, request: HttpRequest) -> Result {
    let mut query = Query::of(&request);
    let search = query.text("search", SEARCH_MAX);
    let category = query.text("category", CATEGORY_MAX);
    query.finish()?;
    let offerings =
        catalogue::grouped(state.pool(), search.as_deref(), category.as_deref()).await.map_err(read_failed)?;
    let services: Vec<_> = offerings.iter().filter_map(views::plans::offering).collect();
    let total = services.len();
    Ok(Answer::ok("Services retrieved successfully", json!({ "services": services, "total": total })))
}
