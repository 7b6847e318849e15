//! `GET /billing/dashboard/analytics`: what a customer paid in and spent over a stretch of time, all of it counted.

use actix_web::{HttpRequest, web};
use minispod_kernel::Rupiah;
use minispod_projections::billing::{self, TransactionFilter};
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
    let mut query = Query::of(&request);
    let span = query.span();
    query.finish()?;
    let filter = TransactionFilter {
        user_id: Some(caller.user.id.clone()),
        from: span.from,
        until: span.until,
        ..TransactionFilter::default()
    };
    let totals = billing::totals(state.pool(), &filter).await.map_err(read_failed)?;
    let data = json!({
        "period": views::period(&span),
        "analytics": {
            "totalTopUps": totals.topup_amount.amount(),
            "totalSpending": totals.purchase_amount.amount(),
            "transactionCount": totals.total,
            "averageTopUp": average(totals.topup_amount, totals.successful_topups),
            "averageSpending": average(totals.purchase_amount, totals.successful_purchases),
        },
        "transactionBreakdown": {
            "topUps": totals.topups,
            "servicePurchases": totals.purchases,
            "pending": totals.pending,
            "failed": totals.failed,
        },
    });
    Ok(Answer::ok("Billing analytics retrieved successfully", data))
}

/// Whole rupiah, half up; nothing when there was nothing.
fn average(sum: Rupiah, count: i64) -> i64 {
    sum.prorated(1, count).unwrap_or_default().amount()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_whole_and_never_divide_by_nothing() {
        assert_eq!([average(Rupiah::new(25_001), 2), average(Rupiah::ZERO, 0)], [12_501, 0]);
    }
}
