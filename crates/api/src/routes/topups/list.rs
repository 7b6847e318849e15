//! `GET /billing/topup`: the caller's top-ups, newest first.

use actix_web::{HttpRequest, web};
use minispod_projections::billing::{self, TopUpFilter, TopUpStatus};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    refusals::read_failed,
    routes::transactions::list::words,
    state::AppState,
    views,
};

const DEFAULT_LIMIT: u32 = 20;

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    let mut query = Query::of(&request);
    let asked = query.asked(DEFAULT_LIMIT);
    let filter = TopUpFilter {
        user_id: Some(caller.user.id.clone()),
        status: query.word("status", TopUpStatus::parse, &words(TopUpStatus::ALL, TopUpStatus::as_str)),
        quarantined: false,
    };
    query.finish()?;
    let page = billing::topups(state.pool(), &filter, asked).await.map_err(read_failed)?;
    let data = json!({
        "transactions": page.rows.iter().map(views::money::topup_row).collect::<Value>(),
        "pagination": views::pagination(&page),
    });
    Ok(Answer::ok("Top-ups retrieved successfully", data))
}
