//! `GET /billing/dashboard/overview`: balance, what is still to be paid, and the last lines of the history.

use actix_web::web;
use minispod_projections::{
    PageRequest,
    billing::{self, TransactionFilter},
    users::UserRow,
};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    refusals::read_failed,
    state::AppState,
    views,
};

/// Lines of the history shown with it.
const RECENT: u32 = 5;

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    let data = overview(&state, &caller.user, RECENT).await?;
    Ok(Answer::ok("Billing overview retrieved successfully", data))
}

/// The money of `user` with the newest `recent` lines of his history.
pub async fn overview(state: &AppState, user: &UserRow, recent: u32) -> std::result::Result<Value, ApiError> {
    let pool = state.pool();
    let wallet = billing::wallet(pool, &user.id).await.map_err(read_failed)?;
    let pending = billing::pending_topups(pool, &user.id).await.map_err(read_failed)?;
    let filter = TransactionFilter { user_id: Some(user.id.clone()), ..TransactionFilter::default() };
    let history = billing::transactions(pool, &filter, PageRequest::new(1, recent)).await.map_err(read_failed)?;
    let balance = views::money::balance(wallet.as_ref(), user.created_at);
    Ok(json!({
        "pendingTopUps": {
            "count": pending.count,
            "totalAmount": pending.amount.amount(),
            "transactions": pending.newest.iter().map(views::money::topup_row).collect::<Value>(),
        },
        "recentTransactions": history.rows.iter().map(views::money::transaction).collect::<Value>(),
        "summary": {
            "availableBalance": balance["current"],
            "pendingAmount": pending.amount.amount(),
            "totalTransactions": history.total,
        },
        "balance": balance,
    }))
}
