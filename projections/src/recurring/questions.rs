//! Questions about recurring revenue and about payments that failed. Days and months are Jakarta's.

use minispod_kernel::{Rupiah, Timestamp};
use serde::Deserialize;
use sqlx::{PgPool, Postgres, QueryBuilder};

use super::movement::MovementKind;
use crate::{
    Page, PageRequest, ProjectionError,
    ledger::Days,
    rows::{Conditions, count_of, rows_of},
    words::words,
};

/// What moved within one month, by kind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MonthRow {
    /// `YYYY-MM`.
    pub month: String,
    pub kind: MovementKind,
    pub count: i64,
    /// Monthly revenue gained, or lost when negative.
    pub amount: Rupiah,
}

/// Every movement up to the end of `last` (`YYYY-MM-DD`), summed by month and kind, oldest first: what stood before a
/// month is the sum of all months before it.
pub async fn months(pool: &PgPool, last: &str) -> Result<Vec<MonthRow>, ProjectionError> {
    let mut query = QueryBuilder::new(
        "SELECT jsonb_build_object('month', to_char(t.day, 'YYYY-MM'), 'kind', t.kind, 'count', count(*), \
         'amount', sum(t.after - t.before)) FROM read.recurring_movements t WHERE t.day <= ",
    );
    query.push_bind(last.to_owned());
    query.push("::date GROUP BY to_char(t.day, 'YYYY-MM'), t.kind ORDER BY to_char(t.day, 'YYYY-MM'), t.kind");
    rows_of(pool, "recurring_movements", query).await
}

/// What the active subscriptions of one offering bring in every month.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OfferingMrr {
    pub offering: String,
    pub subscriptions: i64,
    pub monthly: Rupiah,
}

/// Recurring revenue as it stands, by offering.
pub async fn current(pool: &PgPool) -> Result<Vec<OfferingMrr>, ProjectionError> {
    let query = QueryBuilder::new(
        "SELECT jsonb_build_object('offering', t.offering, 'subscriptions', count(*), 'monthly', sum(t.monthly)) \
         FROM read.recurring_subscriptions t WHERE t.active GROUP BY t.offering ORDER BY t.offering",
    );
    rows_of(pool, "recurring_subscriptions", query).await
}

words! {
    /// What failed.
    FailedKind {
        /// The renewal of a period.
        Renewal = "RENEWAL",
        /// A top-up that the gateway denied.
        TopUpDenied = "TOPUP_DENIED",
        /// A top-up that nobody paid in time.
        TopUpExpired = "TOPUP_EXPIRED",
    }
}

/// One payment that failed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Failed {
    pub id: String,
    pub kind: FailedKind,
    pub user_id: String,
    pub amount: Rupiah,
    /// The refusal's code, or the gateway's word.
    pub code: String,
    pub attempts: i64,
    /// Whether it is still owed.
    pub open: bool,
    pub subscription_id: Option<String>,
    pub period: Option<u32>,
    pub order_id: Option<String>,
    pub failed_at: Timestamp,
}

/// Which are asked for.
#[derive(Debug, Clone, Default)]
pub struct FailedFilter {
    pub days: Days,
    pub kind: Option<FailedKind>,
    pub open: Option<bool>,
}

/// Both kinds as one list `t`. A top-up is open as long as the customer may pay it anew, which is for ever.
const FAILED: &str = " FROM (\
     SELECT r.id, 'RENEWAL' AS kind, r.user_id, r.amount, r.code, r.attempts::bigint AS attempts, \
     r.outcome IS NULL AS open, r.subscription_id, r.period, NULL::text AS order_id, r.failed_at, \
     ((r.failed_at AT TIME ZONE 'UTC') + interval '7 hours')::date AS day FROM read.failed_renewals r \
     UNION ALL \
     SELECT p.id, CASE p.status WHEN 'FAILED' THEN 'TOPUP_DENIED' ELSE 'TOPUP_EXPIRED' END, p.user_id, p.amount, \
     lower(p.status), p.attempt::bigint, true, NULL, NULL, p.order_id, p.updated_at, \
     ((p.updated_at AT TIME ZONE 'UTC') + interval '7 hours')::date FROM read.topups p \
     WHERE p.status IN ('FAILED', 'EXPIRED')) t";

impl FailedFilter {
    fn narrow(&self, query: &mut QueryBuilder<'_, Postgres>) {
        let mut conditions = Conditions::of(query);
        self.days.narrow(&mut conditions);
        if let Some(kind) = self.kind {
            conditions.and().push("t.kind = ").push_bind(kind.as_str());
        }
        if let Some(open) = self.open {
            conditions.and().push("t.open = ").push_bind(open);
        }
    }

    fn rows(&self) -> QueryBuilder<'static, Postgres> {
        let mut query = QueryBuilder::new(format!("SELECT to_jsonb(t) - 'day'{FAILED}"));
        self.narrow(&mut query);
        query.push(" ORDER BY t.failed_at DESC, t.id DESC");
        query
    }
}

/// One page of failed payments, newest first.
pub async fn failed_payments(
    pool: &PgPool,
    filter: &FailedFilter,
    page: PageRequest,
) -> Result<Page<Failed>, ProjectionError> {
    let mut count = QueryBuilder::new(format!("SELECT count(*){FAILED}"));
    filter.narrow(&mut count);
    let mut query = filter.rows();
    page.close(&mut query);
    let total = count_of(pool, "failed_renewals", count).await?;
    Ok(Page::of(page, total, rows_of(pool, "failed_renewals", query).await?))
}

/// The newest failed payments, at most `limit`.
pub async fn failed_rows(pool: &PgPool, filter: &FailedFilter, limit: i64) -> Result<Vec<Failed>, ProjectionError> {
    let mut query = filter.rows();
    query.push(" LIMIT ").push_bind(limit);
    rows_of(pool, "failed_renewals", query).await
}
