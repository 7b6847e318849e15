//! `GET /subscriptions/:id/domains`: the hosts brought to a service, and what their DNS must say.

use actix_web::web;
use minispod_domain::custom_domains::MOST_HOSTS;
use minispod_projections::custom_domains;
use serde_json::{Value, json};

use super::{owned, target};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    refusals::read_failed,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    let view = owned(&state, &id, &caller).await?;
    let rows = custom_domains::of_instance(state.pool(), &view.row.instance_id).await.map_err(read_failed)?;
    let target = target(&state, &view);
    let domains: Vec<Value> = rows.iter().map(|row| views::custom_domains::full(row, &target)).collect();
    let data = json!({ "domains": domains, "target": target, "limit": MOST_HOSTS });
    Ok(Answer::ok("Domains retrieved successfully", data))
}
