//! `GET /admin/pods/:id`: one instance with all about it.

use actix_web::web;
use minispod_auth::Action;

use super::existing;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    caller.may(Action::ReadInstances)?;
    let pod = existing(&state, &id).await?;
    Ok(Answer::ok("Pod retrieved successfully", views::pods::detail(&pod, !state.config.is_production())))
}
