//! `GET /admin/coupons/:id`: one coupon and who used it, newest first.

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_projections::coupons::{self, UseFilter};
use serde_json::{Value, json};

use super::{People, existing};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    refusals::read_failed,
    state::AppState,
    views,
};

const DEFAULT_LIMIT: u32 = 20;

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>, request: HttpRequest) -> Result {
    caller.may(Action::ReadBilling)?;
    let mut query = Query::of(&request);
    let page = query.page(DEFAULT_LIMIT);
    query.finish()?;
    let row = existing(&state, &id).await?;
    let filter = UseFilter { coupon_id: Some(row.id.clone()), ..UseFilter::default() };
    let uses = coupons::uses(state.pool(), &filter, page).await.map_err(read_failed)?;
    let people = People::of(&state, uses.rows.iter().map(|used| &used.user_id)).await?;
    let redemptions = uses.rows.iter().map(|used| {
        let mut view = views::coupons::redemption(used);
        view["user"] = people.show(&used.user_id, views::people::mini);
        view
    });
    let data = json!({
        "coupon": views::coupons::full(&row, state.clock.now()),
        "redemptions": redemptions.collect::<Value>(),
        "pagination": views::pagination(&uses),
    });
    Ok(Answer::ok("Coupon retrieved successfully", data))
}
