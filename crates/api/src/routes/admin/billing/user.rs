//! `GET /admin/billing/users/:userId`: one account's money at a glance.

use actix_web::web;
use minispod_auth::Action;

use super::person;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    routes::dashboard::overview::overview,
    state::AppState,
    views,
};

/// Lines of the history shown with it.
const RECENT: u32 = 10;

pub async fn handle(state: web::Data<AppState>, caller: Caller, user_id: web::Path<String>) -> Result {
    caller.may(Action::ReadBilling)?;
    let user = person(&state, &user_id).await?;
    let mut data = overview(&state, &user, RECENT).await?;
    data["user"] = views::people::mini(&user);
    Ok(Answer::ok("User billing retrieved successfully", data))
}
