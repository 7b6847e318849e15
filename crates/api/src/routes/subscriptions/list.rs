//! `GET /subscriptions`: the caller's subscriptions, newest first.

use actix_web::{HttpRequest, web};
use minispod_projections::subscriptions::{self, SubscriptionFilter, SubscriptionSort, SubscriptionStatus};
use serde_json::json;

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    refusals::read_failed,
    routes::transactions::list::words,
    state::AppState,
    views,
};

/// The client sends no page and has no pager, so the first page is all it shows.
const DEFAULT_LIMIT: u32 = 50;
const SORTS: [&str; 4] = ["createdAt", "updatedAt", "expiresAt", "status"];

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    let mut query = Query::of(&request);
    let page = query.page(DEFAULT_LIMIT);
    let filter = SubscriptionFilter { user_id: Some(caller.user.id.clone()), ..filter(&mut query) };
    let (sort, ascending) = order(&mut query);
    query.finish()?;
    let page = subscriptions::page(state.pool(), &filter, sort, ascending, page).await.map_err(read_failed)?;
    let data = json!({
        "subscriptions": page.rows.iter().map(views::subscriptions::listed).collect::<Vec<_>>(),
        "pagination": views::pagination(&page),
    });
    Ok(Answer::ok("Subscriptions retrieved successfully", data))
}

/// `status` and `serviceId`; whose subscriptions is not said yet.
pub fn filter(query: &mut Query) -> SubscriptionFilter {
    let statuses = words(SubscriptionStatus::ALL, SubscriptionStatus::as_str);
    SubscriptionFilter {
        status: query.word("status", SubscriptionStatus::parse, &statuses),
        plan_id: query.id("serviceId"),
        ..SubscriptionFilter::default()
    }
}

/// `sortBy` and `sortOrder`: the newest first when not given.
pub fn order(query: &mut Query) -> (SubscriptionSort, bool) {
    let sort = query.word("sortBy", sort_of, &SORTS).unwrap_or_default();
    (sort, query.word("sortOrder", is_ascending, &["asc", "desc"]).unwrap_or(false))
}

fn sort_of(word: &str) -> Option<SubscriptionSort> {
    match word {
        "createdAt" => Some(SubscriptionSort::CreatedAt),
        "updatedAt" => Some(SubscriptionSort::UpdatedAt),
        "expiresAt" => Some(SubscriptionSort::ExpiresAt),
        "status" => Some(SubscriptionSort::Status),
        _ => None,
    }
}

fn is_ascending(word: &str) -> Option<bool> {
    match word {
        "asc" => Some(true),
        "desc" => Some(false),
        _ => None,
    }
}
