//! `GET /admin/audit/refused-access`: who asked for what is somebody else's and was told that it is not there, newest first.

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_projections::{Asked, Page, Place, page::Trail};
use minispod_store::{RefusedAccess, RefusedFilter};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    input::Query,
    refused_access::Kind,
    routes::transactions::list::words,
    state::AppState,
    views,
};

const DEFAULT_LIMIT: u32 = 20;

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    caller.may(Action::ReadAudit)?;
    let mut query = Query::of(&request);
    let asked = query.asked(DEFAULT_LIMIT);
    let kind = query.word("kind", Kind::parse, &words(&Kind::ALL, Kind::as_str));
    let (user_id, owner_id, span) = (query.id("userId"), query.id("ownerId"), query.span());
    query.finish()?;
    let kind = kind.map(|kind| kind.as_str().to_owned());
    let filter = RefusedFilter { user_id, owner_id, kind, from: span.from, until: span.until };
    let page = page(&state, &filter, &asked).await?;
    let entries: Vec<Value> = page.rows.iter().map(show).collect();
    let data = json!({ "entries": entries, "pagination": views::pagination(&page) });
    Ok(Answer::ok("Refused accesses retrieved successfully", data))
}

/// One entry more is read than asked for, to know whether the walk goes on.
async fn page(
    state: &AppState,
    filter: &RefusedFilter,
    asked: &Asked,
) -> std::result::Result<Page<RefusedAccess>, ApiError> {
    let (behind, number, limit) = match asked {
        Asked::Page(page) => (None, page.page(), page.limit()),
        Asked::Behind { place, limit } => (place.as_ref(), 1, *limit),
    };
    let behind = behind.map(|place| (place.at, place.id.as_str()));
    let (skip, most) = (i64::from(number - 1) * i64::from(limit), i64::from(limit) + 1);
    let telemetry = state.store.telemetry();
    let mut rows = telemetry.refused_access(filter, behind, skip, most).await?;
    let goes_on = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| goes_on).map(|row| Place { at: row.at, id: row.id.clone() });
    let trail = matches!(asked, Asked::Behind { .. }).then_some(Trail { next });
    Ok(Page { rows, total: telemetry.refused_accesses(filter).await?, page: number, limit, trail })
}

fn show(entry: &RefusedAccess) -> Value {
    json!({
        "id": entry.id,
        "userId": entry.user_id,
        "ownerId": entry.owner_id,
        "method": entry.method,
        "route": entry.route,
        "kind": entry.kind,
        "thingId": entry.thing_id,
        "address": entry.address,
        "requestId": entry.request_id,
        "createdAt": entry.at.to_contract(),
    })
}
