//! `GET /admin/billing/transactions/:id`: one line of anybody's history.

use std::iter::once;

use actix_web::web;
use minispod_auth::Action;
use minispod_projections::billing;

use super::{People, Refundable, line};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    input::path::billing_id,
    refusals::read_failed,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    caller.may(Action::ReadBilling)?;
    let found = billing::transaction(state.pool(), billing_id(&id)?, None).await.map_err(read_failed)?;
    let found = found.ok_or_else(|| ApiError::not_found("Transaction"))?;
    let people = People::of(&state, once(&found.row.user_id)).await?;
    let refundable = Refundable::among(&state, std::slice::from_ref(&found)).await?;
    Ok(Answer::ok("Transaction retrieved successfully", line(&found, &people, &refundable)))
}
