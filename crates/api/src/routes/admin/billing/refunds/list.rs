//! `GET /admin/billing/refunds`: what the desk was asked for, newest first.

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_projections::refunds::{self, RefundFilter, RefundStatus};
use serde_json::{Value, json};

use super::show;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    refusals::read_failed,
    routes::{admin::People, transactions::list::words},
    state::AppState,
    views,
};

const DEFAULT_LIMIT: u32 = 20;

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    caller.may(Action::ReadBilling)?;
    let mut query = Query::of(&request);
    let asked = query.asked(DEFAULT_LIMIT);
    let filter = RefundFilter {
        status: query.word("status", RefundStatus::parse, &words(RefundStatus::ALL, RefundStatus::as_str)),
        user_id: query.id("userId"),
    };
    query.finish()?;
    let page = refunds::page(state.pool(), &filter, asked).await.map_err(read_failed)?;
    let people = People::of(&state, page.rows.iter().map(|row| &row.user_id)).await?;
    let lines = page.rows.iter().map(|row| {
        let mut line = show(row);
        line["user"] = people.show(&row.user_id, views::people::mini);
        line
    });
    let data = json!({ "refunds": lines.collect::<Value>(), "pagination": views::pagination(&page) });
    Ok(Answer::ok("Refunds retrieved successfully", data))
}
