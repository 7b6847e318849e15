//! `GET /billing/manual-topups`: the caller's bank transfers, newest first.

use actix_web::{HttpRequest, web};
use minispod_projections::manual_topups::{self, ManualTopUpFilter, ManualTopUpStatus};
use serde_json::{Value, json};

use super::show;
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
    let filter = ManualTopUpFilter { user_id: Some(caller.user.id.clone()), status: status(&mut query) };
    query.finish()?;
    let page = manual_topups::page(state.pool(), &filter, asked).await.map_err(read_failed)?;
    let data = json!({
        "manualTopUps": page.rows.iter().map(show).collect::<Value>(),
        "pagination": views::pagination(&page),
    });
    Ok(Answer::ok("Manual top-ups retrieved successfully", data))
}

/// `status` of the query.
pub fn status(query: &mut Query) -> Option<ManualTopUpStatus> {
    query.word("status", ManualTopUpStatus::parse, &words(ManualTopUpStatus::ALL, ManualTopUpStatus::as_str))
}
