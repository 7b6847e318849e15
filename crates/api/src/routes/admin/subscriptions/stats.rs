//! `GET /admin/subscriptions/stats`: the fleet in numbers.

use actix_web::web;
use minispod_auth::Action;
use minispod_kernel::{Timestamp, time::JAKARTA};
use minispod_projections::{
    billing::{self, TransactionFilter},
    catalogue::{self, PopularPlan},
    subscriptions,
};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    refusals::read_failed,
    state::AppState,
};

/// Services that are named.
const TOP: u32 = 5;

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    caller.may(Action::ReadSubscriptions)?;
    let (pool, now) = (state.pool(), state.clock.now());
    let counts = subscriptions::counts(pool).await.map_err(read_failed)?;
    let recent = subscriptions::count_since(pool, a_week_before(now)).await.map_err(read_failed)?;
    let month = TransactionFilter { from: Some(month_of(now)), ..TransactionFilter::default() };
    let month = billing::totals(pool, &month).await.map_err(read_failed)?;
    let top = catalogue::popular(pool, TOP).await.map_err(read_failed)?;
    let data = json!({
        "overview": {
            "active": counts.active,
            "expired": counts.expired,
            "cancelled": counts.cancelled,
            "pendingDeployment": counts.pending_deployment,
            "suspended": counts.suspended,
            "total": counts.total,
        },
        "recent": { "last7Days": recent },
        // What was paid this month and not given back, renewals included; list prices say nothing of it.
        "revenue": { "monthly": month.earned().amount() },
        "topServices": top.iter().map(named).collect::<Value>(),
    });
    Ok(Answer::ok("Subscription statistics retrieved successfully", data))
}

fn named(popular: &PopularPlan) -> Value {
    json!({
        "serviceId": popular.plan.id,
        "serviceName": popular.plan.details.offering,
        "displayName": popular.plan.details.display_name,
        "count": popular.subscriptions,
    })
}

fn a_week_before(now: Timestamp) -> Timestamp {
    now.to_utc().checked_sub(time::Duration::WEEK).map_or(now, Timestamp::new)
}

/// When the month began in Jakarta, where the bills are made.
fn month_of(now: Timestamp) -> Timestamp {
    let first = now.jakarta_date().replace_day(1);
    first.map_or(now, |day| Timestamp::new(day.midnight().assume_offset(JAKARTA)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_month_begins_at_midnight_in_jakarta() {
        let month = |at| month_of(Timestamp::new(at)).to_contract();
        assert_eq!(month(datetime!(2026-11-26 20:00 UTC)), "2026-10-31T17:00:00.000Z");
        assert_eq!(month(datetime!(2026-11-30 16:59 UTC)), "2026-10-31T17:00:00.000Z");
        assert_eq!(month(datetime!(2026-11-30 17:00 UTC)), "2026-11-30T17:00:00.000Z");
        let week = a_week_before(Timestamp::new(datetime!(2026-11-26 20:00 UTC)));
        assert_eq!(week.to_contract(), "2026-11-19T20:00:00.000Z");
    }
}
