//! Questions about money: balances, top-ups, the history, invoices, totals.

use minispod_kernel::{Rupiah, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Postgres, QueryBuilder, types::Json};

use super::rows::{
    InvoiceRow, InvoiceStatus, InvoiceType, TopUpRow, TopUpStatus, TransactionRow, TransactionStatus, TransactionType,
    WalletRow,
};
use crate::{
    Asked, Page, PageRequest, ProjectionError,
    page::{MAX_LIMIT, Place, Placed},
    rows::{Conditions, count_of, database, row_of, rows_of},
};

/// The few words of an invoice that lists show. Only numbered invoices appear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceMini {
    pub id: String,
    pub number: String,
    pub status: InvoiceStatus,
}

/// A line of the history with its invoice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TransactionView {
    #[serde(flatten)]
    pub row: TransactionRow,
    pub invoice: Option<InvoiceMini>,
}

/// A top-up with its invoice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TopUpView {
    #[serde(flatten)]
    pub row: TopUpRow,
    pub invoice: Option<InvoiceMini>,
}

impl Placed for TransactionView {
    fn place(&self) -> Place {
        Place { at: self.row.created_at, id: self.row.id.clone() }
    }
}

impl Placed for TopUpView {
    fn place(&self) -> Place {
        Place { at: self.row.created_at, id: self.row.id.clone() }
    }
}

impl Placed for InvoiceRow {
    fn place(&self) -> Place {
        Place { at: self.created_at, id: self.id.clone() }
    }
}

const TRANSACTION: &str = "SELECT to_jsonb(t) || jsonb_build_object('invoice', (\
     SELECT jsonb_build_object('id', i.id, 'number', i.number, 'status', i.status) FROM read.invoices i \
     WHERE i.cause = t.cause AND i.number IS NOT NULL ORDER BY i.created_at, i.id LIMIT 1)) FROM read.transactions t";
const TOPUP: &str = "SELECT to_jsonb(t) || jsonb_build_object('invoice', (\
     SELECT jsonb_build_object('id', i.id, 'number', i.number, 'status', i.status) FROM read.invoices i \
     WHERE i.cause = 'topup/' || t.order_id AND i.number IS NOT NULL ORDER BY i.created_at, i.id LIMIT 1)) \
     FROM read.topups t";
const INVOICE: &str = "SELECT to_jsonb(t) FROM read.invoices t";
const NEWEST: &str = " ORDER BY t.created_at DESC, t.id DESC";

/// The wallet of a user.
pub async fn wallet(pool: &PgPool, user_id: &str) -> Result<Option<WalletRow>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.wallets t WHERE user_id = ");
    query.push_bind(user_id.to_owned());
    row_of(pool, "wallets", query).await
}

/// The wallets of `user_ids`, in no order.
pub async fn balances(pool: &PgPool, user_ids: &[String]) -> Result<Vec<WalletRow>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.wallets t WHERE user_id = ANY(");
    query.push_bind(user_ids.to_vec()).push(")");
    rows_of(pool, "wallets", query).await
}

