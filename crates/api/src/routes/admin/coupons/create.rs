//! `POST /admin/coupons`: a new code.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::CouponCommand;
use minispod_events::CouponKind;
use minispod_projections::coupons;

use super::{SHOWN_BY, carry_out, form, refuse_one_too_many};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::RequestBody,
    refusals::read_failed,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, body: RequestBody) -> Result {
    caller.may(Action::ManageBilling)?;
    let body = body.form().await?;
    let command = form::create(&body.value, state.clock.now())?;
    if let CouponCommand::Create { worth: CouponKind::Welcome { .. }, .. } = &command {
        refuse_one_too_many(&state).await?;
    }
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let id = call.new_id(&state, "coupon", &caller.user.id);
    let written = carry_out(&state, &caller, &call, context, &id, command).await?;
    let shown = call.shown(&state, SHOWN_BY, written.ins_seq).await;
    // Who does not wait for the read model is shown what was written.
    let row = coupons::find(state.pool(), &id).await.map_err(read_failed)?.or(written.created);
    let row = row.ok_or_else(|| ApiError::not_found("Coupon"))?;
    let view = serde_json::json!({ "coupon": views::coupons::full(&row, state.clock.now()) });
    Ok(Answer::created("Coupon created successfully", view)
        .at_version(written.version)
        .replayed(written.replayed)
        .shown(shown))
}
