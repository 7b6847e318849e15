//! `GET /admin/workers/join-tokens`: the newest join tokens and what became of them; never the tokens themselves.

use actix_web::web;
use minispod_auth::Action;
use minispod_projections::nodes;
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    refusals::read_failed,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    caller.may(Action::ReadNodes)?;
    let rows = nodes::tokens(state.pool()).await.map_err(read_failed)?;
    let tokens: Vec<Value> = rows.iter().map(|row| views::joined::token(row, state.clock.now())).collect();
    Ok(Answer::ok("Join tokens retrieved successfully", json!({ "count": tokens.len(), "tokens": tokens })))
}
