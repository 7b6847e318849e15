//! `GET /services/admin/:id`: one plan and who has it.

use std::collections::BTreeMap;

use actix_web::web;
use minispod_auth::Action;
use minispod_projections::{
    PageRequest,
    page::MAX_LIMIT,
    subscriptions::{self, SubscriptionFilter, SubscriptionSort},
    users::{self, UserRow},
};
use serde_json::{Value, json};

use super::existing;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    refusals::read_failed,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    caller.may(Action::ReadCatalogue)?;
    let plan = existing(&state, &id, false).await?;
    // The newest ones; how many there are is counted beside them.
    let filter = SubscriptionFilter { plan_id: Some(plan.id.clone()), ..SubscriptionFilter::default() };
    let newest = PageRequest::new(1, MAX_LIMIT);
    let page = subscriptions::page(state.pool(), &filter, SubscriptionSort::CreatedAt, false, newest).await;
    let page = page.map_err(read_failed)?;
    let owners: Vec<String> = page.rows.iter().map(|view| view.row.user_id.clone()).collect();
    let owners = users::find_many(state.pool(), &owners).await.map_err(read_failed)?;
    let owners: BTreeMap<&str, &UserRow> = owners.iter().map(|user| (user.id.as_str(), user)).collect();
    let mut data = views::plans::counted(&plan, page.total);
    let listed = page.rows.iter().map(|view| {
        let owner = owners.get(view.row.user_id.as_str());
        let owner = owner.map_or(Value::Null, |user| views::people::mini(user));
        json!({ "id": view.row.id, "status": view.row.status.as_str(), "user": owner })
    });
    data["subscriptions"] = listed.collect();
    Ok(Answer::ok("Service retrieved successfully", data))
}
