//! The books: every movement of money as a balanced transaction between a customer's wallet and one of our own accounts.

mod booking;
mod fold;
mod questions;
mod rows;
mod statement;

use async_trait::async_trait;
use minispod_events::{Event, Fact};
use sqlx::PgConnection;

pub use booking::{Booking, BookingFault, EntryKind, Leg, account_name, booking, promotional_account, wallet_account};
pub use questions::{Booked, Totals, balances_after, booked_after, by_causes, totals};
pub use rows::{BalanceRow, TransactionRow};
pub use statement::{
    Days, RevenueRow, StatementLine, StatementTotals, Step, revenue, statement, statement_after, statement_totals,
};

use crate::{Projection, ProjectionError};

/// The read model.
pub struct Ledger;

#[async_trait]
impl Projection for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }

    fn revision(&self) -> u32 {
        2
    }

    fn schema(&self) -> &'static str {
        include_str!("ledger.sql")
    }

    fn concerns(&self, event: &Event) -> bool {
        matches!(event, Event::Wallet(_))
    }

    async fn apply(&self, tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
        fold::apply(tx, facts).await
    }
}
