//! `GET /admin/billing/transactions`: everybody's history, newest first.

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_projections::billing::{self, TransactionFilter};
use serde_json::{Value, json};

use super::{People, Refundable, line};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    refusals::read_failed,
    routes::transactions::list::filter,
    state::AppState,
    views,
};

/// The client sends no page and has no pager, so the first page is all it shows.
const DEFAULT_LIMIT: u32 = 50;

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    caller.may(Action::ReadBilling)?;
    let mut query = Query::of(&request);
    let asked = query.asked(DEFAULT_LIMIT);
    let user_id = query.id("userId");
    let filter = TransactionFilter { user_id, ..filter(&mut query) };
    query.finish()?;
    let page = billing::transactions(state.pool(), &filter, asked).await.map_err(read_failed)?;
    let people = People::of(&state, page.rows.iter().map(|view| &view.row.user_id)).await?;
    let refundable = Refundable::among(&state, &page.rows).await?;
    let data = json!({
        "transactions": page.rows.iter().map(|view| line(view, &people, &refundable)).collect::<Value>(),
        "pagination": views::pagination(&page),
    });
    Ok(Answer::ok("Transactions retrieved successfully", data))
}
