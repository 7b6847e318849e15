//! `GET /billing/transactions`: the caller's history, newest first.

use actix_web::{HttpRequest, web};
use minispod_projections::billing::{self, TransactionFilter, TransactionStatus, TransactionType};
use serde_json::json;

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    refusals::read_failed,
    state::AppState,
    views,
};

const DEFAULT_LIMIT: u32 = 20;

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    let mut query = Query::of(&request);
    let asked = query.asked(DEFAULT_LIMIT);
    let filter = TransactionFilter {
        user_id: Some(caller.user.id.clone()),
        kind: query.word("type", TransactionType::parse, &words(TransactionType::ALL, TransactionType::as_str)),
        status: query.word(
            "status",
            TransactionStatus::parse,
            &words(TransactionStatus::ALL, TransactionStatus::as_str),
        ),
        from: query.from("startDate"),
        until: query.until("endDate"),
    };
    query.finish()?;
    let page = billing::transactions(state.pool(), &filter, asked).await.map_err(read_failed)?;
    let data = json!({
        "transactions": page.rows.iter().map(views::money::transaction).collect::<Vec<_>>(),
        "pagination": views::pagination(&page),
    });
    Ok(Answer::ok("Transactions retrieved successfully", data))
}

/// The words of an enum, for the refusal of another one.
pub fn words<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|one| word(*one)).collect()
}