/// Which lines of the history are asked for. `from` is included, `until` is not.
#[derive(Debug, Clone, Default)]
pub struct TransactionFilter {
    pub user_id: Option<String>,
    pub kind: Option<TransactionType>,
    pub status: Option<TransactionStatus>,
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl TransactionFilter {
    fn narrow<'q, 'a>(&self, query: &'q mut QueryBuilder<'a, Postgres>) -> Conditions<'q, 'a> {
        let mut conditions = Conditions::of(query);
        if let Some(user_id) = &self.user_id {
            conditions.and().push("t.user_id = ").push_bind(user_id.clone());
        }
        if let Some(kind) = self.kind {
            conditions.and().push("t.type = ").push_bind(kind.as_str());
        }
        if let Some(status) = self.status {
            conditions.and().push("t.status = ").push_bind(status.as_str());
        }
        between(&mut conditions, self.from, self.until);
        conditions
    }
}

fn between(conditions: &mut Conditions<'_, '_>, from: Option<Timestamp>, until: Option<Timestamp>) {
    if let Some(from) = from {
        conditions.and().push("t.created_at >= ").push_bind(from.to_utc());
    }
    if let Some(until) = until {
        conditions.and().push("t.created_at < ").push_bind(until.to_utc());
    }
}

/// One page of the history, newest first.
pub async fn transactions(
    pool: &PgPool,
    filter: &TransactionFilter,
    asked: impl Into<Asked>,
) -> Result<Page<TransactionView>, ProjectionError> {
    let asked = asked.into();
    let mut count = QueryBuilder::new("SELECT count(*) FROM read.transactions t");
    filter.narrow(&mut count);
    let mut query = QueryBuilder::new(TRANSACTION);
    asked.seek(filter.narrow(&mut query));
    asked.close(query.push(NEWEST));
    Ok(Page::gathered(
        &asked,
        count_of(pool, "transactions", count).await?,
        rows_of(pool, "transactions", query).await?,
    ))
}

/// One line, of `owner` only when given.
pub async fn transaction(
    pool: &PgPool,
    id: &str,
    owner: Option<&str>,
) -> Result<Option<TransactionView>, ProjectionError> {
    let mut query = QueryBuilder::new(TRANSACTION);
    owned(&mut query, id, owner);
    row_of(pool, "transactions", query).await
}

fn owned(query: &mut QueryBuilder<'_, Postgres>, id: &str, owner: Option<&str>) {
    query.push(" WHERE t.id = ").push_bind(id.to_owned());
    if let Some(owner) = owner {
        query.push(" AND t.user_id = ").push_bind(owner.to_owned());
    }
}

/// The newest lines of a subscription, at most `limit` (100 at most).
pub async fn transactions_of_subscription(
    pool: &PgPool,
    subscription_id: &str,
    limit: u32,
) -> Result<Vec<TransactionView>, ProjectionError> {
    let mut query = QueryBuilder::new(TRANSACTION);
    query.push(" WHERE t.subscription_id = ").push_bind(subscription_id.to_owned());
    PageRequest::new(1, limit).close(query.push(NEWEST));
    rows_of(pool, "transactions", query).await
}

/// The newest lines of each of `user_ids`, at most `each` (100 at most) of every one, newest first.
pub async fn newest_of_users(
    pool: &PgPool,
    user_ids: &[String],
    each: u32,
) -> Result<Vec<TransactionRow>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM unnest(");
    query.push_bind(user_ids.to_vec()).push(
        "::text[]) AS u (id) CROSS JOIN LATERAL (SELECT * FROM read.transactions x WHERE x.user_id = u.id \
         ORDER BY x.created_at DESC, x.id DESC LIMIT ",
    );
    query.push_bind(i64::from(each.min(MAX_LIMIT))).push(") t").push(NEWEST);
    rows_of(pool, "transactions", query).await
}

/// How many lines each of `user_ids` has; those without one are left out.
pub async fn transaction_counts(pool: &PgPool, user_ids: &[String]) -> Result<Vec<(String, i64)>, ProjectionError> {
    sqlx::query_as("SELECT user_id, count(*) FROM read.transactions WHERE user_id = ANY($1) GROUP BY user_id")
        .bind(user_ids)
        .fetch_all(pool)
        .await
        .map_err(database("transactions"))
}

/// Which top-ups are asked for.
#[derive(Debug, Clone, Default)]
pub struct TopUpFilter {
    pub user_id: Option<String>,
    pub status: Option<TopUpStatus>,
    /// Only those that a person must look at.
    pub quarantined: bool,
}

impl TopUpFilter {
    fn narrow<'q, 'a>(&self, query: &'q mut QueryBuilder<'a, Postgres>) -> Conditions<'q, 'a> {
        let mut conditions = Conditions::of(query);
        if let Some(user_id) = &self.user_id {
            conditions.and().push("t.user_id = ").push_bind(user_id.clone());
        }
        if let Some(status) = self.status {
            conditions.and().push("t.status = ").push_bind(status.as_str());
        }
        if self.quarantined {
            conditions.and().push("t.quarantine IS NOT NULL");
        }
        conditions
    }
}

/// One page of top-ups, newest first.
pub async fn topups(
    pool: &PgPool,
    filter: &TopUpFilter,
    asked: impl Into<Asked>,
) -> Result<Page<TopUpView>, ProjectionError> {
    let asked = asked.into();
    let mut count = QueryBuilder::new("SELECT count(*) FROM read.topups t");
    filter.narrow(&mut count);
    let mut query = QueryBuilder::new(TOPUP);
    asked.seek(filter.narrow(&mut query));
    asked.close(query.push(NEWEST));
    Ok(Page::gathered(&asked, count_of(pool, "topups", count).await?, rows_of(pool, "topups", query).await?))
}

/// One top-up, of `owner` only when given.
pub async fn topup(pool: &PgPool, id: &str, owner: Option<&str>) -> Result<Option<TopUpView>, ProjectionError> {
    let mut query = QueryBuilder::new(TOPUP);
    owned(&mut query, id, owner);
    row_of(pool, "topups", query).await
}

/// Those of `topup_ids` that are paid and not wholly given back: what the refund desk takes.
pub async fn refundable(pool: &PgPool, topup_ids: &[String]) -> Result<Vec<String>, ProjectionError> {
    sqlx::query_scalar("SELECT id FROM read.topups WHERE id = ANY($1) AND status = 'PAID' AND taken_back < amount")
        .bind(topup_ids)
        .fetch_all(pool)
        .await
        .map_err(database("topups"))
}

/// The top-up that any attempt's order belongs to.
pub async fn topup_by_order(pool: &PgPool, order_id: &str) -> Result<Option<TopUpView>, ProjectionError> {
    let mut query = QueryBuilder::new(TOPUP);
    query.push(" JOIN read.topup_orders o ON o.topup_id = t.id WHERE o.order_id = ").push_bind(order_id.to_owned());
    row_of(pool, "topups", query).await
}

/// What a user has asked for and not yet paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingTopUps {
    pub count: i64,
    pub amount: Rupiah,
    /// The newest ten.
    pub newest: Vec<TopUpView>,
}

