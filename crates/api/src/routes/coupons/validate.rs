//! `POST /wallet/validate-coupon`: what a code would be worth to the caller now; nothing is used.

use actix_web::web;
use minispod_domain::plan::details::price_of;
use minispod_events::{BillingCycle, CouponKind, CouponPurpose};
use minispod_kernel::Rupiah;
use minispod_projections::{
    catalogue::{self, PlanRow},
    coupons::{self as read, CouponRow},
};
use serde_json::{Value, json};

use super::{UNKNOWN, objection, off, read_code};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown, path::existing_id},
    refusals::read_failed,
    state::AppState,
    views,
};

/// A code, and the sale it is meant for.
struct Question {
    code: String,
    /// Of a plan.
    service_id: Option<String>,
    /// What the sale would cost, for who has not chosen yet.
    amount: Option<Rupiah>,
}

pub async fn handle(state: web::Data<AppState>, caller: Caller, body: RequestBody) -> Result {
    let body = body.form().await?;
    let question = read(&body.value)?;
    state.limits.coupons.check(&caller.user.id)?;
    let plan = match &question.service_id {
        Some(id) => Some(plan_of(&state, id).await?),
        None => None,
    };
    let coupon = read::by_code(state.pool(), &question.code).await.map_err(read_failed)?;
    let Some(coupon) = coupon else {
        let unknown = json!({ "validation": { "valid": false, "error": UNKNOWN, "coupon": null } });
        return Ok(Answer::ok("Coupon checked", unknown));
    };
    let sale = plan.as_ref().and_then(sale_of);
    let purpose = match coupon.worth {
        CouponKind::Discount { .. } => sale.clone(),
        // What only new customers get is for nobody who asks.
        CouponKind::Credit { .. } | CouponKind::Welcome { .. } => Some(CouponPurpose::Redemption),
    };
    let error = objection(&state, &coupon, &caller.user.id, purpose.as_ref()).await?;
    let used = read::uses_of(state.pool(), &coupon.id, &caller.user.id).await.map_err(read_failed)?;
    let price = match &sale {
        Some(CouponPurpose::Sale { price, .. }) => Some(*price),
        _ => question.amount,
    };
    let shown = show(&coupon, price, used);
    let validation = json!({ "valid": error.is_none(), "error": error, "coupon": shown });
    Ok(Answer::ok("Coupon checked", json!({ "validation": validation })))
}

fn read(body: &Value) -> std::result::Result<Question, ApiError> {
    let mut fields = Fields::of(body)?;
    let code = read_code(&mut fields);
    let service_id = fields.optional_text("serviceId", "Service ID").map(str::to_owned);
    let amount = fields.optional_whole_number("subscriptionAmount", "Subscription amount").map(Rupiah::new);
    if amount.is_some_and(|amount| amount < Rupiah::ZERO || amount.amount() > Rupiah::MAX_MAGNITUDE) {
        fields.fault("subscriptionAmount", "Subscription amount must be zero or more");
    }
    fields.finish(Unknown::Refused)?;
    Ok(Question { code: code.unwrap_or_default(), service_id, amount })
}

async fn plan_of(state: &AppState, id: &str) -> std::result::Result<PlanRow, ApiError> {
    let id = existing_id(id, "Service")?;
    let plan = catalogue::find(state.pool(), id).await.map_err(read_failed)?;
    plan.filter(|plan| plan.is_active).ok_or_else(|| ApiError::not_found("Service"))
}

/// The sale of a month of `plan`.
fn sale_of(plan: &PlanRow) -> Option<CouponPurpose> {
    let cycle = BillingCycle::Monthly;
    Some(CouponPurpose::Sale {
        subscription_id: String::new(),
        offering: plan.details.offering.clone(),
        variant: plan.details.variant.clone(),
        cycle,
        price: price_of(plan.monthly_price, cycle, plan.details.yearly_discount_percent)?,
    })
}

fn show(coupon: &CouponRow, price: Option<Rupiah>, used_by_caller: i64) -> Value {
    let value = match coupon.worth {
        CouponKind::Credit { amount } | CouponKind::Welcome { amount } => Some(amount),
        CouponKind::Discount { .. } => price.and_then(|price| off(coupon, price)),
    };
    let mut view = views::coupons::brief(coupon);
    view["potentialValue"] = value.map(Rupiah::amount).into();
    view["valueDescription"] = views::coupons::worth(coupon).into();
    view["usageInfo"] = json!({
        "used": coupon.used,
        "maxUses": coupon.uses,
        "userUsed": used_by_caller,
        "maxPerUser": coupon.uses_each,
    });
    view
}
