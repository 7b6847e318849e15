//! `POST /admin/workers/:nodeId/cordon`: closes a node to new pods; those it has go on.

use actix_web::web;

use super::set_schedulable;
use crate::{answer::Result, caller::Caller, state::AppState};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    set_schedulable(&state, &caller, &id, false, "Worker node cordoned successfully").await
}