/// The pending top-ups of a user.
pub async fn pending_topups(pool: &PgPool, user_id: &str) -> Result<PendingTopUps, ProjectionError> {
    let (count, amount): (i64, i64) = sqlx::query_as(
        "SELECT count(*), coalesce(sum(amount), 0)::bigint FROM read.topups WHERE user_id = $1 AND status = 'PENDING'",
    )
    .bind(user_id)
    .fetch_one(pool)
    .await
    .map_err(database("topups"))?;
    let filter =
        TopUpFilter { user_id: Some(user_id.to_owned()), status: Some(TopUpStatus::Pending), quarantined: false };
    let mut query = QueryBuilder::new(TOPUP);
    filter.narrow(&mut query);
    PageRequest::new(1, 10).close(query.push(NEWEST));
    Ok(PendingTopUps { count, amount: Rupiah::new(amount), newest: rows_of(pool, "topups", query).await? })
}

/// Which invoices are asked for; numbered ones only. `from` is included, `until` is not.
#[derive(Debug, Clone, Default)]
pub struct InvoiceFilter {
    pub user_id: Option<String>,
    pub kind: Option<InvoiceType>,
    pub status: Option<InvoiceStatus>,
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl InvoiceFilter {
    fn narrow<'q, 'a>(&self, query: &'q mut QueryBuilder<'a, Postgres>) -> Conditions<'q, 'a> {
        let mut conditions = Conditions::of(query);
        conditions.and().push("t.number IS NOT NULL");
        if let Some(user_id) = &self.user_id {
            conditions.and().push("t.user_id = ").push_bind(user_id.clone());
        }
        if let Some(kind) = self.kind {
            conditions.and().push("t.type = ").push_bind(kind.as_str());
        }
        if let Some(status) = self.status {
            conditions.and().push("t.status = ").push_bind(status.as_str());
        }
        between(&mut conditions, self.from, self.until);
        conditions
    }
}

/// One page of invoices, newest first.
pub async fn invoices(
    pool: &PgPool,
    filter: &InvoiceFilter,
    asked: impl Into<Asked>,
) -> Result<Page<InvoiceRow>, ProjectionError> {
    let asked = asked.into();
    let mut count = QueryBuilder::new("SELECT count(*) FROM read.invoices t");
    filter.narrow(&mut count);
    let mut query = QueryBuilder::new(INVOICE);
    asked.seek(filter.narrow(&mut query));
    asked.close(query.push(NEWEST));
    Ok(Page::gathered(&asked, count_of(pool, "invoices", count).await?, rows_of(pool, "invoices", query).await?))
}

/// One numbered invoice with its lines, of `owner` only when given.
pub async fn invoice(pool: &PgPool, id: &str, owner: Option<&str>) -> Result<Option<InvoiceRow>, ProjectionError> {
    let mut query = QueryBuilder::new(INVOICE);
    owned(&mut query, id, owner);
    query.push(" AND t.number IS NOT NULL");
    row_of(pool, "invoices", query).await
}

/// The newest numbered invoice of a subscription.
pub async fn invoice_of_subscription(
    pool: &PgPool,
    subscription_id: &str,
) -> Result<Option<InvoiceRow>, ProjectionError> {
    let mut query = QueryBuilder::new(INVOICE);
    query.push(" WHERE t.subscription_id = ").push_bind(subscription_id.to_owned());
    query.push(" AND t.number IS NOT NULL").push(NEWEST).push(" LIMIT 1");
    row_of(pool, "invoices", query).await
}

/// Counts and sums over a stretch of the history. Amounts are of successful lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct MoneyTotals {
    pub total: i64,
    pub topups: i64,
    pub purchases: i64,
    pub pending: i64,
    pub successful: i64,
    /// Failed, cancelled and expired.
    pub failed: i64,
    pub successful_topups: i64,
    pub successful_purchases: i64,
    pub topup_amount: Rupiah,
    pub purchase_amount: Rupiah,
    pub refund_amount: Rupiah,
    /// Signed.
    pub adjustment_amount: Rupiah,
}

