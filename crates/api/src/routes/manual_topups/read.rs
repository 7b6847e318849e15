//! `GET /billing/manual-topups/:id`: one of the caller's bank transfers.

use actix_web::web;
use minispod_projections::manual_topups::{self, ManualTopUpRow};

use super::show;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    input::path::existing_id,
    refusals::read_failed,
    refused_access::Kind,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    let row = existing(&state, &id, Some(&caller.user.id)).await?;
    Ok(Answer::ok("Manual top-up retrieved successfully", show(&row)))
}

/// The manual top-up of this id, of `owner` only when given, or 404.
pub async fn existing(
    state: &AppState,
    id: &str,
    owner: Option<&str>,
) -> std::result::Result<ManualTopUpRow, ApiError> {
    let row = manual_topups::find(state.pool(), existing_id(id, "Manual top-up")?, owner).await.map_err(read_failed)?;
    row.ok_or_else(|| ApiError::not_found("Manual top-up").sought(&[Kind::ManualTopUp], id))
}
