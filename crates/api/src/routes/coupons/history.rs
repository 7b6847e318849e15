//! `GET /wallet/coupon-history`: the coupons that the caller has used, newest first.

use actix_web::{HttpRequest, web};
use minispod_projections::coupons::{self, CouponKindWord, UseFilter};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    refusals::read_failed,
    routes::transactions::list::words,
    state::AppState,
    views,
};

const DEFAULT_LIMIT: u32 = 20;

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    let mut query = Query::of(&request);
    let asked = query.asked(DEFAULT_LIMIT);
    let kind = query.word("type", CouponKindWord::parse, &words(CouponKindWord::ALL, CouponKindWord::as_str));
    query.finish()?;
    let filter = UseFilter { user_id: Some(caller.user.id.clone()), kind, ..UseFilter::default() };
    let page = coupons::uses(state.pool(), &filter, asked).await.map_err(read_failed)?;
    let data = json!({
        "redemptions": page.rows.iter().map(views::coupons::redemption).collect::<Value>(),
        "pagination": views::pagination(&page),
    });
    Ok(Answer::ok("Coupon history retrieved successfully", data))
}
