//! `GET /admin/workers/offline`: nodes that do not run, or take no new pods.

use actix_web::web;
use minispod_domain::ports::fleet::NodeStanding;

use super::some;
use crate::{answer::Result, caller::Caller, state::AppState};

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    let message = "Offline workers retrieved successfully";
    some(&state, &caller, message, |node| node.standing() != NodeStanding::Active).await
}
