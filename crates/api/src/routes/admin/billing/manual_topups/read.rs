//! `GET /admin/billing/manual-topups/:id`: one bank transfer.

use std::iter::once;

use actix_web::web;
use minispod_auth::Action;

use super::{People, show};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    routes::manual_topups::read::existing,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    caller.may(Action::ReadBilling)?;
    let row = existing(&state, &id, None).await?;
    let people = People::of(&state, once(&row.user_id)).await?;
    Ok(Answer::ok("Manual top-up retrieved successfully", show(&row, &people)))
}
