//! `GET /billing/transactions/:id`: one line of the caller's history.

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
    let line = billing::transaction(state.pool(), id, Some(&caller.user.id)).await.map_err(read_failed)?;
    let line = line.ok_or_else(|| ApiError::not_found("Transaction").sought(&[Kind::Transaction], id))?;
    let mut view = views::money::transaction(&line);
    view["user"] = views::people::mini(&caller.user);
    Ok(Answer::ok("Transaction retrieved successfully", view))
}
