//! `GET /auth/api-tokens`: the caller's API tokens, newest first, without their secrets.

use actix_web::web;
use minispod_projections::access;
use serde_json::{Value, json};

use super::view;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    refusals::read_failed,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    caller.session()?;
    let live = access::live_api_tokens(state.pool(), &caller.user.id, state.clock.now()).await.map_err(read_failed)?;
    let tokens: Vec<Value> = live.iter().map(view).collect();
    Ok(Answer::ok("API tokens retrieved successfully", json!({ "apiTokens": tokens })))
}
