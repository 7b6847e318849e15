//! `GET /subscriptions/:id/plan-changes`: the changes of plan so far, newest first. None can be made yet.

use actix_web::{HttpRequest, web};
use minispod_projections::Page;
use serde_json::{Value, json};

use super::within_reach;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    state::AppState,
    views,
};

const DEFAULT_LIMIT: u32 = 10;
/// Where a change of plan can stand.
pub const STATUSES: [&str; 9] = [
    "PENDING",
    "CALCULATING",
    "PAYMENT_REQUIRED",
    "PROCESSING",
    "MIGRATING_RESOURCES",
    "COMPLETED",
    "FAILED",
    "ROLLED_BACK",
    "CANCELLED",
];
/// Which way it can go.
pub const KINDS: [&str; 3] = ["UPGRADE", "DOWNGRADE", "PLAN_CHANGE"];

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>, request: HttpRequest) -> Result {
    let mut query = Query::of(&request);
    let page = query.page(DEFAULT_LIMIT);
    query.word("status", one_of(&STATUSES), &STATUSES);
    query.word("changeType", one_of(&KINDS), &KINDS);
    query.finish()?;
    within_reach(&state, &caller, &id).await?;
    let none = Page::<Value> { rows: Vec::new(), total: 0, page: page.page(), limit: page.limit() };
    let data = json!({ "planChanges": none.rows, "pagination": views::turned_pages(&none) });
    Ok(Answer::ok("Plan changes retrieved successfully", data))
}

fn one_of(words: &'static [&'static str]) -> impl Fn(&str) -> Option<&'static str> {
    move |word| words.iter().copied().find(|one| *one == word)
}
