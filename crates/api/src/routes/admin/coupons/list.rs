//! `GET /admin/coupons`: every coupon, newest first.

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_projections::coupons::{self, CouponFilter, CouponKindWord, CouponStanding};
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
/// Longest text that is searched for.
const SEARCH_MAX: usize = 100;

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    caller.may(Action::ReadBilling)?;
    let now = state.clock.now();
    let mut query = Query::of(&request);
    let asked = query.asked(DEFAULT_LIMIT);
    let standing = words(CouponStanding::ALL, CouponStanding::as_str);
    let kinds = words(CouponKindWord::ALL, CouponKindWord::as_str);
    let filter = CouponFilter {
        standing: query.word("status", CouponStanding::parse, &standing).map(|standing| (standing, now)),
        kind: query.word("type", CouponKindWord::parse, &kinds),
        offering: query.text("serviceName", SEARCH_MAX),
        search: query.text("search", SEARCH_MAX),
    };
    query.finish()?;
    let page = coupons::page(state.pool(), &filter, asked).await.map_err(read_failed)?;
    let data = json!({
        "coupons": page.rows.iter().map(|row| views::coupons::full(row, now)).collect::<Value>(),
        "pagination": views::pagination(&page),
    });
    Ok(Answer::ok("Coupons retrieved successfully", data))
}
