//! `PUT /admin/coupons/bulk-status`: one status for many coupons; each succeeds or fails by itself.

use std::collections::BTreeSet;

use actix_web::{ResponseError, web};
use minispod_auth::Action;
use minispod_domain::CouponCommand;
use minispod_events::CouponStatus;
use minispod_kernel::ids::is_id;
use serde_json::{Value, json};

use super::{SHOWN_BY, carry_out, form};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    preference::Shown,
    routes::admin::subscriptions::bulk::of_item,
    state::AppState,
};

/// Most coupons at once.
pub const IDS_MAX: usize = 100;

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, body: RequestBody) -> Result {
    caller.may(Action::ManageBilling)?;
    let body = body.form().await?;
    let (ids, status) = read(&body.value)?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let (mut last, mut done, mut errors, mut ours) = (None, Vec::new(), Vec::new(), None);
    for id in &ids {
        let command = CouponCommand::SetStatus { status };
        match carry_out(&state, &caller, &call, of_item(&context, id), id, command).await {
            Ok(written) => {
                last = last.max(Some(written.ins_seq));
                done.push(id);
            }
            Err(no) => {
                errors.push(json!({ "couponId": id, "error": no.message() }));
                ours = ours.or(Some(no).filter(|no| no.status_code().is_server_error()));
            }
        }
    }
    // A failure of ours that let nothing be done is itself.
    if let Some(ours) = ours.filter(|_| done.is_empty()) {
        return Err(ours);
    }
    let shown = match last {
        Some(ins_seq) => call.shown(&state, SHOWN_BY, ins_seq).await,
        None => Shown::NotYet,
    };
    let data = json!({ "updatedCount": done.len(), "couponIds": done, "errors": errors });
    Ok(Answer::ok("Coupons updated", data).shown(shown))
}

fn read(body: &Value) -> std::result::Result<(Vec<String>, CouponStatus), ApiError> {
    let mut fields = Fields::of(body)?;
    let ids = fields.optional_list("couponIds", "Coupon IDs").unwrap_or_default();
    if !fields.is_faulty("couponIds") {
        if !(1..=IDS_MAX).contains(&ids.len()) {
            fields.fault("couponIds", format!("1 to {IDS_MAX} coupon IDs are required"));
        } else if !ids.iter().all(|id| is_id(id)) {
            fields.fault("couponIds", "A coupon ID is not an id");
        } else if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
            fields.fault("couponIds", "Each coupon ID may be given once");
        }
    }
    let word = fields.text("status", "Status").map(str::to_owned);
    let status = word.and_then(|word| form::read_status(&mut fields, &word));
    fields.finish(Unknown::Refused)?;
    Ok((ids, status.unwrap_or_default()))
}
