//! `GET /billing/topup/:id`: how one top-up stands.

use actix_web::web;
use minispod_projections::billing;

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    input::path::billing_id,
    refusals::read_failed,
    refused_access::Kind,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    let id = billing_id(&id)?;
    let topup = billing::topup(state.pool(), id, Some(&caller.user.id)).await.map_err(read_failed)?;
    let topup = topup.ok_or_else(|| ApiError::not_found("Top-up transaction").sought(&[Kind::TopUp], id))?;
    Ok(Answer::ok("Top-up status retrieved successfully", views::money::topup(&topup)))
}
