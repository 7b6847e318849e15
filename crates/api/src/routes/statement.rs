//! Statements: every movement of a wallet with the balance before and after, out of the books.

pub mod read;

use actix_web::{
    HttpRequest, HttpResponse, Responder as _,
    web::{Bytes, ServiceConfig, get, resource},
};
use futures::stream;
use minispod_projections::{
    ledger::{self, Days, EntryKind, StatementLine},
    users::UserRow,
};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    answer::Answer,
    csv::{self, Cell},
    error::ApiError,
    input::Query,
    refusals::read_failed,
    state::AppState,
    views,
};

const DEFAULT_LIMIT: u32 = 50;
/// Most lines of one file.
const LINES_MAX: i64 = 100_000;
/// Lines read at once for a file.
const PIECE: i64 = 1_000;

const COLUMNS: [&str; 11] = [
    "date",
    "type",
    "description",
    "amount",
    "balance_before",
    "balance_after",
    "counter_account",
    "order_id",
    "subscription_id",
    "period",
    "id",
];

/// `/billing/statement`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/billing/statement").route(get().to(read::handle)));
}

/// The statement of `user`: one page of it, or all of it as a file.
pub async fn of(state: &AppState, request: &HttpRequest, user: &UserRow) -> Result<HttpResponse, ApiError> {
    let mut query = Query::of(request);
    let is_file = csv::is_wanted(request, &mut query);
    let (page, days) = (query.page(DEFAULT_LIMIT), query.days());
    query.finish()?;
    let totals = ledger::statement_totals(state.pool(), &user.id, &days).await.map_err(read_failed)?;
    if is_file {
        if totals.lines > LINES_MAX {
            let many = format!("These days have {} lines and a file at most {LINES_MAX}", totals.lines);
            return Err(ApiError::invalid_field("from", &many));
        }
        return Ok(csv::stream("statement", pieces(state.pool().clone(), user.id.clone(), days)));
    }
    let page = ledger::statement(state.pool(), &user.id, &days, page).await.map_err(read_failed)?;
    let data = json!({
        "user": views::people::mini(user),
        "period": { "from": days.from, "to": days.to },
        "currency": "IDR",
        "openingBalance": totals.opening.to_string(),
        "paidIn": totals.paid_in.to_string(),
        "paidOut": totals.paid_out.to_string(),
        "closingBalance": totals.closing().to_string(),
        "lines": page.rows.iter().map(line).collect::<Value>(),
        "pagination": views::pagination(&page),
    });
    Ok(Answer::ok("Statement retrieved successfully", data).respond_to(request))
}

fn line(line: &StatementLine) -> Value {
    let row = &line.row;
    json!({
        "id": row.id,
        "date": row.created_at.to_contract(),
        "type": row.kind.as_str(),
        "description": description(line),
        "amount": row.amount.to_string(),
        "promotional": row.promotional.to_string(),
        "balanceBefore": row.balance_before.to_string(),
        "balanceAfter": row.balance_after.to_string(),
        "counterAccount": row.counter_account,
        "orderId": row.order_id,
        "subscriptionId": row.subscription_id,
        "period": row.period,
    })
}

fn description(line: &StatementLine) -> &str {
    let usual = match line.row.kind {
        EntryKind::TopUp => "Balance top-up",
        EntryKind::TopUpTakenBack => "Top-up taken back",
        EntryKind::Charge => "Service subscription",
        EntryKind::Refund => "Refund of a service subscription",
        EntryKind::TopUpRefund => "Refund of a top-up",
        EntryKind::TopUpRefundReturned => "Refund of a top-up that was not made",
        EntryKind::TopUpCreditedByHand => "Top-up credited by the refund desk",
        EntryKind::ManualTopUp => "Bank transfer",
        EntryKind::PlanChange => "Change of plan",
        EntryKind::PlanChangeRefund => "Refund of a change of plan",
        EntryKind::Promotion => "Promotional credit",
        EntryKind::Adjustment => "Balance adjustment",
    };
    line.description.as_deref().or(line.row.reason.as_deref()).unwrap_or(usual)
}

/// The file piece by piece, each read when the one before is on its way. At most [`LINES_MAX`] lines, whatever is booked
/// meanwhile.
fn pieces(pool: PgPool, user_id: String, days: Days) -> impl stream::Stream<Item = Result<Bytes, ApiError>> + 'static {
    let mut head = String::new();
    csv::push_row(&mut head, &COLUMNS.map(Cell::from));
    stream::try_unfold(Some((head, 0, 0)), move |place| {
        let (pool, user_id, days) = (pool.clone(), user_id.clone(), days.clone());
        async move {
            let Some((mut text, position, written)) = place else { return Ok(None) };
            let wanted = PIECE.min(LINES_MAX - written);
            let lines = ledger::statement_after(&pool, &user_id, &days, position, wanted).await.map_err(read_failed)?;
            for line in &lines {
                push(&mut text, line);
            }
            let (count, last) = (lines.len() as i64, lines.last().map_or(position, |line| line.row.position));
            let goes_on = count == wanted && written + count < LINES_MAX;
            Ok(Some((Bytes::from(text), goes_on.then(|| (String::new(), last, written + count)))))
        }
    })
}

fn push(text: &mut String, line: &StatementLine) {
    let row = &line.row;
    let date = row.created_at.to_contract();
    csv::push_row(
        text,
        &[
            Cell::from(&date),
            row.kind.as_str().into(),
            description(line).into(),
            row.amount.into(),
            row.balance_before.into(),
            row.balance_after.into(),
            Cell::from(&row.counter_account),
            row.order_id.as_deref().into(),
            row.subscription_id.as_deref().into(),
            row.period.map_or(Cell::Empty, |period| i64::from(period).into()),
            Cell::from(&row.id),
        ],
    );
}
