//! `POST /subscriptions/:id/upgrade`: moves a subscription to another plan now; the difference is paid first.

use actix_web::web;

use super::change::{Way, carry_out};
use crate::{answer::Result, call::Call, caller::Caller, input::RequestBody, state::AppState};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    carry_out(Way::Up, &state, &caller, &call, &id, body).await
}
