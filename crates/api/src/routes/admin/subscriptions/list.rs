//! `GET /admin/subscriptions`: everybody's subscriptions, newest first unless asked otherwise.

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_projections::subscriptions::{self, SubscriptionFilter, SubscriptionView};
use serde_json::{Value, json};

use super::People;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    refusals::read_failed,
    routes::subscriptions::list::{filter, order},
    state::AppState,
    views,
};

/// The client sends no page and has no pager, so the first page is all it shows.
const DEFAULT_LIMIT: u32 = 50;
/// Bounds of a search text, in characters.
const SEARCH_MIN: usize = 2;
const SEARCH_MAX: usize = 100;

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    caller.may(Action::ReadSubscriptions)?;
    let mut query = Query::of(&request);
    let page = query.page(DEFAULT_LIMIT);
    let (sort, ascending) = order(&mut query);
    let (user_id, search) = (query.id("userId"), query.text("search", SEARCH_MAX));
    if search.as_ref().is_some_and(|search| search.chars().count() < SEARCH_MIN) {
        query.fault("search", format!("search must be {SEARCH_MIN} to {SEARCH_MAX} characters"));
    }
    let filter = SubscriptionFilter { user_id, search, ..filter(&mut query) };
    query.finish()?;
    let page = subscriptions::page(state.pool(), &filter, sort, ascending, page).await.map_err(read_failed)?;
    let people = People::of(&state, page.rows.iter().map(|view| &view.row.user_id)).await?;
    let listed = |view: &SubscriptionView| {
        let mut out = views::subscriptions::listed_for_administrators(view);
        out["user"] = people.show(&view.row.user_id, views::people::with_role);
        out
    };
    let data = json!({
        "subscriptions": page.rows.iter().map(listed).collect::<Value>(),
        "pagination": views::pagination(&page),
    });
    Ok(Answer::ok("Subscriptions retrieved successfully", data))
}
