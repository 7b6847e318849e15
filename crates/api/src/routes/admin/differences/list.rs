//! `GET /admin/differences`: what is paid for and does not run, runs unpaid, or is kept for nobody; newest found first.

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_events::DifferenceKind;
use minispod_projections::differences::{self, DifferenceCount, DifferenceFilter, DifferenceRow, DifferenceState};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    refusals::read_failed,
    routes::transactions::list::words,
    state::AppState,
    views::{self, instant},
};

const DEFAULT_LIMIT: u32 = 20;

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    caller.may(Action::ReadInstances)?;
    let mut query = Query::of(&request);
    let asked = query.asked(DEFAULT_LIMIT);
    let standing = query.word("state", DifferenceState::parse, &words(DifferenceState::ALL, DifferenceState::as_str));
    let kind = query.word("kind", DifferenceKind::parse, &words(&DifferenceKind::ALL, DifferenceKind::as_str));
    query.finish()?;
    let filter = DifferenceFilter { state: standing, kind };
    let page = differences::page(state.pool(), &filter, asked).await.map_err(read_failed)?;
    let counts = differences::counts(state.pool()).await.map_err(read_failed)?;
    let data = json!({
        "differences": page.rows.iter().map(show).collect::<Vec<Value>>(),
        "counts": counts.iter().map(count).collect::<Vec<Value>>(),
        "pagination": views::pagination(&page),
    });
    Ok(Answer::ok("Differences retrieved successfully", data))
}

fn show(row: &DifferenceRow) -> Value {
    json!({
        "id": row.id,
        "kind": row.kind.as_str(),
        "state": row.state.as_str(),
        "podId": row.instance_id,
        "subscriptionId": row.subscription_id,
        "userId": row.user_id,
        "object": row.object,
        "detail": row.detail,
        "foundAt": row.found_at.to_contract(),
        "deadline": row.deadline.to_contract(),
        "overdueAt": instant(row.overdue_at),
        "resolvedAt": instant(row.resolved_at),
    })
}

fn count(counted: &DifferenceCount) -> Value {
    json!({ "kind": counted.kind.as_str(), "state": counted.state.as_str(), "count": counted.count })
}
