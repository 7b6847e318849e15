//! `GET /subscriptions/:id/plan-changes`: the changes of plan so far, newest first.

use actix_web::{HttpRequest, web};
use minispod_projections::{plan_changes, users};
use serde_json::{Value, json};

use super::within_reach;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    refusals::read_failed,
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
    let status = query.word("status", one_of(&STATUSES), &STATUSES);
    let kind = query.word("changeType", one_of(&KINDS), &KINDS);
    query.finish()?;
    let subscription = within_reach(&state, &caller, &id).await?;
    let changes = plan_changes::page(state.pool(), &subscription.row.id, status, kind, page);
    let changes = changes.await.map_err(read_failed)?;
    let asked_by: Vec<String> = changes.rows.iter().filter_map(|row| row.initiated_by.clone()).collect();
    let people = users::find_many(state.pool(), &asked_by).await.map_err(read_failed)?;
    let shown = changes.rows.iter().map(|row| {
        let who = people.iter().find(|person| Some(&person.id) == row.initiated_by.as_ref());
        views::plan_changes::listed(row, who)
    });
    let data = json!({ "planChanges": shown.collect::<Value>(), "pagination": views::turned_pages(&changes) });
    Ok(Answer::ok("Plan changes retrieved successfully", data))
}

fn one_of(words: &'static [&'static str]) -> impl Fn(&str) -> Option<&'static str> {
    move |word| words.iter().copied().find(|one| *one == word)
}