impl MoneyTotals {
    /// What services brought in: purchases less what was given back. A top-up is the customer's own money until he buys.
    pub fn earned(&self) -> Rupiah {
        Rupiah::new(self.purchase_amount.amount().saturating_sub(self.refund_amount.amount()))
    }
}

const TOTALS: &str = "SELECT jsonb_build_object(\
     'total', count(*), \
     'topups', count(*) FILTER (WHERE t.type = 'TOPUP'), \
     'purchases', count(*) FILTER (WHERE t.type = 'SERVICE_PURCHASE'), \
     'pending', count(*) FILTER (WHERE t.status = 'PENDING'), \
     'successful', count(*) FILTER (WHERE t.status = 'SUCCESS'), \
     'failed', count(*) FILTER (WHERE t.status IN ('FAILED', 'CANCELLED', 'EXPIRED')), \
     'successful_topups', count(*) FILTER (WHERE t.type = 'TOPUP' AND t.status = 'SUCCESS'), \
     'successful_purchases', count(*) FILTER (WHERE t.type = 'SERVICE_PURCHASE' AND t.status = 'SUCCESS'), \
     'topup_amount', coalesce(sum(t.amount) FILTER (WHERE t.type = 'TOPUP' AND t.status = 'SUCCESS'), 0), \
     'purchase_amount', coalesce(sum(t.amount) FILTER (WHERE t.type = 'SERVICE_PURCHASE' AND t.status = 'SUCCESS'), 0), \
     'refund_amount', coalesce(sum(t.amount) FILTER (WHERE t.type = 'REFUND' AND t.status = 'SUCCESS'), 0), \
     'adjustment_amount', coalesce(sum(t.amount) FILTER (WHERE t.type = 'ADJUSTMENT' AND t.status = 'SUCCESS'), 0)) \
     FROM read.transactions t";

/// Totals over the lines that `filter` lets through.
pub async fn totals(pool: &PgPool, filter: &TransactionFilter) -> Result<MoneyTotals, ProjectionError> {
    let mut query = QueryBuilder::new(TOTALS);
    filter.narrow(&mut query);
    let Json(totals): Json<MoneyTotals> =
        query.build_query_scalar().fetch_one(pool).await.map_err(database("transactions"))?;
    Ok(totals)
}
