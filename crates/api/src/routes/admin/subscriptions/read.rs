//! `GET /admin/subscriptions/:id`: anybody's subscription with owner, instance, invoice and last transactions.

use std::iter::once;

use actix_web::web;
use minispod_auth::Action;
use minispod_projections::subscriptions;

use super::{People, owner};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    input::path::existing_id,
    refusals::read_failed,
    routes::subscriptions::usage::{RECENT_FOR_ADMINISTRATORS, recent},
    state::AppState,
    views,
};

/// Lines of the history shown with it.
const TRANSACTIONS: u32 = 10;

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    caller.may(Action::ReadSubscriptions)?;
    let id = existing_id(&id, "Subscription")?;
    let detail = subscriptions::detail(state.pool(), id, None, TRANSACTIONS).await.map_err(read_failed)?;
    let detail = detail.ok_or_else(|| ApiError::not_found("Subscription"))?;
    let user_id = &detail.subscription.row.user_id;
    let user = People::of(&state, once(user_id)).await?.show(user_id, owner);
    let row = &detail.subscription.row;
    let usage = recent(&state, &row.id, &row.instance_id, RECENT_FOR_ADMINISTRATORS).await?;
    Ok(Answer::ok("Subscription retrieved successfully", views::subscriptions::detail(&detail, user, usage)))
}
