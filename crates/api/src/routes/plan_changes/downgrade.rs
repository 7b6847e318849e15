//! `POST /subscriptions/:id/downgrade`: a cheaper plan, now for an administrator, with the next period for the customer.

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
    carry_out(Way::Down, &state, &caller, &call, &id, body).await
}
