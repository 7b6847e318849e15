//! `POST /subscriptions/:id/calculate-upgrade`: the sum of a change of plan, whether it may be made or not.

use actix_web::web;

use super::Quote;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::RequestBody,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>, body: RequestBody) -> Result {
    let quote = Quote::load(&state, &caller, &id, body).await?;
    Ok(Answer::ok("Upgrade cost calculated successfully", quote.calculation()))
}
