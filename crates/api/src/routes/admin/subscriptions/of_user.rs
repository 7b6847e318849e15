//! `GET /admin/subscriptions/user/:userId`: what one customer runs, newest first.

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_projections::subscriptions::{self, SubscriptionFilter, SubscriptionSort};
use serde_json::{Value, json};

use super::person;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    refusals::read_failed,
    state::AppState,
    views,
};

const DEFAULT_LIMIT: u32 = 20;

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    user_id: web::Path<String>,
    request: HttpRequest,
) -> Result {
    caller.may(Action::ReadSubscriptions)?;
    let mut query = Query::of(&request);
    let page = query.page(DEFAULT_LIMIT);
    query.finish()?;
    let user = person(&state, &user_id).await?;
    let filter = SubscriptionFilter { user_id: Some(user.id.clone()), ..SubscriptionFilter::default() };
    let page = subscriptions::page(state.pool(), &filter, SubscriptionSort::CreatedAt, false, page).await;
    let page = page.map_err(read_failed)?;
    let data = json!({
        "user": views::people::with_role(&user),
        "subscriptions": page.rows.iter().map(views::subscriptions::listed_for_administrators).collect::<Value>(),
        "pagination": views::pagination(&page),
    });
    Ok(Answer::ok("User subscriptions retrieved successfully", data))
}
