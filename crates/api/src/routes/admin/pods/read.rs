//! `GET /admin/pods/:id`: one instance with all about it.

use actix_web::web;
use minispod_auth::Action;

use super::{existing, live};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    routes::subscriptions::usage::{RECENT_FOR_ADMINISTRATORS, recent},
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    caller.may(Action::ReadInstances)?;
    let pod = existing(&state, &id).await?;
    let row = &pod.instance.row;
    let usage = recent(&state, &row.subscription_id, &row.id, RECENT_FOR_ADMINISTRATORS).await?;
    let live = live::seen(&state, std::slice::from_ref(&pod)).await?.pop().unwrap_or_default();
    let data = views::pods::detail(&pod, &live, !state.config.is_production(), usage);
    Ok(Answer::ok("Pod retrieved successfully", data))
}
