//! `GET /admin/users/stats`: the accounts in numbers.

use actix_web::web;
use minispod_auth::Action;
use minispod_projections::{subscriptions, users};
use serde_json::json;

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    refusals::read_failed,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    caller.may(Action::ReadUsers)?;
    let counts = users::counts(state.pool()).await.map_err(read_failed)?;
    let with = subscriptions::users_with_subscriptions(state.pool()).await.map_err(read_failed)?;
    let data = json!({
        "totalUsers": counts.total,
        "activeUsers": counts.active,
        "inactiveUsers": counts.total - counts.active,
        "adminUsers": counts.administrators,
        "regularUsers": counts.total - counts.administrators,
        "usersWithSubscriptions": with,
        // Two questions, one after the other: a new customer in between must not make it negative.
        "usersWithoutSubscriptions": (counts.total - with).max(0),
    });
    Ok(Answer::ok("User statistics retrieved successfully", data))
}
