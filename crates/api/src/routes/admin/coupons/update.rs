//! `PUT /admin/coupons/:id`: another name, window, limit or status, all of it or nothing.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::CouponCommand;
use minispod_events::CouponStatus;
use minispod_projections::coupons::CouponKindWord;
use serde_json::json;

use super::{SHOWN_BY, carry_out, existing, form, refuse_one_too_many};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    input::RequestBody,
    state::AppState,
    views,
};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    caller.may(Action::ManageBilling)?;
    let body = body.form().await?;
    let before = existing(&state, &id).await?;
    let revision = form::revision(&body.value, &before, state.clock.now())?;
    let is_bonus = before.kind == CouponKindWord::Welcome && before.status != CouponStatus::Active;
    if is_bonus && revision.status == Some(CouponStatus::Active) {
        refuse_one_too_many(&state).await?;
    }
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let written = carry_out(&state, &caller, &call, context, &id, CouponCommand::Revise(revision)).await?;
    let shown = call.shown(&state, SHOWN_BY, written.ins_seq).await;
    let row = existing(&state, &id).await?;
    let view = json!({ "coupon": views::coupons::full(&row, state.clock.now()) });
    Ok(Answer::ok("Coupon updated successfully", view)
        .at_version(written.version)
        .replayed(written.replayed)
        .shown(shown))
}
