//! `GET /admin/domains/:host`: the services that have a host or ask for it, oldest first.

use actix_web::web;
use minispod_auth::Action;
use serde_json::{Value, json};

use super::{existing, of_path};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, host: web::Path<String>) -> Result {
    caller.may(Action::ReadSubscriptions)?;
    let rows = existing(&state, &of_path(&host)?).await?;
    let domains: Vec<Value> = rows.iter().map(views::custom_domains::for_administrators).collect();
    Ok(Answer::ok("Domain retrieved successfully", json!({ "domains": domains })))
}
