//! Questions about the books: what an audit reads, in one snapshot of its caller.

use minispod_kernel::Rupiah;
use serde::Deserialize;
use sqlx::{PgConnection, PgPool, QueryBuilder, types::Json};

use super::rows::{BalanceRow, TransactionRow};
use crate::{
    ProjectionError,
    rows::{database, rows_of},
};

/// A transaction with its legs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Booked {
    #[serde(flatten)]
    pub row: TransactionRow,
    /// By account.
    pub legs: Vec<BookedLeg>,
}

/// One leg as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BookedLeg {
    pub account: String,
    pub amount: Rupiah,
}

/// The transactions of these causes, in log order.
pub async fn by_causes(pool: &PgPool, causes: &[String]) -> Result<Vec<TransactionRow>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.ledger_transactions t WHERE t.cause = ANY(");
    query.push_bind(causes.to_vec()).push(") ORDER BY t.position");
    rows_of(pool, "ledger_transactions", query).await
}

/// The transactions behind `position`, in log order, at most `limit`.
pub async fn booked_after(db: &mut PgConnection, position: i64, limit: i64) -> Result<Vec<Booked>, ProjectionError> {
    let found: Vec<Json<Booked>> = sqlx::query_scalar(
        "SELECT to_jsonb(t) || jsonb_build_object('legs', (SELECT coalesce(jsonb_agg(jsonb_build_object(\
         'account', l.account, 'amount', l.amount) ORDER BY l.account), '[]') \
         FROM read.ledger_legs l WHERE l.transaction_id = t.id)) \
         FROM read.ledger_transactions t WHERE t.position > $1 ORDER BY t.position LIMIT $2",
    )
    .bind(position)
    .bind(limit)
    .fetch_all(db)
    .await
    .map_err(database("ledger_transactions"))?;
    Ok(found.into_iter().map(|Json(row)| row).collect())
}

/// What the accounts behind `account` hold, by name, at most `limit`, each with the sum and the number of its legs.
pub async fn balances_after(
    db: &mut PgConnection,
    account: &str,
    limit: i64,
) -> Result<Vec<BalanceRow>, ProjectionError> {
    let found: Vec<Json<BalanceRow>> = sqlx::query_scalar(
        "SELECT to_jsonb(t) FROM read.ledger_balances t WHERE t.account > $1 ORDER BY t.account LIMIT $2",
    )
    .bind(account)
    .bind(limit)
    .fetch_all(db)
    .await
    .map_err(database("ledger_balances"))?;
    Ok(found.into_iter().map(|Json(row)| row).collect())
}

/// The whole of the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct Totals {
    pub transactions: i64,
    pub legs: i64,
    /// Of all legs; nothing when the books balance.
    pub sum: Rupiah,
    /// Of all accounts; nothing when the books balance.
    pub balances: Rupiah,
}

/// The totals.
pub async fn totals(db: &mut PgConnection) -> Result<Totals, ProjectionError> {
    let Json(totals): Json<Totals> = sqlx::query_scalar(
        "SELECT jsonb_build_object('transactions', (SELECT count(*) FROM read.ledger_transactions), \
         'legs', (SELECT count(*) FROM read.ledger_legs), \
         'sum', (SELECT coalesce(sum(amount), 0) FROM read.ledger_legs), \
         'balances', (SELECT coalesce(sum(balance), 0) FROM read.ledger_balances))",
    )
    .fetch_one(db)
    .await
    .map_err(database("ledger_legs"))?;
    Ok(totals)
}
