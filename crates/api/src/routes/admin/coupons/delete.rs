//! `DELETE /admin/coupons/:id`: a coupon that nobody ever used; its code is free again.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::CouponCommand;
use serde_json::json;

use super::{SHOWN_BY, carry_out, existing};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, id: web::Path<String>) -> Result {
    caller.may(Action::ManageBilling)?;
    let context = call.command(caller.actor(), &caller.user.id, &[]);
    if !call.is_repeat(&state, &context).await? {
        existing(&state, &id).await?;
    }
    let written = carry_out(&state, &caller, &call, context, &id, CouponCommand::Delete).await?;
    let shown = call.shown(&state, SHOWN_BY, written.ins_seq).await;
    Ok(Answer::ok("Coupon deleted successfully", json!({ "id": id.as_str() })).replayed(written.replayed).shown(shown))
}
