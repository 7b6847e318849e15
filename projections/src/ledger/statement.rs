//! A customer's statement and the revenue of a stretch of days, both out of the books alone. Days are Jakarta's.

use minispod_kernel::Rupiah;
use serde::Deserialize;
use sqlx::{PgPool, Postgres, QueryBuilder, types::Json};

use super::rows::TransactionRow;
use crate::{
    Page, PageRequest, ProjectionError,
    rows::{Conditions, count_of, database, rows_of},
};

/// Days from and to, both included, as `YYYY-MM-DD`; an end that is missing is open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Days {
    pub from: Option<String>,
    pub to: Option<String>,
}

impl Days {
    /// Narrows a query over the alias `t` with a column `day`.
    pub(crate) fn narrow(&self, conditions: &mut Conditions<'_, '_>) {
        if let Some(from) = &self.from {
            conditions.and().push("t.day >= ").push_bind(from.clone()).push("::date");
        }
        if let Some(to) = &self.to {
            conditions.and().push("t.day <= ").push_bind(to.clone()).push("::date");
        }
    }
}

/// What a statement adds up to: `opening + paid_in − paid_out = closing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct StatementTotals {
    pub lines: i64,
    /// Before the first day.
    pub opening: Rupiah,
    pub paid_in: Rupiah,
    pub paid_out: Rupiah,
}

impl StatementTotals {
    /// After the last day.
    pub fn closing(&self) -> Rupiah {
        Rupiah::new(self.opening.amount() + self.paid_in.amount() - self.paid_out.amount())
    }
}

fn of_customer<'q, 'a>(query: &'q mut QueryBuilder<'a, Postgres>, user_id: &str, days: &Days) -> Conditions<'q, 'a> {
    let mut conditions = Conditions::of(query);
    conditions.and().push("t.user_id = ").push_bind(user_id.to_owned());
    days.narrow(&mut conditions);
    conditions
}

/// One line of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StatementLine {
    #[serde(flatten)]
    pub row: TransactionRow,
    /// As the customer's history words it; `None` where it has the line under another id, or not yet.
    pub description: Option<String>,
}

const LINE: &str = "SELECT to_jsonb(t) || jsonb_build_object('description', x.description) \
     FROM read.ledger_transactions t LEFT JOIN read.transactions x ON x.id = t.id";

/// One page of a customer's statement, oldest first: new lines come at the end, so no page shifts.
pub async fn statement(
    pool: &PgPool,
    user_id: &str,
    days: &Days,
    page: PageRequest,
) -> Result<Page<StatementLine>, ProjectionError> {
    let mut count = QueryBuilder::new("SELECT count(*) FROM read.ledger_transactions t");
    of_customer(&mut count, user_id, days);
    let mut query = QueryBuilder::new(LINE);
    of_customer(&mut query, user_id, days);
    page.close(query.push(" ORDER BY t.position"));
    let total = count_of(pool, "ledger_transactions", count).await?;
    Ok(Page::of(page, total, rows_of(pool, "ledger_transactions", query).await?))
}

/// The lines of a customer's statement behind a log position, oldest first, at most `limit`.
pub async fn statement_after(
    pool: &PgPool,
    user_id: &str,
    days: &Days,
    position: i64,
    limit: i64,
) -> Result<Vec<StatementLine>, ProjectionError> {
    let mut query = QueryBuilder::new(LINE);
    of_customer(&mut query, user_id, days).and().push("t.position > ").push_bind(position);
    query.push(" ORDER BY t.position LIMIT ").push_bind(limit);
    rows_of(pool, "ledger_transactions", query).await
}

/// What a customer's statement adds up to.
pub async fn statement_totals(pool: &PgPool, user_id: &str, days: &Days) -> Result<StatementTotals, ProjectionError> {
    let mut query = QueryBuilder::new(
        "SELECT jsonb_build_object('lines', count(*), \
         'paid_in', coalesce(sum(t.amount) FILTER (WHERE t.amount > 0), 0), \
         'paid_out', coalesce(-sum(t.amount) FILTER (WHERE t.amount < 0), 0), \
         'opening', (SELECT coalesce(sum(b.amount), 0) FROM read.ledger_transactions b WHERE b.user_id = ",
    );
    query.push_bind(user_id.to_owned()).push(" AND b.day < ");
    query.push_bind(days.from.clone()).push("::date)) FROM read.ledger_transactions t");
    of_customer(&mut query, user_id, days);
    let Json(totals): Json<StatementTotals> =
        query.build_query_scalar().fetch_one(pool).await.map_err(database("ledger_transactions"))?;
    Ok(totals)
}

/// How long one row of a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Day,
    Month,
}

impl Step {
    /// How a day is written in rows of this step.
    const fn form(self) -> &'static str {
        match self {
            Self::Day => "YYYY-MM-DD",
            Self::Month => "YYYY-MM",
        }
    }
}

/// What one offering brought in within one day or month.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RevenueRow {
    /// `YYYY-MM-DD` or `YYYY-MM`.
    pub period: String,
    /// `None`: the subscription is not known here.
    pub offering: Option<String>,
    /// Booked to revenue.
    pub gross: Rupiah,
    /// Booked to refunds, on the day it was given back.
    pub refunds: Rupiah,
    /// How much of gross less refunds is money that customers were given and have not paid in.
    pub promotional: Rupiah,
    pub charges: i64,
    pub refunded: i64,
}

/// Revenue by day or month and offering, oldest first; where nothing was booked there is no row.
pub async fn revenue(pool: &PgPool, days: &Days, step: Step) -> Result<Vec<RevenueRow>, ProjectionError> {
    let mut query = QueryBuilder::new(format!(
        "SELECT jsonb_build_object('period', to_char(t.day, '{form}'), 'offering', s.offering, \
         'gross', coalesce(-sum(t.amount) FILTER (WHERE t.counter_account = 'revenue'), 0), \
         'refunds', coalesce(sum(t.amount) FILTER (WHERE t.counter_account = 'refunds'), 0), \
         'promotional', coalesce(-sum(t.promotional), 0), \
         'charges', count(*) FILTER (WHERE t.counter_account = 'revenue'), \
         'refunded', count(*) FILTER (WHERE t.counter_account = 'refunds')) \
         FROM read.ledger_transactions t LEFT JOIN read.subscriptions s ON s.id = t.subscription_id",
        form = step.form()
    ));
    let mut conditions = Conditions::of(&mut query);
    conditions.and().push("t.counter_account IN ('revenue', 'refunds')");
    days.narrow(&mut conditions);
    let by = format!("to_char(t.day, '{form}'), s.offering", form = step.form());
    query.push(format!(" GROUP BY {by} ORDER BY {by}"));
    rows_of(pool, "ledger_transactions", query).await
}
