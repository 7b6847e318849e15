//! `GET /services/categories`: the categories of what is sold; needs no token.

use actix_web::web;
use minispod_projections::catalogue;

use crate::{
    answer::{Answer, Result},
    refusals::read_failed,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>) -> Result {
    let categories = catalogue::categories(state.pool()).await.map_err(read_failed)?;
    Ok(Answer::ok("Categories retrieved successfully", categories.into()))
}
