//! `GET /services/:name/variants`: what an offering is sold as; needs no token.

use actix_web::web;
use minispod_auth::Action;
use minispod_kernel::ids::is_aggregate_id;
use minispod_projections::catalogue::{self, Offering};

use super::not_found;
use crate::{
    answer::{Answer, Result},
    refusals::read_failed,
    state::AppState,
    views,
    visitor::Visitor,
};

pub async fn handle(state: web::Data<AppState>, visitor: Visitor, name: web::Path<String>) -> Result {
    let name = name.into_inner();
    if !is_aggregate_id(&name) {
        return Err(not_found());
    }
    let variants = catalogue::variants(state.pool(), &name).await.map_err(read_failed)?;
    let offering = Offering { name, variants };
    let data = views::plans::variants(&offering, visitor.may(Action::ReadCatalogue)).ok_or_else(not_found)?;
    Ok(Answer::ok("Service variants retrieved successfully", data))
}
