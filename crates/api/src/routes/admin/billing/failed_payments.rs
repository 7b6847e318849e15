//! `GET /admin/billing/failed-payments`: renewals that were refused and top-ups that nobody paid, with whom and how old.

use actix_web::{HttpRequest, HttpResponse, Responder as _, web};
use minispod_auth::Action;
use minispod_kernel::Timestamp;
use minispod_projections::recurring::{self, Failed, FailedFilter, FailedKind};
use serde_json::{Value, json};

use super::People;
use crate::{
    answer::Answer,
    caller::Caller,
    csv::{self, Cell},
    error::ApiError,
    input::Query,
    refusals::read_failed,
    routes::transactions::list::words,
    state::AppState,
    views,
};

const DEFAULT_LIMIT: u32 = 50;
/// Most rows of one file.
const ROWS_MAX: i64 = 10_000;
const DAY_IN_MILLIS: i64 = 24 * 60 * 60 * 1_000;

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.may(Action::ReadBilling)?;
    let mut query = Query::of(&request);
    let is_file = csv::is_wanted(&request, &mut query);
    let page = query.page(DEFAULT_LIMIT);
    let kind = query.word("type", FailedKind::parse, &words(FailedKind::ALL, FailedKind::as_str));
    let filter = FailedFilter { kind, open: query.flag("open"), days: query.days() };
    query.finish()?;
    let now = state.clock.now();
    if is_file {
        let rows = recurring::failed_rows(state.pool(), &filter, ROWS_MAX).await.map_err(read_failed)?;
        return Ok(csv::table("failed-payments", file(&rows, now)));
    }
    let page = recurring::failed_payments(state.pool(), &filter, page).await.map_err(read_failed)?;
    let people = People::of(&state, page.rows.iter().map(|row| &row.user_id)).await?;
    let data = json!({
        "payments": page.rows.iter().map(|row| payment(row, now, &people)).collect::<Value>(),
        "pagination": views::pagination(&page),
    });
    Ok(Answer::ok("Failed payments retrieved successfully", data).respond_to(&request))
}

/// Whole days since it failed.
fn age(row: &Failed, now: Timestamp) -> i64 {
    (now.unix_millis() - row.failed_at.unix_millis()).max(0) / DAY_IN_MILLIS
}

fn payment(row: &Failed, now: Timestamp, people: &People) -> Value {
    json!({
        "id": row.id,
        "type": row.kind.as_str(),
        "user": people.show(&row.user_id, views::people::mini),
        "amount": row.amount.to_string(),
        "code": row.code,
        "attempts": row.attempts,
        "open": row.open,
        "subscriptionId": row.subscription_id,
        "period": row.period,
        "orderId": row.order_id,
        "failedAt": row.failed_at.to_contract(),
        "ageDays": age(row, now),
    })
}

/// Ids only: a file leaves the house, and names are found by them.
fn file(rows: &[Failed], now: Timestamp) -> String {
    let mut text = String::new();
    let columns = [
        "failed_at",
        "age_days",
        "type",
        "user_id",
        "amount",
        "code",
        "attempts",
        "open",
        "subscription_id",
        "period",
        "order_id",
    ];
    csv::push_row(&mut text, &columns.map(Cell::from));
    for row in rows {
        let failed_at = row.failed_at.to_contract();
        csv::push_row(
            &mut text,
            &[
                Cell::from(&failed_at),
                age(row, now).into(),
                row.kind.as_str().into(),
                Cell::from(&row.user_id),
                row.amount.into(),
                Cell::from(&row.code),
                row.attempts.into(),
                if row.open { "yes" } else { "no" }.into(),
                row.subscription_id.as_deref().into(),
                row.period.map_or(Cell::Empty, |period| i64::from(period).into()),
                row.order_id.as_deref().into(),
            ],
        );
    }
    text
}
