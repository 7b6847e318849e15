//! `GET /admin/users`: accounts, newest first.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_projections::{
    subscriptions,
    users::{self, UserFilter},
};
use serde_json::json;

use super::{ROLES, SEARCH_MAX, role_of};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    refusals::read_failed,
    state::AppState,
    views,
};

/// The client sends no page and has no pager, so the first page is all it shows.
const DEFAULT_LIMIT: u32 = 50;

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    caller.may(Action::ReadUsers)?;
    let mut query = Query::of(&request);
    let asked = query.asked(DEFAULT_LIMIT);
    let filter = UserFilter {
        role: query.word("role", role_of, &ROLES),
        is_active: query.flag("isActive"),
        search: query.text("search", SEARCH_MAX),
        with_forgotten: false,
    };
    query.finish()?;
    let page = users::page(state.pool(), &filter, asked).await.map_err(read_failed)?;
    let ids: Vec<String> = page.rows.iter().map(|user| user.id.clone()).collect();
    let counts: BTreeMap<String, i64> =
        subscriptions::count_by_user(state.pool(), &ids).await.map_err(read_failed)?.into_iter().collect();
    let count = |id: &String| counts.get(id).copied().unwrap_or(0);
    let data = json!({
        "users": page.rows.iter().map(|user| views::people::counted(user, count(&user.id))).collect::<Vec<_>>(),
        "pagination": views::counted_pages(&page),
    });
    Ok(Answer::ok("Users retrieved successfully", data))
}
