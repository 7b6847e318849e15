//! `GET /billing/balance`: what is in the caller's wallet.

use actix_web::web;
use minispod_kernel::Rupiah;
use minispod_projections::billing;
use serde_json::json;

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    refusals::read_failed,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    let wallet = billing::wallet(state.pool(), &caller.user.id).await.map_err(read_failed)?;
    // Opened with the account; until the read model has it, there is nothing in it.
    let nothing = (Rupiah::ZERO, Rupiah::ZERO, caller.user.created_at);
    let (balance, promotional, updated) =
        wallet.map_or(nothing, |wallet| (wallet.balance, wallet.promotional, wallet.updated_at));
    let data = json!({
        "balance": balance.to_string(),
        "promotional": promotional.to_string(),
        "currency": "IDR",
        "lastUpdated": updated.to_contract(),
        "user": views::people::mini(&caller.user),
    });
    Ok(Answer::ok("Balance retrieved successfully", data))
}
