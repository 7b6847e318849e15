//! `GET /admin/coupons/statistics`: how coupons stand, what they gave, and which were used most.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_projections::coupons;
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    refusals::read_failed,
    state::AppState,
};

/// Stretches up to now, and their days.
pub const PERIODS: [(&str, u64); 3] = [("week", 7), ("month", 30), ("year", 365)];

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    caller.may(Action::ReadBilling)?;
    let mut query = Query::of(&request);
    let names = PERIODS.map(|(name, _)| name);
    let find = |word: &str| PERIODS.into_iter().find(|(name, _)| *name == word);
    let (period, days) = query.word("period", find, &names).unwrap_or(PERIODS[1]);
    query.finish()?;
    let now = state.clock.now();
    let since = now.minus(Duration::from_hours(24 * days));
    let sums = coupons::statistics(state.pool(), since, now).await.map_err(read_failed)?;
    let top = coupons::top(state.pool(), since).await.map_err(read_failed)?;
    let kinds = coupons::uses_by_kind(state.pool(), since).await.map_err(read_failed)?;
    let top = top.iter().map(|coupon| {
        json!({ "id": coupon.id, "code": coupon.code, "name": coupon.name, "type": coupon.kind.as_str(),
            "redemptions": coupon.uses })
    });
    let kinds = kinds.iter().map(|row| json!({ "type": row.kind.as_str(), "redemptions": row.uses }));
    let statistics = json!({
        "overview": {
            "totalCoupons": sums.coupons,
            "activeCoupons": sums.active,
            "expiredCoupons": sums.expired,
            "usedUpCoupons": sums.used_up,
            "totalRedemptions": sums.uses,
            "periodRedemptions": sums.uses_since,
            "totalCredited": sums.credited.to_string(),
            "totalDiscounted": sums.discounted.to_string(),
        },
        "topCoupons": top.collect::<Value>(),
        "redemptionsByType": kinds.collect::<Value>(),
        "period": period,
        "startDate": since.to_contract(),
        "endDate": now.to_contract(),
    });
    Ok(Answer::ok("Coupon statistics retrieved successfully", json!({ "statistics": statistics })))
}
