//! `POST /admin/workers/:nodeId/uncordon`: opens a node to new pods again.

use actix_web::web;

use super::set_schedulable;
use crate::{answer::Result, caller::Caller, state::AppState};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    set_schedulable(&state, &caller, &id, true, "Worker node uncordoned successfully").await
}
