//! `GET /auth/profile`: the caller's account and how many subscriptions it has.

use actix_web::web;
use minispod_projections::subscriptions;

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    refusals::read_failed,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    let counts = subscriptions::count_by_user(state.pool(), std::slice::from_ref(&caller.user.id)).await;
    let count = counts.map_err(read_failed)?.first().map_or(0, |(_, count)| *count);
    Ok(Answer::ok("Profile retrieved successfully", views::people::profile(&caller.user, count)))
}
