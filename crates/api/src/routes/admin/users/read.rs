//! `GET /admin/users/:id`: one account and what it runs.

use actix_web::web;
use minispod_auth::Action;
use minispod_kernel::ids::is_aggregate_id;
use minispod_projections::{
    PageRequest,
    page::MAX_LIMIT,
    subscriptions::{self, SubscriptionFilter, SubscriptionSort, SubscriptionView},
    users,
};
use serde_json::{Value, json};

use super::not_found;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    refusals::read_failed,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    caller.may(Action::ReadUsers)?;
    if !is_aggregate_id(&id) {
        return Err(not_found());
    }
    let user = users::find(state.pool(), &id).await.map_err(read_failed)?;
    let user = user.filter(|user| !user.forgotten).ok_or_else(not_found)?;
    // The newest ones; how many there are is counted beside them.
    let filter = SubscriptionFilter { user_id: Some(user.id.clone()), ..SubscriptionFilter::default() };
    let newest = PageRequest::new(1, MAX_LIMIT);
    let page = subscriptions::page(state.pool(), &filter, SubscriptionSort::CreatedAt, false, newest).await;
    let page = page.map_err(read_failed)?;
    let mut data = views::people::counted(&user, page.total);
    data["subscriptions"] = page.rows.iter().map(listed).collect();
    Ok(Answer::ok("User retrieved successfully", data))
}

fn listed(view: &SubscriptionView) -> Value {
    json!({
        "id": view.row.id,
        "status": view.row.status.as_str(),
        "expiresAt": view.row.expires_at.to_contract(),
        "service": { "name": view.row.offering, "displayName": view.row.display_name },
    })
}
