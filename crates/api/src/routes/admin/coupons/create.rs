//! `POST /admin/coupons`: a new code.

use actix_web::web;
use minispod_auth::Action;

use super::{SHOWN_BY, carry_out, existing, form};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    input::RequestBody,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, body: RequestBody) -> Result {
    caller.may(Action::ManageBilling)?;
    let body = body.form().await?;
    let command = form::create(&body.value, state.clock.now())?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let id = call.new_id(&state, "coupon", &caller.user.id);
    let written = carry_out(&state, &caller, &call, context, &id, command).await?;
    let shown = call.shown(&state, SHOWN_BY, written.ins_seq).await;
    let row = existing(&state, &id).await?;
    let view = serde_json::json!({ "coupon": views::coupons::full(&row, state.clock.now()) });
    Ok(Answer::created("Coupon created successfully", view)
        .at_version(written.version)
        .replayed(written.replayed)
        .shown(shown))
}
