//! `GET /subscriptions/:id`: one subscription of the caller with instance, invoice and last transactions.

use actix_web::web;
use minispod_projections::subscriptions;

use super::{
    not_ones_own,
    usage::{RECENT, recent},
};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::path::existing_id,
    refusals::read_failed,
    state::AppState,
    views,
};

/// Lines of the history shown with it.
pub const TRANSACTIONS: u32 = 5;

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    let id = existing_id(&id, "Subscription")?;
    let owner = Some(caller.user.id.as_str());
    let detail = subscriptions::detail(state.pool(), id, owner, TRANSACTIONS).await.map_err(read_failed)?;
    let detail = detail.ok_or_else(|| not_ones_own(id))?;
    let row = &detail.subscription.row;
    let usage = recent(&state, &row.id, &row.instance_id, RECENT).await?;
    let data = views::subscriptions::detail(&detail, views::people::mini(&caller.user), usage);
    Ok(Answer::ok("Subscription retrieved successfully", data))
}
