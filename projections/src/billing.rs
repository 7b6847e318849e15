//! What a customer has, paid and owes: wallets, top-ups, one history of transactions, invoices.

mod fold;
mod questions;
mod rows;

use async_trait::async_trait;
use minispod_events::{Event, Fact};
use sqlx::PgConnection;

pub use questions::{
    InvoiceFilter, InvoiceMini, MoneyTotals, PendingTopUps, TopUpFilter, TopUpView, TransactionFilter, TransactionView,
    balances, invoice, invoice_of_subscription, invoices, newest_of_users, pending_topups, refundable, topup,
    topup_by_order, topups, totals, transaction, transaction_counts, transactions, transactions_of_subscription,
    wallet,
};
pub use rows::{
    InvoiceRow, InvoiceStatus, InvoiceType, TopUpRow, TopUpStatus, TransactionRow, TransactionStatus, TransactionType,
    WalletRow,
};

use crate::{Projection, ProjectionError};

/// The read model.
pub struct Billing;

#[async_trait]
impl Projection for Billing {
    fn name(&self) -> &'static str {
        "billing"
    }

    fn revision(&self) -> u32 {
        4
    }

    fn schema(&self) -> &'static str {
        include_str!("billing.sql")
    }

    fn concerns(&self, event: &Event) -> bool {
        matches!(event, Event::TopUp(_) | Event::Wallet(_) | Event::Subscription(_) | Event::Invoice(_))
    }

    async fn apply(&self, tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
        let mut books = fold::Books::load(tx, facts).await?;
        for fact in facts {
            books.enter(fact);
        }
        books.store(tx).await
    }
}
