//! `GET /admin/billing/manual-topups`: everybody's bank transfers, newest first.

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_projections::manual_topups::{self, ManualTopUpFilter};
use serde_json::{Value, json};

use super::{People, show};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    refusals::read_failed,
    routes::manual_topups::list::status,
    state::AppState,
    views,
};

const DEFAULT_LIMIT: u32 = 20;

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    caller.may(Action::ReadBilling)?;
    let mut query = Query::of(&request);
    let asked = query.asked(DEFAULT_LIMIT);
    let user_id = query.id("userId");
    let filter = ManualTopUpFilter { user_id, status: status(&mut query) };
    query.finish()?;
    let page = manual_topups::page(state.pool(), &filter, asked).await.map_err(read_failed)?;
    let people = People::of(&state, page.rows.iter().map(|row| &row.user_id)).await?;
    let data = json!({
        "manualTopUps": page.rows.iter().map(|row| show(row, &people)).collect::<Value>(),
        "pagination": views::pagination(&page),
    });
    Ok(Answer::ok("Manual top-ups retrieved successfully", data))
}
