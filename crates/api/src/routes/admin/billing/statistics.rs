//! `GET /admin/billing/statistics`: everybody's money in numbers over a stretch of time.

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_projections::{
    billing::{self, TransactionFilter},
    users,
};
use serde_json::json;

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    refusals::read_failed,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    caller.may(Action::ReadBilling)?;
    let mut query = Query::of(&request);
    let span = query.span();
    query.finish()?;
    let filter = TransactionFilter { from: span.from, until: span.until, ..TransactionFilter::default() };
    let totals = billing::totals(state.pool(), &filter).await.map_err(read_failed)?;
    let accounts = users::counts(state.pool()).await.map_err(read_failed)?;
    let data = json!({
        "period": views::period(&span),
        "transactions": {
            "total": totals.total,
            "topUps": totals.topups,
            "servicePurchases": totals.purchases,
            "pending": totals.pending,
            "successful": totals.successful,
            "failed": totals.failed,
        },
        // Every kind of line has its own sum: what was paid in is not earned, and what was given back is not either.
        "revenue": {
            "total": totals.earned().to_string(),
            "topUps": totals.topup_amount.to_string(),
            "servicePurchases": totals.purchase_amount.to_string(),
            "refunds": totals.refund_amount.to_string(),
            "adjustments": totals.adjustment_amount.to_string(),
        },
        "users": { "total": accounts.total, "active": accounts.active },
    });
    Ok(Answer::ok("Billing statistics retrieved successfully", data))
}
