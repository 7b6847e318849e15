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
    let page = query.page(DEFAULT_LIMIT);
    let filter = TransactionFilter { user_id: Some(caller.user.id.clone()), ..filter(&mut query) };
    query.finish()?;
    let page = billing::transactions(state.pool(), &filter, page).await.map_err(read_failed)?;
    let data = json!({
        "transactions": page.rows.iter().map(views::money::transaction).collect::<Vec<_>>(),
        "pagination": views::pagination(&page),
    });
    Ok(Answer::ok("Transactions retrieved successfully", data))
}

/// `type`, `status`, `startDate` and `endDate`; whose lines is not said yet.
pub fn filter(query: &mut Query) -> TransactionFilter {
    let kind = query.word("type", TransactionType::parse, &words(TransactionType::ALL, TransactionType::as_str));
    let statuses = words(TransactionStatus::ALL, TransactionStatus::as_str);
    let status = query.word("status", TransactionStatus::parse, &statuses);
    let span = query.span();
    TransactionFilter { user_id: None, kind, status, from: span.from, until: span.until }
}

/// The words of an enum, for the refusal of another one.
pub fn words<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|one| word(*one)).collect()
}
